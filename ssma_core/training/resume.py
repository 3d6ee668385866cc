"""A stage's files in the output folder: the state to go on from, the log of a finished one."""
from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ssma_core.errors import SsmaError
from ssma_core.files import atomic_write
from ssma_core.training.stages import Stage, Training
from ssma_core.training.start import start_files
from ssma_core.training.trainer import Trainer

_NAMED_AT_MOST = 5


@dataclass
class History:
    """losses: one value a step. validation: a mapping a validation, {"step", "miou", "iou",
    "counts"}. seconds: of training so far, without those that were lost when it was stopped."""

    losses: list[float] = field(default_factory=list)
    validation: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def step(self) -> int:
        """How many steps are done."""
        return len(self.losses)


@dataclass(frozen=True)
class StageFiles:
    """The names of what a stage leaves in `output`."""

    output: Path
    name: str

    @property
    def model(self) -> Path:
        return self.output / f"{self.name}.safetensors"

    @property
    def best(self) -> Path:
        return self.output / f"{self.name}.best.safetensors"

    @property
    def log(self) -> Path:
        return self.output / f"{self.name}.json"

    @property
    def curves(self) -> Path:
        return self.output / f"{self.name}.png"

    @property
    def state(self) -> Path:
        return self.output / f"{self.name}.state.pt"

    @property
    def tensorboard(self) -> Path:
        return self.output / "tensorboard" / self.name

    def remove(self) -> None:
        """All of them: the stage begins anew. The log first: without it nothing else counts."""
        for file in (self.log, self.state, self.model, self.best, self.curves):
            file.unlink(missing_ok=True)
        shutil.rmtree(self.tensorboard, ignore_errors=True)

    def remove_halves(self) -> None:
        """What a process that was killed while it wrote has left."""
        for file in self.output.glob(f".{self.name}.*"):
            file.unlink()
        if self.log.exists():  # killed between the stage's last two acts
            self.state.unlink(missing_ok=True)


@contextmanager
def durable_write(path: Path) -> Iterator[Path]:
    """As `atomic_write`; and when it returns, not even a power loss takes the file away.

    Raises SsmaError when it cannot be written, such as on a full disk."""
    try:
        with atomic_write(path) as temporary:
            yield temporary
            _flush(temporary)
        _flush(path.parent)
    except (OSError, RuntimeError) as error:  # RuntimeError: torch.save's
        raise SsmaError(f"cannot write {path}: {error}; the same command goes on from the last "
                        "state when there is room") from error


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def configuration(training: Training, stage: Stage, output: Path) -> dict[str, Any]:
    """What decides what a stage learns and logs, as plain data, with the beginning of the SHA-256
    of the files that it starts from."""
    start = {name: hashlib.sha256(file.read_bytes()).hexdigest()[:16]
             for name, file in zip(stage.start, start_files(stage, output)) if file.exists()}
    data = {"train": asdict(training.data.train), "validation": asdict(training.data.validation)}
    values = {"model": asdict(training.spec(stage)), "data": data,
              "augmentation": asdict(training.augmentation), "stage": asdict(stage),
              "seed": training.seed, "validate_every": training.validate_every,
              "precision": training.precision, "compile": training.compile, "start": start}
    return json.loads(json.dumps(values))


def save_state(files: StageFiles, trainer: Trainer, history: History,
               settings: dict[str, Any]) -> None:
    with durable_write(files.state) as temporary:
        torch.save({**trainer.state(), "history": asdict(history), "configuration": settings},
                   temporary)


def load_state(files: StageFiles, trainer: Trainer, settings: dict[str, Any]) -> History:
    """Brings the trainer where the stage was last; the history until there.

    Raises SsmaError when the file is damaged, or of another configuration.
    """
    if not files.state.exists():
        return History()
    try:
        # weights_only: nothing in the file is executed.
        state = torch.load(files.state, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise SsmaError(f"cannot read {files.state}: it is damaged; begin the stage anew with "
                        "--restart") from error
    _check_same(files, state["configuration"], settings)
    trainer.load_state(state)
    return History(**state["history"])


def is_finished(files: StageFiles, settings: dict[str, Any]) -> bool:
    """Raises SsmaError when the stage was finished with another configuration."""
    try:
        log = json.loads(files.log.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise SsmaError(f"cannot read {files.log}; begin the stage anew with --restart") from error
    _check_same(files, log.get("configuration", {}), settings)
    return True


def _check_same(files: StageFiles, there: dict[str, Any], here: dict[str, Any]) -> None:
    was, now = _flat(there), _flat(here)
    changed = [f"{name} was {was.get(name)!r}, is {now.get(name)!r}" for name in {**was, **now}
               if was.get(name) != now.get(name)
               and (name in now or not name.startswith("start."))]  # a start that was since deleted
    if changed:
        more = len(changed) - _NAMED_AT_MOST
        listed = "\n  ".join(changed[:_NAMED_AT_MOST] + ([f"and {more} more"] if more > 0 else []))
        raise SsmaError(f"{files.output} holds the stage {files.name} of another configuration:\n"
                        f"  {listed}\nGive another folder with --output, or throw that stage away "
                        "and begin it anew with --restart")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
