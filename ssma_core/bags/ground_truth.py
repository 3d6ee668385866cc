"""The true labels in a bag, found by the stamp of the image that they belong to."""
from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy.typing as npt

from ssma_core.bags import compressed_images, encodings, image_messages, rosbag2
from ssma_core.errors import SsmaError
from ssma_core.pictures import voided

RECORDED_WITHIN_NS = 2_000_000_000  # a label is searched this long before and after its image


class TrueLabel(NamedTuple):
    """where: the message or the file, for errors. labels: H×W class ids, unchecked."""

    where: str
    stamp_ns: int
    labels: npt.NDArray[Any]


class TrueLabels(Protocol):
    """`GroundTruth`, or masks in a folder."""

    def near(self, stamp_ns: int, recorded_ns: int) -> TrueLabel | None: ...


class Recordings:
    """When a bag recorded its images.

    stamps_ns: of every one of a topic, in the order of recording.
    """

    def __init__(self, bag: str | Path, topics: Sequence[str]) -> None:
        self.stamps_ns: dict[str, list[int]] = {topic: [] for topic in topics}
        self._times: dict[int, list[int]] = {}
        for message in rosbag2.messages(bag, topics):
            stamp_ns = rosbag2.stamp_ns(message)
            self.stamps_ns[message.topic].append(stamp_ns)
            self._times.setdefault(stamp_ns, []).append(message.time_ns)

    def of(self, stamp_ns: int, until_ns: int) -> int:
        """When the image with that stamp was recorded; where there are several, as in a loop, the
        last one until `until_ns`."""
        times = self._times[stamp_ns]
        return max((time_ns for time_ns in times if time_ns <= until_ns), default=times[0])


class GroundTruth:
    """Reads the label topic only as far as needed, and keeps the labels recorded up to 2 s before
    and after. Gives each label once.

    slop: the most seconds that the stamps of image and label may lie apart. ignore: ids that are
    read as void_id.
    """

    def __init__(self, bag: str | Path, topic: str, slop: float, ignore: Sequence[int] = (),
                 void_id: int = 0) -> None:
        self._messages = rosbag2.messages(bag, [topic])
        self._slop_ns = round(slop * 1e9)
        self._ignore, self._void_id = ignore, void_id
        self._kept: deque[tuple[int, TrueLabel]] = deque()  # with the times of recording
        self._next: rosbag2.Recorded | None = next(self._messages, None)

    def near(self, stamp_ns: int, recorded_ns: int) -> TrueLabel | None:
        """The label whose stamp is nearest to that of an image, within the slop.

        recorded_ns: roughly when the bag recorded the image; it rises from call to call. Raises
        SsmaError for a label message that cannot be read.
        """
        while self._kept and self._kept[0][0] < recorded_ns - RECORDED_WITHIN_NS:
            self._kept.popleft()
        while (self._next and self._next.time_ns <= recorded_ns + RECORDED_WITHIN_NS
               and all(label.stamp_ns != stamp_ns for _, label in self._kept)):
            self._kept.append((self._next.time_ns, self._read(self._next)))
            self._next = next(self._messages, None)
        apart = [abs(label.stamp_ns - stamp_ns) for _, label in self._kept]
        if not apart or min(apart) > self._slop_ns:
            return None
        place = apart.index(min(apart))
        _, nearest = self._kept[place]
        del self._kept[place]
        return nearest

    def _read(self, message: rosbag2.Recorded) -> TrueLabel:
        with rosbag2.about(message):
            image = rosbag2.decode(message)
            image_messages.check(image, encodings.LABELS, message.topic)
            if image_messages.is_compressed(image) and compressed_images.is_jpeg(image):
                raise SsmaError(f"{message.topic}: a JPEG changes the numbers of a label: have it "
                                "sent as png")
            labels = voided(image_messages.to_array(image), self._ignore, self._void_id)
            return TrueLabel(rosbag2.place(message), rosbag2.stamp_ns(message), labels)
