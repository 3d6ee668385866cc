"""Blank images, which come but show nothing: black, without depth, or the same one again and again.

Some rows of every image are examined, so that it takes far less than a millisecond.
"""
from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core import OTHER, Stream

Array = npt.NDArray[Any]
Span = tuple[float, float]

ROWS = 64
DARK = 8  # pixels behind a lens cap, in the unit of any sensor with integer values
# Behind a lens cap a camera turns its gain up: noise, in images of 8 bits.
DIM = 32  # all but BRIGHT of the pixels are darker
BRIGHT = 0.005  # of the pixels, by noise or because they are hot
BLOCK = (16, 4)  # rows and columns whose mean has hardly any noise left
STRUCTURE = 4.0  # how much more the means of blocks differ than noise would let them


def looked_at(image: Array) -> Array:
    """About ROWS rows of an image, from top to bottom, as a copy."""
    return np.ascontiguousarray(image[::max(1, len(image) // ROWS)])


def is_black(rows: Array) -> bool:
    """Whether no pixel is brighter than DARK, or than 0 where a sensor's values are floats."""
    return bool(rows.max() <= (DARK if np.issubdtype(rows.dtype, np.integer) else 0))


def is_noise(rows: Array) -> bool:
    """Whether an image of 8 bits is dim, and no place in it differs from another by more than
    noise. At night something is lit, or the sky differs from the ground."""
    if rows.dtype != np.uint8 or np.count_nonzero(rows > DIM) > BRIGHT * rows.size:
        return False
    down, across = (size // side for size, side in zip(rows.shape, BLOCK))
    if not (down and across):
        return False
    channels = rows[:down * BLOCK[0], :across * BLOCK[1]].astype(np.float32)
    channels = np.minimum(channels, DIM).reshape(*channels.shape[:2], -1)
    blocks = channels.reshape(down, BLOCK[0], across, BLOCK[1], -1).mean(axis=(1, 3))
    by_noise = channels.var(axis=(0, 1)) / (BLOCK[0] * BLOCK[1])
    return bool(np.all(blocks.var(axis=(0, 1)) <= STRUCTURE * by_noise))


def valid_share(rows: Array) -> float:
    """The share of valid pixels in a map, 0…1. Invalid: 0 and below, NaN, infinity."""
    return float(np.mean((rows > 0) & np.isfinite(rows)))


class Repetition:
    """Finds the stream that sends the same bytes again while the other stream changes.

    Its camera hangs: a camera's noise is never the same twice. Where both repeat, the scene stands
    still, as in a simulation. Where the other changed only now and then, nothing is certain.
    """

    def __init__(self) -> None:
        self._seen: dict[Stream, Array] = {}
        # when the other stream's image changed first and last since this one's last change
        self._other_changed: dict[Stream, Span] = {}
        self._changed: dict[Stream, float] = {}  # when its own image changed last

    def look(self, rows: Mapping[Stream, Array], now: float) -> None:
        """Takes the rows of one image of a stream, or of each, at the time `now` in seconds."""
        changed = {stream for stream, shown in rows.items()
                   if not _same(shown, self._seen.get(stream))}
        self._seen |= rows
        for stream in rows:
            if stream in changed:
                self._changed[stream] = now
                self._other_changed.pop(stream, None)
            elif OTHER[stream] in changed:
                first, _ = self._other_changed.get(stream, (now, now))
                self._other_changed[stream] = first, now

    def seconds(self, stream: Stream) -> float:
        """For how many seconds the other stream's images changed while this one's did not."""
        first, last = self._other_changed.get(stream, (0.0, 0.0))
        return last - first

    def unchanged(self, now: float) -> dict[Stream, float]:
        """For how many seconds each stream's image did not change."""
        return {stream: now - changed for stream, changed in self._changed.items()}


class BlankDetector:
    """Finds blank images of both streams; images are given in the order in which they come.

    is_map: for each stream, whether its pixels are measurements, where 0 and below are invalid.
    may_be_negative: the streams whose floats may have any value, such as temperatures.
    """

    def __init__(self, is_map: Mapping[Stream, bool],
                 may_be_negative: Collection[Stream] = ()) -> None:
        self._is_map, self._may_be_negative = is_map, may_be_negative
        self._repetition = Repetition()

    def blank(self, images: Mapping[Stream, Array], now: float, *, min_valid_depth: float,
              frozen_timeout: float) -> dict[Stream, str]:
        """The streams whose image is blank, and why, in words.

        images: one of each stream that has one, H×W or H×W×3. now: when they came, in seconds.
        """
        rows = {stream: looked_at(image) for stream, image in images.items()}
        self._repetition.look(rows, now)
        reasons = {}
        for stream, shown in rows.items():
            if self._is_map[stream] and shown.ndim == 2:
                share = valid_share(shown)
                if share < min_valid_depth:
                    reasons[stream] = (f"{100 * share:.1f} % of the pixels are valid, less than "
                                       f"min_valid_depth")
            elif stream in self._may_be_negative and shown.dtype.kind == "f":
                if not np.isfinite(shown).any():
                    reasons[stream] = "no pixel has a value"
            elif is_black(shown):
                reasons[stream] = "they are black"
            elif is_noise(shown):
                reasons[stream] = "they are black but for the sensor's noise"
            if self._repetition.seconds(stream) > frozen_timeout and stream not in reasons:
                reasons[stream] = "the same image comes again and again, while the other's change"
        return reasons

    def unchanged(self, now: float) -> dict[Stream, float]:
        """See `Repetition.unchanged`."""
        return self._repetition.unchanged(now)


def _same(rows: Array, before: Array | None) -> bool:
    """Byte for byte: NaNs are equal."""
    return (before is not None and rows.shape == before.shape and rows.dtype == before.dtype
            and np.array_equal(rows.view(np.uint8), before.view(np.uint8)))
