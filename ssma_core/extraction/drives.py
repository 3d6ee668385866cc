"""The bags of an extraction, each a drive in the output folder; what cannot be used is refused
before anything is written."""
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from ssma_core.bags import recorded_images, rosbag2
from ssma_core.bags.pairing import DEFAULT_PAIRING, PairingSettings, Stream
from ssma_core.bags.recorded_images import STREAM_TYPES
from ssma_core.errors import SsmaError, naming
from ssma_core.extraction import camera_info
from ssma_core.files import check_facts, read_json, write_facts
from ssma_core.modalities import check_array
from ssma_core.registration import Registration, as_plain, registered
from ssma_core.spec import Modality

Array = npt.NDArray[Any]
DEPTH = Modality("depth", "jet")

COLOUR = "rgb"  # the folder of the colour images
FACTS = "drive.json"
MOST_DAMAGED = 30  # images at the begin of a topic


@dataclass(frozen=True)
class Source:
    """Where the frames are in each bag.

    rgb, aux: topics of images. name: the second sensor's, as models call it; "depth" makes depth of
      a DisparityImage. rgb_info, aux_info: topics of CameraInfo; None takes the one beside the
      images, if the bag has it; "none" takes no one. registration: with which the second sensor's
      images are brought into the colour camera's view; None keeps them as they are.
    Raises SsmaError for a name that cannot be a folder, and for one topic given twice.
    """

    rgb: str
    aux: str
    name: str = "depth"
    rgb_info: str | None = None
    aux_info: str | None = None
    pairing: PairingSettings = DEFAULT_PAIRING
    registration: Registration | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w-]*", self.name) or self.name in (COLOUR, "label"):
            raise SsmaError(f"{self.name!r} cannot be the second sensor's name: it becomes a "
                            "folder beside rgb and label; give letters and digits, such as nir")
        if self.rgb == self.aux:
            raise SsmaError(f"{self.rgb} is given for both cameras: --aux is the topic of the "
                            "second one")

    @property
    def as_depth(self) -> bool:
        """Whether a DisparityImage becomes depth."""
        return self.name == "depth"

    @property
    def is_map(self) -> bool:
        """Whether 0 in the second sensor's floats is no measurement. By its name: there may be no
        model here, whose modality would say so for sure."""
        return self.name in ("depth", "disparity")


class Drive(NamedTuple):
    """A bag and the folder for its frames. messages: of both sensors. facts: where the frames come
    from, which must be the same when the folder is filled further. infos: the CameraInfo of each
    camera, as plain data. sizes: width and height of the two folders' images."""

    bag: Path
    folder: Path
    messages: int
    facts: dict[str, Any]
    infos: dict[str, Any]
    sizes: list[tuple[int, int]]

    @property
    def name(self) -> str:
        return self.folder.name


def find(bags: Sequence[Path], output: Path, source: Source) -> list[Drive]:
    """A drive for each bag, named after it. Raises SsmaError for a bag that lacks a topic or has no
    image on it, for CameraInfo of another size than the images, for a registration of other images,
    and for two bags of one name."""
    if (output / "metadata.yaml").exists():
        raise SsmaError(f"{output} is a bag: give a folder of its own as --output")
    named: dict[str, Path] = {}
    for bag in bags:
        name = rosbag2.drive_name(bag)
        if name in named:
            raise SsmaError(f"{named[name]} and {bag} would both become the drive {name}: rename "
                            "one, or give a link to it that has another name")
        named[name] = bag
    return [_drive(bag, output / name, source) for name, bag in named.items()]


def check(drive: Drive) -> None:
    """Raises SsmaError where the drive's folder holds other frames than an earlier run left."""
    check_facts(drive.folder / FACTS, drive.facts, "holds frames of another bag, other topics, "
                "another pairing or registration", "is there, and not of ssma extract")


def claim(drive: Drive) -> None:
    """Before a frame is written: says of what the drive's frames are. What is there stays."""
    if not (drive.folder / FACTS).exists():
        write_facts(drive.folder / FACTS, drive.facts)
        write_infos(drive)


def write_infos(drive: Drive) -> None:
    """Writes the CameraInfo, in place of an earlier run's, where the drive has a folder."""
    if drive.infos and drive.folder.is_dir():
        camera_info.write(drive.folder / "camera_info.yaml", drive.infos)


def is_registered(folder: Path) -> bool:
    """Whether a folder of pictures is a drive, or holds one, that was written with a registration.
    """
    facts = [read_json(path) for path in (folder / FACTS, *folder.glob(f"*/{FACTS}"))
             if path.is_file()]
    return any(isinstance(each, dict) and "registration" in each for each in facts)


def _drive(bag: Path, folder: Path, source: Source) -> Drive:
    found = rosbag2.check_topics(bag, [source.rgb, source.aux])
    recorded_images.check_order(bag, source.rgb, source.aux)
    infos, firsts = {}, []
    cameras: tuple[tuple[Stream, str, str, str | None], ...] = (
        ("rgb", COLOUR, source.rgb, source.rgb_info),
        ("aux", source.name, source.aux, source.aux_info))
    for stream, folder_name, topic, info in cameras:
        rosbag2.check(bag, found, [topic], STREAM_TYPES[stream])
        firsts.append(_first(bag, topic, stream, source))
        if named := camera_info.topic_for(topic, info, found):
            infos[folder_name] = camera_info.read(bag, named)
            camera_info.check_size(infos[folder_name], _size(firsts[-1]), f"{bag}: {named}", topic,
                                   f"--{stream}-info")
    if source.name == DEPTH.name:
        with naming(f"{bag}: {source.aux}"):
            check_array(DEPTH, firsts[1])
    if source.registration:
        infos.pop(source.name, None)  # colour's holds for both now
        with naming(bag):
            firsts[1] = registered(source.registration, firsts[0], firsts[1])
    counts = {topic: found[topic].messages for topic in (source.rgb, source.aux)}
    facts = {"bag": folder.name, "begin_ns": rosbag2.span_ns(bag)[0], "messages": counts,
             "name": source.name, **asdict(source.pairing)}
    if source.registration:
        facts["registration"] = as_plain(source.registration)
    return Drive(bag, folder, sum(counts.values()), facts, infos, [_size(each) for each in firsts])


def _size(image: Array) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _first(bag: Path, topic: str, stream: Stream, source: Source) -> Array:
    """The first image that can be read. Raises SsmaError where none of the first MOST_DAMAGED can,
    and where there is none."""
    reason = f"there is no image on {topic}"
    for message in islice(rosbag2.messages(bag, [topic]), MOST_DAMAGED):
        try:
            image = recorded_images.read(message, stream, as_depth=source.as_depth)
            with rosbag2.about(message):
                return image.array()
        except SsmaError as error:
            reason = str(error)
    raise SsmaError(f"{bag}: {reason}")
