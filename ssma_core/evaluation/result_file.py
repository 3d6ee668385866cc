"""Results as JSON: one writer and one reader, for data sets and for bags.

A line holds one frame, with its counts as N rows of N numbers, and its boundaries as N rows of 8,
see `boundary.count`. Thousands of frames of dozens of classes are millions of numbers: they are
read by NumPy, the rest by the json module.
"""
from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.evaluation import figures
from ssma_core.evaluation.boundary import COUNTED
from ssma_core.evaluation.results import DatasetSource, DriveResult, Result
from ssma_core.files import write_text
from ssma_core.plain import from_json, from_plain

# `Result.drives` is called this in the file. `Result.source` is under these names.
DRIVES = "runs"
BAG_SOURCE, DATASET_SOURCE = "settings", ("configuration", "split", "options")
_RARE = {"label", "truth", "ignore", "label_groups", "registration"}
_BOUNDARY_NUMBERS = 2 * COUNTED
# A quote within a JSON string is escaped, so what matches is the value of a key.
_COUNTS = re.compile(
    rb'(?<!\\)"(counts|boundaries)"\s*:\s*(\[[\d,\s]*(?:\[[\d,\s]*\][\s,]*)*\])')


def write_result(result: Result, path: Path) -> None:
    """Raises SsmaError when the file cannot be written."""
    plain: dict[str, Any] = {"model": result.model}
    source = _given(asdict(result.source))
    plain |= source if isinstance(result.source, DatasetSource) else {BAG_SOURCE: source}
    plain |= {name: value for name in ("backend", "precision", "machine", "processes")
              if (value := getattr(result, name)) is not None}
    plain |= {"versions": result.versions, "spec": asdict(result.spec),
              "figures": figures.of_result(result)}
    drives = {DRIVES: result.drives} | ({"live": result.live} if result.of_bags else {})
    head = json.dumps(plain, indent=1).removesuffix("\n}")
    tail = ",\n".join(f' "{name}": [{",".join(map(_drive_in_json, each))}\n ]'
                      for name, each in drives.items())
    write_text(path, f"{head},\n{tail}\n}}\n")


def _given(source: dict[str, Any]) -> dict[str, Any]:
    """A source's fields, the rare ones only where they are given."""
    return {name: _given(value) if isinstance(value, dict) else value
            for name, value in source.items() if name not in _RARE or value}


def read_result(path: str | Path) -> Result:
    """Raises SsmaError naming the file when it cannot be read or is no result.

    Reads the files of the last version, too."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    tables: list[bytes] = []

    def take(found: re.Match[bytes]) -> bytes:
        tables.append(found[2])
        # Nothing else matches that is as short.
        return b'"%b":[%d]' % (found[1], len(tables) - 1)

    values = from_json(_COUNTS.sub(take, data), str(path))
    try:
        return from_plain(Result, _as_fields(values, tables), "the result")
    except SsmaError as error:
        raise SsmaError(f"{path} is no result of evaluate.py or evaluate_bag: {error}") from error


def pooled(files: str) -> Result:
    """The result in a file; or several on different frames, the folds of a cross-validation, as
    one: "fold_0.json+fold_1.json". Raises SsmaError naming what is wrong with a file."""
    first, *others = names = [files] if Path(files).is_file() else files.split("+")
    result = read_result(first)
    for name in others:
        other = read_result(name)
        if (other.spec, other.settings) != (result.spec, result.settings):
            raise SsmaError(f"{name} is of another model or other options than {first}: they "
                            "cannot be taken as one result")
        try:
            result = replace(result, drives=result.drives + other.drives,
                             live=result.live + other.live)
        except SsmaError as error:
            raise SsmaError(f"{name} cannot be added to {' + '.join(names)}: {error}") from error
    return result


def _drive_in_json(drive: DriveResult) -> str:
    facts: dict[str, Any] = {"name": drive.name}
    if drive.timeline is not None:
        facts |= {"timeline": asdict(drive.timeline), "ends": drive.ends,
                  "clock_jumps": drive.clock_jumps}
    lines, counts = [], iter(drive.counts)
    boundaries = None if drive.boundaries is None else iter(
        drive.boundaries.reshape(*drive.boundaries.shape[:2], _BOUNDARY_NUMBERS))
    for frame in drive.frames:
        known = {name: value for name, value in vars(frame).items()
                 if name != "scored" and value is not None}
        known["counts"] = next(counts).tolist() if frame.scored else None
        if boundaries and frame.scored:
            known["boundaries"] = next(boundaries).tolist()
        lines.append(json.dumps(known))
    head = json.dumps(facts).removesuffix("}")
    return f'\n  {head}, "frames": [\n   ' + ",\n   ".join(lines) + "\n  ]}"


def _as_fields(values: Any, tables: list[bytes]) -> Any:
    """A file's values under the names of `Result`'s fields. tables: its counts; the values hold
    [place in tables] instead."""
    if not isinstance(values, dict):
        return values
    values.pop("figures", None)
    if "frames" in values:  # the last version's, of a data set
        values[DRIVES] = _by_drive(values.pop("frames"))
    if BAG_SOURCE in values:
        values["source"] = values.pop(BAG_SOURCE)
    else:
        values["source"] = {name: values.pop(name) for name in DATASET_SOURCE if name in values}
    if not isinstance(values.get("spec"), dict):
        raise SsmaError("it lacks spec")
    if DRIVES not in values:
        raise SsmaError(f"it lacks {DRIVES}")
    classes = len(_listed(values["spec"].get("class_names", []), "class_names"))
    for name in (DRIVES, "live"):
        for i, drive in enumerate(_listed(values.get(name, []), name)):
            _take_counts(_named(drive, f"{name}[{i}]"), tables, classes)
    values["drives"] = values.pop(DRIVES)
    return values


def _by_drive(frames: Any) -> list[dict[str, Any]]:
    drives: dict[str, list[Any]] = {}
    for i, frame in enumerate(_listed(frames, "frames")):
        if "drive" not in _named(frame, f"frames[{i}]"):
            raise SsmaError(f"frames[{i}] lacks drive")
        drives.setdefault(frame.pop("drive"), []).append(frame)
    return [{"name": name, "frames": frames} for name, frames in drives.items()]


def _take_counts(drive: dict[str, Any], tables: list[bytes], classes: int) -> None:
    """Moves the counts of a drive's frames into arrays."""
    if "bag" in drive:  # the last version's
        drive["name"] = drive.pop("bag")
    counts: list[tuple[str, Any]] = []
    boundaries: list[tuple[str, Any]] = []
    for i, frame in enumerate(_listed(drive.get("frames", []), "frames")):
        found = _named(frame, f"frames[{i}]").pop("counts", None)
        of_frame = frame.pop("boundaries", None)
        frame["scored"] = found is not None
        if found is not None:
            name = f"{frame.get('name', frame.get('stamp_ns', i))}"
            counts.append((f"the counts of {name}", found))
            boundaries.append((f"the boundaries of {name}", of_frame))
    drive["counts"] = _arrays(counts, tables, classes, classes)
    missing = [what for what, values in boundaries if values is None]
    if not missing:
        drive["boundaries"] = _arrays(boundaries, tables, classes, _BOUNDARY_NUMBERS).reshape(
            -1, classes, 2, COUNTED)
    elif len(missing) < len(boundaries):
        raise SsmaError(f"{missing[0]} are missing, and other frames have theirs")


def _arrays(values: Sequence[tuple[str, Any]], tables: list[bytes], rows: int,
            columns: int) -> npt.NDArray[np.int64]:
    """F×rows×columns. values: what they are, in words, and themselves, of each frame."""
    found = np.zeros((len(values), rows, columns), np.int64)
    texts: list[bytes] = []
    places: list[int] = []
    for i, (what, value) in enumerate(values):
        if _is_place(value, tables):
            texts.append(tables[value[0]])
            places.append(i)
            _check_shape(texts[-1], rows, columns, what)
        else:
            found[i] = _array(value, rows, columns, what)
    found[places] = _numbers(texts, rows, columns)
    return found


def _is_place(counts: Any, tables: list[bytes]) -> bool:
    """Whether it stands for one of the tables, see `read_result`."""
    return (isinstance(counts, list) and len(counts) == 1 and type(counts[0]) is int
            and 0 <= counts[0] < len(tables))


def _check_shape(text: bytes, rows: int, columns: int, what: str) -> None:
    row = b"[" + b"," * (columns - 1) + b"]"
    if text.translate(None, b"0123456789 \t\r\n") != b"[" + b",".join([row] * rows) + b"]":
        raise SsmaError(f"{what} are not {rows} by {columns}")


def _numbers(texts: Iterable[bytes], rows: int, columns: int) -> npt.NDArray[np.int64]:
    """Of tables that have the right shape."""
    text = b",".join(texts).translate(None, b"[]")
    if not text:
        return np.zeros((0, rows, columns), np.int64)
    digits = np.frombuffer(text, np.uint8) >= ord("0")
    written = int(digits[0]) + np.count_nonzero(digits[1:] & ~digits[:-1])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # of NumPy, for what is no number
            numbers = np.fromstring(text.decode(), np.int64, sep=",")
        if len(numbers) != written:
            raise ValueError
        return numbers.reshape(-1, rows, columns)
    except (DeprecationWarning, ValueError) as error:
        raise SsmaError("counts must be whole numbers with commas between them") from error


def _array(counts: Any, rows: int, columns: int, what: str) -> npt.NDArray[np.int64]:
    """What is no table of whole numbers from 0 on: raises SsmaError, or else `DriveResult` will."""
    try:
        array = np.array(counts)
    except ValueError:  # rows of different lengths
        array = np.zeros(0)
    if array.shape != (rows, columns):
        raise SsmaError(f"{what} are not {rows} by {columns}")
    if array.dtype.kind != "i":
        raise SsmaError(f"{what} must be whole numbers, got {counts!r}")
    return array.astype(np.int64)


def _named(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise SsmaError(f"{where} must be a mapping of names to values, got {value!r}")


def _listed(value: Any, where: str) -> list[Any]:
    if isinstance(value, list):
        return value
    raise SsmaError(f"{where} must be a list, got {value!r}")
