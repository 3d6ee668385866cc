"""What an evaluation found, frame by frame, so that two of them can be compared."""
from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.evaluation.inference import Options
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.files import atomic_write, read_json
from ssma_core.plain import from_plain
from ssma_core.spec import ModelSpec

Group = Literal["drive", "condition"]

MOST_PIXELS = 10**12  # of a frame; the sums of any data set then fit into 64 bits


@dataclass(frozen=True)
class FrameResult:
    """One frame's confusion. counts: as in `ConfusionMatrix`. drive, condition: as in `Sample`."""

    name: str
    drive: str
    condition: str | None
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Result:
    """model, configuration: names of the files; the latter with the values set on the command line,
    such as another fold. split: of the configuration's data.
    versions: of what computed it, "name version" each. Raises SsmaError where counts are none or do
    not fit the spec's classes, or two frames have one name."""

    model: str
    configuration: str
    split: str
    spec: ModelSpec
    options: Options
    versions: tuple[str, ...]
    frames: tuple[FrameResult, ...]

    def __post_init__(self) -> None:
        if not self.frames:
            raise SsmaError("there is no frame")
        seen: set[str] = set()
        for frame in self.frames:
            if {len(frame.counts), *map(len, frame.counts)} != {self.spec.classes}:
                raise SsmaError(f"the counts of {frame.name} are not {self.spec.classes} by "
                                f"{self.spec.classes}, as the classes are")
            if min(map(min, frame.counts)) < 0 or max(map(max, frame.counts)) > MOST_PIXELS:
                raise SsmaError(f"the counts of {frame.name} are not all from 0 to {MOST_PIXELS:,}")
            if frame.name in seen:
                raise SsmaError(f"two frames have the name {frame.name}")
            seen.add(frame.name)

    @cached_property
    def counts(self) -> npt.NDArray[np.int64]:
        """All frames', F×N×N."""
        return np.array([frame.counts for frame in self.frames], np.int64)

    def total(self) -> ConfusionMatrix:
        return ConfusionMatrix.summed(self.counts, self.spec.void_id)

    def groups(self, by: Group) -> dict[str, npt.NDArray[np.intp]]:
        """The frames' numbers by drive or condition, in the frames' order; frames without a
        condition are left out."""
        names = [getattr(frame, by) for frame in self.frames]
        return {name: np.array([i for i, other in enumerate(names) if other == name])
                for name in dict.fromkeys(names) if name is not None}

    def matrices(self, by: Group) -> dict[str, ConfusionMatrix]:
        return {name: ConfusionMatrix.summed(self.counts[chosen], self.spec.void_id)
                for name, chosen in self.groups(by).items()}

    def frame_scores(self) -> npt.NDArray[np.float64]:
        """`ConfusionMatrix.frame_score` of every frame, float64[F]."""
        return np.array([ConfusionMatrix.summed(counts[None], self.spec.void_id).frame_score()
                         for counts in self.counts])


def in_words(result: Result) -> str:
    """The figures for people."""
    names = result.spec.class_names
    lines = [f"{result.model} on {result.configuration}, {result.split}: {len(result.frames)} "
             f"frames, {result.options}", result.total().table(names)]
    for group in ("condition", "drive"):
        frames = result.groups(group)
        if frames and (group == "condition" or len(frames) > 1):
            lines += ["", *_group_table(group, result.matrices(group), frames, names)]
    return "\n".join(lines)


def write(result: Result, path: Path) -> None:
    """JSON: the result's fields, and "figures", which follow from the frames: "total", and by name
    "drives" and "conditions". A line a frame. Raises SsmaError when it cannot be written."""
    names = result.spec.class_names
    plain = asdict(result)
    frames = plain.pop("frames")
    plain["figures"] = {"total": result.total().to_dict(names)} | {
        f"{group}s": {name: matrix.to_dict(names)
                      for name, matrix in result.matrices(group).items()}
        for group in ("drive", "condition")}
    lines = ",\n  ".join(json.dumps(frame) for frame in frames)
    head = json.dumps(plain, indent=1).removesuffix("\n}")
    try:
        with atomic_write(path) as temporary:
            temporary.write_text(f'{head},\n "frames": [\n  {lines}\n ]\n}}\n', encoding="utf-8")
    except OSError as error:  # such as a disk without room
        raise SsmaError(f"cannot write {path}: {error.strerror}") from error


def read(path: str | Path) -> Result:
    """Raises SsmaError naming the file when it cannot be read or is no result."""
    values = read_json(path)
    if isinstance(values, dict):
        values.pop("figures", None)
    try:
        return from_plain(Result, values, "the result")
    except SsmaError as error:
        raise SsmaError(f"{path} is no result of evaluate.py: {error}") from error


def pooled(files: str) -> Result:
    """The result in a file; or several on different frames, the folds of a cross-validation, as
    one: "fold_0.json+fold_1.json". Raises SsmaError naming what is wrong with a file."""
    first, *others = names = files.split("+")
    result = read(first)
    for name in others:
        other = read(name)
        if (other.spec, other.options) != (result.spec, result.options):
            raise SsmaError(f"{name} is of another model or other options than {first}: they "
                            "cannot be taken as one result")
        try:
            result = replace(result, frames=result.frames + other.frames)
        except SsmaError as error:
            raise SsmaError(f"{name} cannot be added to {' + '.join(names)}: {error}") from error
    return result


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
            for row in cells]


def _group_table(group: str, matrices: dict[str, ConfusionMatrix],
                 frames: dict[str, npt.NDArray[np.intp]], names: Sequence[str]) -> list[str]:
    """A class that does not occur counts as 0 in the mean, so it is named."""
    table = columns([(group, "mIoU %", "frames"), *(
        (name, f"{100 * matrix.mean_iou():.1f}", str(len(frames[name])))
        for name, matrix in matrices.items())])
    absent = ["", *(matrix.absent(names) for matrix in matrices.values())]
    return [line + (f"  no {', no '.join(missing)}" if missing else "")
            for line, missing in zip(table, absent)]
