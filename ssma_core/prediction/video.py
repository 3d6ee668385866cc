"""A video to look at: what the sensors see, the labels, and how much the second sensor is trusted.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core.datasets.unread import Input, Inputs, Unread
from ssma_core.errors import SsmaError
from ssma_core.files import atomic_write, check_new
from ssma_core.modalities import encode
from ssma_core.modalities.scale import for_people
from ssma_core.pictures import contact_sheet, legend, overlay, resize_nearest
from ssma_core.prediction.frames import label
from ssma_core.segmenter import Segmentation, Segmenter
from ssma_core.spec import ModelSpec

Image = npt.NDArray[np.uint8]

CODEC = b"mp4v"  # the only one for .mp4 that every build of OpenCV with FFmpeg can write
HZ = 30
LONGEST = 2.0  # seconds that a frame is shown at most: pauses of a recording are cut
UNSTAMPED = 0.1  # seconds that a frame without a stamp is shown
WIDTH = 1280  # pixels


class Shown(NamedTuple):
    """A picture of the video. stamp_ns: when it was taken; None: that is not known."""

    picture: Image
    stamp_ns: int | None


def check(target: Path) -> None:
    """Raises SsmaError where the video cannot be written, or a file is there."""
    if target.suffix.lower() != ".mp4":
        raise SsmaError(f"cannot write {target}: a video is an MP4 file; name it .mp4")
    check_new(target)


def write_video(segmenter: Segmenter, inputs: Inputs, target: Path) -> None:
    """Writes an .mp4 of all frames at the pace of their stamps: those of a bag's images, or of
    pictures that are named by nanoseconds.

    target: it passed `check`. Raises SsmaError for a frame that cannot be read or that the model
    refuses, and where OpenCV cannot write the video; the target is then not there.
    """
    frames = tqdm(inputs.unread(), total=len(inputs), unit="frame", disable=None)
    with atomic_write(target) as temporary:
        written = _film(temporary, target, paced(_shown(segmenter, frame) for frame in frames))
        found = cv2.VideoCapture(str(temporary))
        whole = found.isOpened() and round(found.get(cv2.CAP_PROP_FRAME_COUNT)) == written
        found.release()
        if not whole:  # OpenCV says nothing of a full disk
            raise SsmaError(f"cannot write {target}: OpenCV could not finish it; is there room on "
                            "the disk?")


def _film(path: Path, target: Path, pictures: Iterable[Image]) -> int:
    """Returns how many pictures were written."""
    video, size, count = None, (0, 0), 0
    try:
        for count, picture in enumerate(pictures, 1):  # noqa: B007  # used after the loop
            if video is None:
                size = (picture.shape[1], picture.shape[0])
                video = cv2.VideoWriter(str(path), int.from_bytes(CODEC, "little"), HZ, size)
                if not video.isOpened():
                    raise SsmaError(f"cannot write {target}: this OpenCV has no encoder for "
                                    f"{CODEC.decode()}; pip's opencv-python-headless has one")
            video.write(_of_size(picture, size))
    finally:
        if video is not None:
            video.release()
    return count


def paced(frames: Iterable[Shown]) -> Iterator[Image]:
    """Each picture as often as it is shown at HZ, until the next one's stamp."""
    due, shown, before = 0.0, 0, None
    for frame in frames:
        if before is not None:
            due += _seconds(before, frame)
            for _ in range(shown, round(due * HZ)):
                yield before.picture
            shown = round(due * HZ)
        before = frame
    if before is not None:
        yield before.picture


def _seconds(first: Shown, second: Shown) -> float:
    """How long the first one is shown. Where a clock was set back, that is not known."""
    if first.stamp_ns is None or second.stamp_ns is None or second.stamp_ns <= first.stamp_ns:
        return UNSTAMPED
    return min((second.stamp_ns - first.stamp_ns) / 1e9, LONGEST)


def _shown(segmenter: Segmenter, unread: Unread) -> Shown:
    frame = unread.read()
    two = len(segmenter.spec.modalities) == 2
    found = label(segmenter, frame, ["trust"] if two else [])
    named = unread.stem.isdecimal() and len(unread.stem) >= 16
    stamp_ns = frame.header.stamp_ns if frame.header else int(unread.stem) if named else None
    panels = _panels(frame, found, segmenter)
    caption, seen = panels[0]
    panels[0] = f"{unread.drive} {unread.stem}: {caption}", seen
    return Shown(_picture(panels, segmenter.spec), stamp_ns)


def _picture(panels: list[tuple[str, Image]], spec: ModelSpec) -> Image:
    """The panels two by two, and the classes' colours."""
    if len(panels) % 2:
        panels = [*panels, ("", np.full_like(panels[0][1], 255))]
    rows = [contact_sheet([[panel for _, panel in panels[i:i + 2]]],
                          [name for name, _ in panels[i:i + 2]], WIDTH)
            for i in range(0, len(panels), 2)]
    sheet = np.vstack([*rows, legend(spec, rows[0].shape[1])])
    return cv2.copyMakeBorder(sheet, 0, sheet.shape[0] % 2, 0, sheet.shape[1] % 2,  # codecs need it
                              cv2.BORDER_CONSTANT, value=(255, 255, 255))


def _panels(frame: Input, found: Segmentation, segmenter: Segmenter) -> list[tuple[str, Image]]:
    """Captions and pictures. What is shown small is made small."""
    spec, first = segmenter.spec, frame.arrays[0]
    size = (WIDTH // 2, max(1, round(WIDTH / 2 * first.shape[0] / first.shape[1])))
    seen = cv2.resize(for_people(first, "grey"), size, interpolation=cv2.INTER_AREA)
    labels = resize_nearest(found.labels, size)
    panels = [("colour" if first.ndim == 3 else spec.modalities[0].name, seen)]
    if len(frame.arrays) == 2:
        fitting = segmenter.registered(*frame.arrays)
        second = encode(spec.modalities[-1], _small(fitting, size), seen)
        panels.append((spec.modalities[-1].name, second))
    elif found.trust is not None:
        panels.append((f"{spec.modalities[1].name}: none", np.zeros_like(seen)))
    panels.append(("labels", overlay(seen, labels, spec)))
    if found.trust is not None:
        panels.append((f"trust in {spec.modalities[1].name}: black none, white full",
                       cv2.cvtColor(resize_nearest(found.trust, size), cv2.COLOR_GRAY2BGR)))
    return panels


def _small(array: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    if array.ndim == 2:
        return resize_nearest(array, size)
    return cv2.resize(array, size, interpolation=cv2.INTER_AREA)


def _of_size(picture: Image, size: tuple[int, int]) -> Image:
    """The whole picture in a white one of this (width, height): drives differ in their cameras."""
    if picture.shape[1::-1] == size:
        return picture
    scale = min(size[0] / picture.shape[1], size[1] / picture.shape[0])
    width, height = (max(1, int(side * scale)) for side in picture.shape[1::-1])
    whole = np.full((size[1], size[0], 3), 255, np.uint8)
    whole[:height, :width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    return whole
