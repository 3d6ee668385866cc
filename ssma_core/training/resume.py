"""A stage's files in the output folder: the state to resume from, the log of a finished stage."""
from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ssma_core.disk.partial import left_of, lock
from ssma_core.errors import SsmaError
from ssma_core.files import atomic_write, behind_links, read_json
from ssma_core.training.stages import Stage, Training
from ssma_core.training.start import imagenet_hash, start_files
from ssma_core.training.trainer import Trainer

_MAX_LISTED = 5


@dataclass
class History:
    """The results of a stage so far.

    losses: one value per step. validation: for each validation a mapping {"step", "miou", "iou",
    "counts"}. seconds: of training, without the time lost when it was stopped.
    """

    losses: list[float] = field(default_factory=list)
    validation: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def step(self) -> int:
        """The number of steps done."""
        return len(self.losses)


@dataclass(frozen=True)
class StageFiles:
    """The files that a stage writes to `output`."""

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

    def _all(self) -> tuple[Path, ...]:
        """The log is first: without it, no other file counts."""
        return self.log, self.state, self.model, self.best, self.curves

    def remove(self) -> None:
        """Removes all files, so that the stage starts again."""
        for file in self._all():
            file.unlink(missing_ok=True)
        shutil.rmtree(self.tensorboard, ignore_errors=True)

    @contextmanager
    def own(self) -> Iterator[None]:
        """While the block runs, no other process is in it. Removes what a process left that was
        killed while it wrote. Raises SsmaError when another process trains the stage."""
        with lock(self.output / f".{self.name}.lock",
                  f"trains the stage {self.name} in {self.output}"):
            for file in self._all():
                for left in left_of(file):
                    left.unlink()
            if self.log.exists():  # it was killed between writing the log and deleting the state
                self.state.unlink(missing_ok=True)
            yield


@contextmanager
def durable_write(path: Path) -> Iterator[Path]:
    """As `atomic_write`, and durable: after it returns, the file survives a power loss.

    Raises SsmaError when it cannot be written, for example on a full disk."""
    try:
        with atomic_write(path) as temporary:
            yield temporary
            _flush(temporary)
        _flush(behind_links(path).parent)
    except SsmaError as error:
        raise SsmaError(f"{error}; the same command then resumes from the last state") from error
    except RuntimeError as error:  # torch.save's
        raise SsmaError(f"cannot write {path}: {error}; make room there; the same command then "
                        "resumes from the last state") from error


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def configuration(training: Training, stage: Stage, output: Path) -> dict[str, Any]:
    """Everything that determines what a stage learns and logs, as plain data, with the first 16
    digits of the SHA-256 of the files that it starts from."""
    start = {name: hashlib.sha256(file.read_bytes()).hexdigest()[:16]
             for name, file in zip(stage.start, start_files(stage, output)) if file.exists()}
    start |= {name: digest[:16]
              for name, digest in imagenet_hash(training, stage, output).items()}
    data = {"train": asdict(training.data.train), "validation": asdict(training.data.validation),
            "label_groups": training.data.label_groups}
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
    """Restores the trainer from the stage's last state, if there is one. Returns its history.

    Raises SsmaError when the file is damaged, or is of another configuration.
    """
    if not files.state.exists():
        return History()
    try:
        # weights_only: nothing in the file is executed.
        state = torch.load(files.state, map_location="cpu", weights_only=True)
        _check_same(files, state["configuration"], settings)
        trainer.load_state(state)
        return History(**state["history"])
    except SsmaError:
        raise
    except Exception as error:  # torch's readers, and values that are not there, raise anything
        raise SsmaError(f"cannot read {files.state}: it is damaged; start the stage again with "
                        "--restart") from error


def is_finished(files: StageFiles, settings: dict[str, Any]) -> bool:
    """Whether the stage has a log. Raises SsmaError when the log cannot be read, or is of another
    configuration."""
    if not files.log.exists():
        return False
    try:
        log = read_json(files.log)
        there = dict(log.get("configuration", {}))
    except (SsmaError, AttributeError, TypeError, ValueError) as error:
        raise SsmaError(f"cannot read {files.log}; start the stage again with --restart") from error
    _check_same(files, there, settings)
    return True


def _check_same(files: StageFiles, there: dict[str, Any], here: dict[str, Any]) -> None:
    was, now = _flat(there), _flat(here)
    changed = [f"{name} was {was.get(name)!r}, is {now.get(name)!r}" for name in {**was, **now}
               if was.get(name) != now.get(name)
               and (name in now or not name.startswith("start."))]  # the start may be deleted since
    if changed:
        more = len(changed) - _MAX_LISTED
        listed = "\n  ".join(changed[:_MAX_LISTED] + ([f"and {more} more"] if more > 0 else []))
        raise SsmaError(f"{files.output} holds the stage {files.name} of another configuration:\n"
                        f"  {listed}\nGive another folder with --output, or delete that stage and "
                        "start it again with --restart")


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens {"a": {"b": 1}} to {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
