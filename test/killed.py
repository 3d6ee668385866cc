"""Programs that are killed at a random moment, and what they leave: used by reliability.py and
test_reliability.py.

Each program does a few seconds of work into a folder. It runs in a process that is forked from one
with the libraries loaded already, so that every moment is one of its own work. After each SIGKILL:
its processes are gone; every file under its final name is whole; what was finished is there still.
After the next whole run: the folder is that of a run that was never killed, and nothing is beside.
"""
from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext
from pathlib import Path

from whole_files import content, why_not_whole

Program = Callable[[Path, Path], object]  # of the inputs' folder and the output's folder
GONE_S = 30.0  # within which the processes of a killed one are gone
RGB, AUX, LABEL = "/rgb", "/depth", "/label"


# What is killed: one line for each program. What they read is made in killed_inputs.py.

def ssma(*arguments: object) -> None:
    from ssma_core.cli import main
    _succeed("ssma", main([str(argument) for argument in arguments]))


def evaluate_bag(*arguments: object) -> None:
    from ssma_ros.replay.evaluate_bag import main
    _succeed("evaluate_bag", main([str(argument) for argument in arguments]))


def predict(given: Path, *target: object) -> None:
    ssma("predict", "--model", given / "tiny.onnx", given / "bag", "--topics", RGB, AUX, *target)


def export_labels(given: Path, kind: str, target: Path) -> None:
    ssma("export-labels", given / "data", "--classes", given / "classes.yaml", "--format", kind,
         "--output", target)


def once(target: Path, make: Callable[[Path], object]) -> None:
    """What refuses to write over its result is not asked again once that is there."""
    if not target.exists():
        make(target)


def import_labels(given: Path, output: Path) -> None:
    """Into a data folder with the pictures of the given one, and no label yet."""
    for rgb in given.glob("data/*/rgb"):
        mine = output / rgb.parent.name / "rgb"
        mine.parent.mkdir(exist_ok=True)
        if not mine.is_symlink():
            mine.symlink_to(rgb)
    ssma("import-labels", given / "labels.zip", "--classes", given / "classes.yaml",
         "--data", output)


def train(given: Path, output: Path) -> None:
    from ssma_core.training.loop import train
    from ssma_core.training.stages import read_training
    train(read_training(given / "run.yaml"), output)


def _succeed(name: str, status: int) -> None:
    if status:
        sys.exit(f"{name} ended with status {status}")


PROGRAMS: dict[str, Program] = {
    "train": train,
    "export": lambda given, output: ssma(
        "export", "--model", given / "tiny.safetensors", "--output", output / "m.onnx",
        "--camera", "64x48", "--aux", "uint16"),
    "export int8": lambda given, output: ssma(
        "export", "--model", given / "tiny.safetensors", "--output", output / "m.onnx",
        "--precision", "int8", "--calibrate", given / "frames", "--agreement", "1"),
    "build-engine": lambda given, output: ssma(
        "build-engine", "--model", given / "tiny.onnx", "--output", output / "m.engine",
        "--library", "tensorrt_rtx"),
    "prepare": lambda given, output: ssma(
        "prepare", "synthia", "--root", given / "synthia", "--output", output, "--workers", "1"),
    "extract": lambda given, output: ssma(
        "extract", given / "bag", "--output", output, "--rgb", RGB, "--aux", AUX, "--jobs", "1"),
    "predict": lambda given, output: predict(given, "--output", output),
    "predict --into": lambda given, output: once(
        output / "labelled.mcap", lambda target: predict(given, "--into", target)),
    "predict --video": lambda given, output: once(
        output / "m.mp4", lambda target: predict(given, "--video", target)),
    "register": lambda given, output: ssma(
        "register", given / "bag", "--rgb", RGB, "--aux", AUX, "--by", "images",
        "--output", output / "r.yaml", "--blend", output / "blend.png"),
    "export-labels": lambda given, output: once(
        output / "labels", lambda target: export_labels(given, "labelme", target)),
    "export-labels cvat": lambda given, output: once(
        output / "labels.zip", lambda target: export_labels(given, "cvat", target)),
    "import-labels": import_labels,
    "evaluate": lambda given, output: evaluate_bag(
        given / "bag", "--model", given / "tiny.onnx", "--rgb", RGB, "--aux", AUX,
        "--label", LABEL, "--json", output / "m.json", "--report", output / "m.html"),
    "synthesize": lambda given, output: ssma(
        "synthesize", "--output", output, "--drives", "4", "--frames", "1", "--fps", "1",
        "--size", "64x64"),
}
# What takes long to import, and is loaded before the fork.
LIBRARIES = (
    "ssma_core.training.loop", "ssma_core.export.onnx", "ssma_core.export.int8",
    "ssma_core.datasets.inputs", "ssma_core.datasets.prepare", "ssma_core.commands.prepare",
    "ssma_core.commands.synthesize", "ssma_core.commands.extract", "ssma_core.commands.predict",
    "ssma_core.commands.register", "ssma_core.commands.export_labels",
    "ssma_core.commands.import_labels", "ssma_core.prediction.labelled_bag",
    "ssma_core.prediction.video", "ssma_ros.replay.evaluate_bag",
    "ssma_core.evaluation.of_bags", "ssma_core.backends.onnxruntime")


# What is killed, and what is left

@dataclass
class Outcome:
    """Of one program. problems: all that must not be, in words. seconds: an undisturbed run's.
    compared: folders of runs that were not killed, compared with an undisturbed one's."""

    kills: int = 0
    compared: int = 0
    files: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


class Killer:
    """Runs one program again and again in `folder`, and kills it."""

    def __init__(self, name: str, given: Path, folder: Path,
                 libraries: Iterable[str] = LIBRARIES, seed: int = 0) -> None:
        self._name, self._given, self._folder = name, given, folder
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(libraries))
        self._random = random.Random(seed)
        self.outcome = Outcome()

    def kill(self, times: int) -> Outcome:
        whole = [self._undisturbed("first"), self._undisturbed("second")]
        output = self._fresh("killed")
        while self.outcome.kills < times:
            before = _finished(output)
            process = self._start(output)
            process.join(self._random.uniform(0, self.outcome.seconds))
            killed = process.is_alive()
            if killed:
                os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            if killed and process.exitcode == -signal.SIGKILL:
                self.outcome.kills += 1
                self._look(output, before, process.pid or 0)
                if self.outcome.kills < times and self._random.random() < 0.5:
                    continue  # the next one goes on from here, and is killed too
            self._end(output, whole)
            output = self._fresh("killed")
        return self.outcome

    def _undisturbed(self, name: str) -> Path:
        output = self._fresh(name)
        begin = time.perf_counter()
        process = self._start(output)
        process.join()
        assert process.exitcode == 0, f"status {process.exitcode}: {self._said()}"
        self.outcome.seconds = time.perf_counter() - begin
        self.outcome.files = len(_files(output))
        return output

    def _fresh(self, name: str) -> Path:
        output = self._folder / name
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        return output

    def _start(self, output: Path) -> multiprocessing.process.BaseProcess:
        process = self._context.Process(target=_run, args=(
            self._name, self._given, output, self._folder / "said.txt"))
        process.start()
        return process

    def _said(self) -> str:
        return (self._folder / "said.txt").read_text(errors="replace")[-400:]

    def _look(self, output: Path, before: dict[str, bytes], group: int) -> None:
        """After a kill."""
        found = self.outcome.problems
        if not _gone(group):
            found.append("processes of it outlive it")
        for path in _files(output):
            name = path.relative_to(output)
            if not (_is_hidden(name) or _is_log(name)) and (why := why_not_whole(path)):
                found.append(f"{name}: {why}")
        now = _finished(output)
        found.extend(f"{name} was finished and is {'lost' if name not in now else 'changed'}"
                     for name, content in before.items() if now.get(name) != content)

    def _end(self, output: Path, whole: list[Path]) -> None:
        """A run that is not killed: its folder is as those of the undisturbed runs."""
        process = self._start(output)
        process.join()
        self.outcome.compared += 1
        if process.exitcode:
            self.outcome.problems.append(f"the next run ended with status {process.exitcode}: "
                                         f"{self._said()}")
            return
        names = [{str(path.relative_to(each)) for path in _files(each) if not _is_log(path)}
                 for each in (output, whole[0])]
        self.outcome.problems += [f"{name} is {'left over' if name in names[0] else 'missing'}"
                                  for name in names[0] ^ names[1]]
        self.outcome.problems += [
            f"{name} is not that of an undisturbed run" for name in names[0] & names[1]
            if (wanted := content(whole[0] / name)) == content(whole[1] / name)
            and wanted != content(output / name)]


def _run(name: str, given: Path, output: Path, said: Path) -> None:
    """In the process that is killed."""
    os.setpgid(0, 0)  # with all that it starts
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    PROGRAMS[name](given, output)


def _gone(group: int) -> bool:
    """Whether no process of the group is left, within GONE_S."""
    deadline = time.monotonic() + GONE_S
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _is_hidden(path: Path) -> bool:
    """Whether it is not under its final name."""
    return any(part.startswith(".") for part in path.parts)


def _is_log(path: Path) -> bool:
    """Whether it grows line by line, and belongs to a run and not to its result."""
    return "tfevents" in path.name


def _finished(output: Path) -> dict[str, bytes]:
    """The files that no later run may lose or change: a training's states come and go, and its best
    weights so far are replaced by better ones."""
    return {str(path.relative_to(output)): content(path) for path in _files(output)
            if not _is_hidden(path.relative_to(output)) and not _is_log(path)
            and not path.name.endswith((".state.pt", ".best.safetensors"))}
