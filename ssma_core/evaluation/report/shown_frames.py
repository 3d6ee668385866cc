"""The frames that a report shows, the worst and typical ones. They are kept as encoded pictures, so
that a long bag takes no more memory than a short one."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core import modalities
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.pictures import colourize, resize_nearest
from ssma_core.spec import ModelSpec

Image = npt.NDArray[np.uint8]

WORST, TYPICAL = 8, 4
SAMPLED = 24  # frames of a bag, drawn at random, of which the most typical are shown
MOMENTS = 60  # of a bag, of which no two of the worst frames are
WIDTH = 768  # pixels: no picture is wider
_WRONG = (92, 59, 255, 255)  # BGRA
_RIGHT = (20, 14, 10, 170)


@dataclass(frozen=True)
class ShownFrame:
    """A frame to show. score: as `ConfusionMatrix.frame_score`.

    ious: its classes' IoU, by class id, those that occur. Pictures: colour and second JPEG, label,
    truth and wrong PNG; wrong darkens what is right or void.
    """

    bag: str
    stamp_ns: int
    score: float
    ious: dict[int, float]
    size: tuple[int, int]
    colour: bytes
    second: bytes
    label: bytes
    truth: bytes
    wrong: bytes


@dataclass
class FrameSelection:
    """Takes the frames of one bag one after the other and keeps few.

    seconds: how long the bag is. worst: at most WORST; two of them are at least a sixtieth of the
    bag, and a second, apart. sampled: at most SAMPLED, each frame with the same chance (reservoir
    sampling), the same ones in every run.
    """

    seconds: float
    worst: list[ShownFrame] = field(default_factory=list)
    sampled: list[ShownFrame] = field(default_factory=list)
    _seen: int = 0
    _random: Random = field(default_factory=lambda: Random(0))

    def offer(self, score: float, stamp_ns: int, look: Callable[[], ShownFrame]) -> None:
        """score: NaN for a frame that cannot be judged; it is not kept. look: encodes the frame; it
        is called only if the frame is kept."""
        if np.isnan(score):
            return
        made: ShownFrame | None = None
        if self._is_worst(score, stamp_ns):
            made = look()
            self._keep_worst(made)
        place = self._random.randrange(self._seen + 1)
        self._seen += 1
        if place < SAMPLED:
            made = made or look()
            if len(self.sampled) < SAMPLED:
                self.sampled.append(made)
            else:
                self.sampled[place] = made

    def _is_worst(self, score: float, stamp_ns: int) -> bool:
        near = [kept for kept in self.worst if self._are_near(kept.stamp_ns, stamp_ns)]
        if near:
            return score < min(kept.score for kept in near)
        return len(self.worst) < WORST or score < self.worst[-1].score

    def _are_near(self, one_ns: int, other_ns: int) -> bool:
        return abs(one_ns - other_ns) < 1e9 * max(1.0, self.seconds / MOMENTS)

    def _keep_worst(self, look: ShownFrame) -> None:
        far = [kept for kept in self.worst if not self._are_near(kept.stamp_ns, look.stamp_ns)]
        self.worst = sorted([*far, look], key=lambda kept: kept.score)[:WORST]


def show_frame(spec: ModelSpec, bag: str, stamp_ns: int, matrix: ConfusionMatrix, *,
               rgb: Image, aux: npt.NDArray[Any], labels: Image,
               truth: npt.NDArray[Any]) -> ShownFrame:
    """Encodes a frame. matrix: its counts. rgb, aux: as the model gets them, registered.
    labels, truth: H×W class ids."""
    width = min(WIDTH, rgb.shape[1])
    size = (width, max(1, round(rgb.shape[0] * width / rgb.shape[1])))
    truth = truth.astype(np.uint8)
    wrong = np.where(((labels != truth) & (truth != spec.void_id))[..., None],
                     np.array(_WRONG, np.uint8), np.array(_RIGHT, np.uint8))
    second = modalities.encode(spec.modalities[-1], aux, rgb)
    photos = [_encoded(cv2.resize(each, size, interpolation=cv2.INTER_AREA), ".jpg")
              for each in (rgb, second)]
    maps = [_encoded(resize_nearest(each, size), ".png")
            for each in (colourize(labels, spec), colourize(truth, spec), wrong)]
    ious = {i: iou for i, iou in enumerate(matrix.iou().tolist()) if not np.isnan(iou)}
    return ShownFrame(bag, stamp_ns, matrix.frame_score(), ious, size, *photos, *maps)


def chosen(sheets: Iterable[FrameSelection],
           scores: npt.NDArray[np.float64]) -> tuple[list[ShownFrame], list[ShownFrame]]:
    """The worst frames of all bags, the worst first, and the typical ones: of those sampled, the
    nearest to the median of all frames' scores, in their order."""
    sheets = list(sheets)
    worst = sorted((look for sheet in sheets for look in sheet.worst),
                   key=lambda look: look.score)[:WORST]
    shown = {(look.bag, look.stamp_ns) for look in worst}
    others = [look for sheet in sheets for look in sheet.sampled
              if (look.bag, look.stamp_ns) not in shown]
    known = scores[~np.isnan(scores)]
    median = float(np.median(known)) if len(known) else 0.0
    typical = sorted(others, key=lambda look: abs(look.score - median))[:TYPICAL]
    return worst, sorted(typical, key=lambda look: (look.bag, look.stamp_ns))


def _encoded(picture: npt.NDArray[np.uint8], suffix: str) -> bytes:
    quality = [cv2.IMWRITE_JPEG_QUALITY, 82] if suffix == ".jpg" else [
        cv2.IMWRITE_PNG_COMPRESSION, 9]
    encoded, data = cv2.imencode(suffix, picture, quality)
    assert encoded  # both formats are in every OpenCV
    return data.tobytes()
