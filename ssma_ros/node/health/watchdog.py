"""A stream waits for the other one. After the timeout its images are labelled alone.

Colour waits for pairs. It is also labelled alone if images of both streams come and none pair.
The second sensor waits for colour images that are not blank. So they are never labelled in turns.

A stream's wait begins with its first image. So neither stream waits while no image comes of either,
as before a bag begins. An image's partner has the whole timeout to come, also at low rates.
"""
from __future__ import annotations

from ssma_core import STREAMS, Stream


class Watchdog:
    """now, in every method: seconds of one steady clock."""

    def __init__(self, now: float) -> None:
        self._since = dict.fromkeys(STREAMS, now)
        self._waits: set[Stream] = set()  # an image came since

    def image_came(self, stream: Stream, now: float, timeout: float, blank: bool = False) -> bool:
        """Whether the image is to be labelled alone: see `is_over`. blank: whether the stream's
        last image was; the second sensor does not wait for blank colour images."""
        if stream == "rgb" and not blank:
            self._ended("aux", now)
        if stream not in self._waits:
            self._waits.add(stream)
            if now - self._since[stream] > timeout:
                self._since[stream] = now
        return self.is_over(stream, now, timeout)

    def is_over(self, stream: Stream, now: float, timeout: float) -> bool:
        """Whether a stream's images have waited for longer than the timeout in seconds: no pair was
        made (rgb), or no colour image came that is not blank (aux)."""
        return stream in self._waits and now - self._since[stream] > timeout

    def pair_came(self, now: float) -> None:
        for stream in STREAMS:
            self._ended(stream, now)

    def _ended(self, stream: Stream, now: float) -> None:
        self._since[stream] = now
        self._waits.discard(stream)
