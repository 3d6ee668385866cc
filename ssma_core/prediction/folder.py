"""The labels of many frames as pictures, below a folder for each drive."""
from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from ssma_core.datasets.folders import PREDICTED
from ssma_core.datasets.unread import Input, Inputs, Unread
from ssma_core.files import (
    atomic_write,
    check_facts,
    encoded,
    make_folder,
    own_folder,
    write_facts,
)
from ssma_core.prediction.frames import JPEG, Extra, label, painted
from ssma_core.segmenter import Segmentation, Segmenter
from ssma_core.spec import ModelSpec


class Origin(NamedTuple):
    """The files behind a segmenter and its inputs; groups and registration where there are any.
    pairing: of a bag, its topics and how they are paired."""

    model: Path
    source: Path
    groups: Path | None = None
    registration: Path | None = None
    pairing: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """What must be the same where a folder is filled further."""
        found = {"model": self.model.name, "source": str(self.source.absolute()),
                 "sha256": _sha256(self.model), "pairing": list(self.pairing)}
        return found | {name: _sha256(path) for name, path in (
            ("groups", self.groups), ("registration", self.registration)) if path}


class Done(NamedTuple):
    """How many frames were labelled now, from how many of them colour was all there was, and how
    many were labelled before."""

    now: int
    alone: int
    before: int


def write_folder(segmenter: Segmenter, inputs: Inputs, output: Path, extras: Collection[Extra],
                 origin: Origin) -> Done:
    """Writes <output>/<drive>/label/<stem>.png, and likewise confidence and trust (PNG, 0 to 255)
    and overlay (JPEG). Files that are there, and newer than their frame's, are left as they are.

    A drive's folder holds the labels of one model, with one registration and one set of groups, for
    one source.
    Raises SsmaError for a frame that cannot be read or that the model refuses; what was written
    until then stays, and the next run goes on there.
    """
    made = origin.facts() | {"classes": list(segmenter.spec.class_names)}
    two = len(segmenter.spec.modalities) == 2
    done: Counter[str] = Counter()
    with own_folder(output):
        checked: set[str] = set()
        for unread in tqdm(inputs.unread(), total=len(inputs), unit="frame", disable=None):
            if unread.drive not in checked:
                check_facts(output / unread.drive / PREDICTED, made, "holds the labels of another "
                            "model, registration or groups, or for other frames or topics",
                            "holds something else: predictions would mix with it")
                checked.add(unread.drive)
            missing = _missing(unread, output, extras)
            if not missing:
                done["before"] += 1
                continue
            frame = unread.read()
            found = label(segmenter, frame, extras)
            write_facts(output / unread.drive / PREDICTED, made)
            _write(missing, frame, found, segmenter.spec)
            done["now"] += 1
            done["alone"] += two and len(frame.arrays) == 1
    return Done(done["now"], done["alone"], done["before"])


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _missing(unread: Unread, output: Path, extras: Collection[Extra]) -> dict[str, Path]:
    """The files that are not there, or are older than what the frame is read from."""
    newest = max((path.stat().st_mtime_ns for path in unread.files), default=0)
    paths = {kind: output / unread.drive / kind / f"{unread.stem}{_suffix(kind)}"
             for kind in (*extras, "label")}
    return {kind: path for kind, path in paths.items()
            if not path.exists() or path.stat().st_mtime_ns < newest}


def _write(paths: Mapping[str, Path], frame: Input, found: Segmentation, spec: ModelSpec) -> None:
    for kind, path in paths.items():
        if kind == "overlay":
            content = encoded(path, painted(frame.arrays[0], found.labels, spec), JPEG)
        else:
            content = encoded(path, getattr(found, "labels" if kind == "label" else kind))
        make_folder(path.parent)
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)


def _suffix(kind: str) -> str:
    return ".jpg" if kind == "overlay" else ".png"
