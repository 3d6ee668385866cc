"""A copy of a bag with the labels beside the images, on the topics on which the node publishes."""
from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from tqdm import tqdm

from ssma_core.bags import rosbag2
from ssma_core.datasets.unread import Input, Inputs
from ssma_core.errors import SsmaError
from ssma_core.files import check_new, encoded
from ssma_core.prediction import carried
from ssma_core.prediction.frames import JPEG, Extra, label, painted
from ssma_core.segmenter import Segmenter

# Where the node publishes, in the root namespace. A bag gets its overlay as image_transport packs
# it, since 720p in bgr8 takes 2.8 MB a frame.
LABEL = "/semantic/label"
TOPICS: dict[Extra, str] = {
    "confidence": "/semantic/confidence", "trust": "/semantic/trust",
    "overlay": "/semantic/overlay/compressed"}


def check(bag: Path, target: Path, extras: Collection[Extra]) -> None:
    """Raises SsmaError where the copy cannot be written, or the bag has its topics already."""
    if target.suffix != ".mcap":
        raise SsmaError(f"cannot write {target}: the copy of a bag is one MCAP file; name it .mcap")
    check_new(target)
    taken = sorted({LABEL, *(TOPICS[extra] for extra in extras)} & rosbag2.topics(bag).keys())
    if taken:
        raise SsmaError(f"{bag} has {' and '.join(taken)} already, and the copy would mix both: "
                        "take a bag without, such as one that `ros2 bag convert` makes")


def write_bag(segmenter: Segmenter, bag: Path, inputs: Inputs, target: Path,
              extras: Collection[Extra]) -> None:
    """Copies the bag, see `carried.copy`. The labels of a frame have the stamp and frame_id of its
    first sensor's image, and are recorded when the bag had all of the frame.

    inputs: the bag's frames. target: it passed `check`. Raises SsmaError for a frame that cannot be
    read or that the model refuses, and as `copy`; the target is then not there.
    """
    frames = tqdm(inputs, total=len(inputs), unit="frame", disable=None)
    carried.copy(bag, target, (message for frame in frames
                               for message in _messages(segmenter, frame, extras)))


def _messages(segmenter: Segmenter, frame: Input, extras: Collection[Extra]
              ) -> Iterator[rosbag2.Recorded]:
    assert frame.header is not None  # it is a bag's
    stamp_ns, frame_id, recorded_ns = frame.header
    found = label(segmenter, frame, extras)
    for topic, pixels in ((LABEL, found.labels), (TOPICS["confidence"], found.confidence),
                          (TOPICS["trust"], found.trust)):
        if pixels is not None:
            yield rosbag2.image(topic, recorded_ns, stamp_ns, pixels, "mono8",
                                frame_id=frame_id)
    if "overlay" in extras:
        picture = painted(frame.arrays[0], found.labels, segmenter.spec)
        yield rosbag2.jpeg(TOPICS["overlay"], recorded_ns, stamp_ns,
                           encoded("overlay.jpg", picture, JPEG), frame_id=frame_id)
