"""The labels of many frames as pictures, below a folder for each drive."""
from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ssma_core.datasets.unread import Inputs, Unread
from ssma_core.errors import SsmaError
from ssma_core.files import atomic_write, encoded, make_folder, own_folder, read_json, write_text
from ssma_core.prediction.frames import Extra, jpeg, label, painted
from ssma_core.segmenter import Segmenter

MADE = "predict.json"  # whose labels a drive's folder holds


class Origin(NamedTuple):
    """The files behind a segmenter and its inputs; groups and registration where there are any."""

    model: Path
    source: Path
    groups: Path | None = None
    registration: Path | None = None

    def facts(self) -> dict[str, str]:
        """What must be the same where a folder is filled further."""
        found = {"model": self.model.name, "source": str(self.source.absolute()),
                 "sha256": _sha256(self.model)}
        return found | {name: _sha256(path) for name, path in (
            ("groups", self.groups), ("registration", self.registration)) if path}


def write_folder(segmenter: Segmenter, inputs: Inputs, output: Path, extras: Collection[Extra],
                 origin: Origin) -> tuple[int, int]:
    """Writes <output>/<drive>/label/<stem>.png, and likewise confidence and trust (PNG, 0 to 255)
    and overlay (JPEG). Frames whose files are there are left as they are.

    A drive's folder holds the labels of one model, with one registration and one set of groups, for
    one source. Returns how many frames were
    labelled now, and how many were before.
    Raises SsmaError for a frame that cannot be read or that the model refuses; what was written
    until then stays, and the next run goes on there.
    """
    made = origin.facts()
    with own_folder(output):
        done: Counter[bool] = Counter()
        claimed = set()
        for frame in tqdm(inputs.unread(), total=len(inputs), unit="frame", disable=None):
            if frame.drive not in claimed:
                _claim(output / frame.drive, made)
                claimed.add(frame.drive)
            done[_written(segmenter, frame, output, extras)] += 1
    return done[True], done[False]


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _written(segmenter: Segmenter, unread: Unread, output: Path, extras: Collection[Extra]) -> bool:
    """Whether there was anything to write. The label comes last: where it is, all is."""
    paths = {kind: output / unread.drive / kind / f"{unread.stem}{_suffix(kind)}"
             for kind in (*extras, "label")}
    if all(path.exists() for path in paths.values()):
        return False
    frame = unread.read()
    found = label(segmenter, frame, extras)
    for kind, path in paths.items():
        if kind == "overlay":
            content = jpeg(painted(frame.arrays[0], found.labels, segmenter.spec))
        else:
            content = encoded(path, getattr(found, "labels" if kind == "label" else kind))
        make_folder(path.parent)
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    return True


def _suffix(kind: str) -> str:
    return ".jpg" if kind == "overlay" else ".png"


def _claim(drive: Path, made: dict[str, str]) -> None:
    """Raises SsmaError where the folder holds something else, such as true labels."""
    make_folder(drive)
    described = drive / MADE
    if described.exists():
        if read_json(described) != made:
            raise SsmaError(f"{drive} holds the labels of another model, registration or groups, "
                            "or for other frames: give another --output, or remove it "
                            f"({described} says whose)")
    elif any(not path.name.startswith(".") for path in drive.iterdir()):
        raise SsmaError(f"{drive} holds something else: predictions would mix with it; give "
                        "another --output")
    else:
        write_text(described, json.dumps(made, indent=1))
