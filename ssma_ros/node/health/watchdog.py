"""When a stream has waited long enough for the other, and its images are to be labelled alone.

Pure Python and without a clock of its own. Colour waits for pairs, and so goes on alone also where
both streams are alive and none pair; the second sensor waits for colour images that show something,
so that never both are labelled in turns.

Nobody waits for the other while nothing comes of either, as before a bag begins: a stream's wait
then begins with its first image. At low rates, too, an image's partner has its time to come.
"""
from __future__ import annotations

from ssma_core import STREAMS, Stream


class Watchdog:
    """now, everywhere: seconds of one steady clock."""

    def __init__(self, now: float) -> None:
        self._since = dict.fromkeys(STREAMS, now)
        self._waits: set[Stream] = set()  # an image came since

    def image_came(self, stream: Stream, now: float, timeout: float, shows: bool = True) -> bool:
        """Whether it is to be labelled alone: see `is_over`. shows: something, as far as is known;
        for a colour image that shows nothing the second sensor does not wait."""
        if stream == "rgb" and shows:
            self._ended("aux", now)
        if stream not in self._waits:
            self._waits.add(stream)
            if now - self._since[stream] > timeout:
                self._since[stream] = now
        return self.is_over(stream, now, timeout)

    def is_over(self, stream: Stream, now: float, timeout: float) -> bool:
        """Whether a stream's images have waited for longer than the timeout in seconds: no pair was
        made (rgb), or no colour image came that shows something (aux)."""
        return stream in self._waits and now - self._since[stream] > timeout

    def pair_came(self, now: float) -> None:
        for stream in STREAMS:
            self._ended(stream, now)

    def _ended(self, stream: Stream, now: float) -> None:
        self._since[stream] = now
        self._waits.discard(stream)
