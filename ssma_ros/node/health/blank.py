"""Blank images, which come but show nothing: black, without depth, or repeated."""
from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy.typing as npt

from ssma_core import OTHER, Stream, looked_at, same_rows, shows_nothing

Array = npt.NDArray[Any]
Span = tuple[float, float]


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
                   if not same_rows(shown, self._seen.get(stream))}
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
            if reason := shows_nothing(shown, self._is_map[stream], min_valid_depth,
                                       may_be_negative=stream in self._may_be_negative):
                reasons[stream] = reason
            if self._repetition.seconds(stream) > frozen_timeout and stream not in reasons:
                reasons[stream] = "the same image comes again and again, while the other's change"
        return reasons

    def unchanged(self, now: float) -> dict[Stream, float]:
        """See `Repetition.unchanged`."""
        return self._repetition.unchanged(now)
