"""The frames that a command gets, with or without labels: pictures, records or a bag."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core.bags import recorded_images, rosbag2
from ssma_core.bags.ground_truth import GroundTruth
from ssma_core.bags.open_bag import SUFFIXES
from ssma_core.bags.pairing import DEFAULT_PAIRING, Pairing, PairingSettings, Stream
from ssma_core.bags.recorded_images import IMAGES, STREAM_TYPES
from ssma_core.datasets.file_list import ListFile
from ssma_core.datasets.folders import by_stem, places
from ssma_core.datasets.samples import Sample, read_label
from ssma_core.datasets.tfrecord import Records
from ssma_core.datasets.unread import Header, Input, Inputs, Read, Unread
from ssma_core.errors import SsmaError
from ssma_core.files import read_colour, read_pair, read_sensor
from ssma_core.modalities import is_depth, width_x_height
from ssma_core.pictures import check_ids
from ssma_core.spec import VEGETATION_INDICES, Modality, ModelSpec

_ANY_CLASS = 256  # of labels that are not used


def is_bag(path: Path) -> bool:
    """Whether it is meant to be one."""
    return (path / "metadata.yaml").is_file() or path.suffix in SUFFIXES


def open_inputs(path: Path, spec: ModelSpec, topics: Sequence[str] = (),
                pairing: PairingSettings = DEFAULT_PAIRING, *, labels: bool = True,
                alone: bool = False) -> Inputs:
    """The frames at a path, at least one, for a model of this spec.

    path: a folder that has a folder for each of the model's sensors, by its name in the spec, and
      optionally one called "label"; or a folder of several such folders, as `ssma synthesize`
      writes them; partners have the same name. Or a list file (.txt), TFRecords (.tfrecord), or a
      rosbag2 (.mcap, .db3 or its folder).
    topics: of a bag: those of the sensors in the spec's order, and optionally that of the labels;
      Images or CompressedImages, of the second sensor also DisparityImages. A label belongs to the
      first sensor's image of the same stamp, or of the nearest one within the slop, and was
      recorded within 2 s of it.
    pairing: which images of a bag's two sensors belong together: the node's own rule.
    labels: whether they are read, and must be the model's classes.
    alone: whether the second sensor may be missing: its picture, its folder or its topic.
    Raises SsmaError where the path is none of these or lacks something.
    """
    if is_bag(path):
        lone = alone and len(topics) == 1 and len(spec.modalities) == 2
        return _of_bag(path, spec.of_expert(0) if lone else spec, topics, pairing, labels)
    if topics:
        raise SsmaError(f"{path} is no bag, and only bags have topics: leave out "
                        + " ".join(topics))
    if path.is_dir():
        return _of_folder(path, spec, labels, alone)
    read = partial(_sample, spec, spec.classes if labels else _ANY_CLASS)
    if path.suffix == ".txt":
        pictures: Sequence[Any] = ListFile(list=str(path)).samples()
        return Read(pictures, read, places([each.rgb for each in pictures]),
                    [(each.rgb, each.aux) for each in pictures])
    if path.suffix in (".tfrecord", ".tfrecords"):
        records: Sequence[Any] = Records(tfrecord=str(path)).samples()
        return Read(records, read, [(path.stem, f"{each.index:06d}") for each in records])
    raise SsmaError(f"{path} is no data, or is not there: give a folder of pictures, a list file "
                    "(.txt), TFRecords (.tfrecord) or a rosbag2 (.mcap, .db3 or its folder)")


def sensors_of(spec: ModelSpec) -> tuple[Modality, ...]:
    """The sensor of each of a frame's arrays; a vegetation index is computed from two."""
    if len(spec.modalities) == 1 and spec.modalities[0].encoding in VEGETATION_INDICES:
        return (Modality("rgb", "image"), *spec.modalities)
    return spec.modalities


def _sample(spec: ModelSpec, classes: int, sample: Sample) -> Input:
    """classes: that its label may have."""
    rgb, aux, label = sample.read(classes)
    sensors = sensors_of(spec)
    lone = (rgb,) if sensors[0].encoding == "image" else (aux,)
    return Input(sample.name, (rgb, aux) if len(sensors) == 2 else lone, label)


def _of_folder(path: Path, spec: ModelSpec, labels: bool, alone: bool) -> Inputs:
    sensors = sensors_of(spec)
    names = [sensor.name for sensor in sensors]
    inside = sorted(folder for folder in path.iterdir() if not folder.name.startswith("."))
    needed = names[:1] if alone else names
    folders = [folder for folder in (path, *inside)
               if all((folder / name).is_dir() for name in needed)]
    frames = [frame for folder in folders for frame in _pictures(folder, names, labels, alone)]
    if not frames:
        raise SsmaError(f"{path} holds no frames: it, or the folders in it, must have the folders "
                        f"{' and '.join(needed)} with the sensors' pictures, and may have label; "
                        "a bag's folder has a metadata.yaml")

    def read(frame: _Files) -> Input:
        label = read_label(frame.label, spec.classes) if frame.label else None
        return _checked(Input(str(frame.sensors[0]), _arrays(sensors, frame.sensors), label))

    return Read(frames, read, places([frame.sensors[0] for frame in frames]),
                [frame.sensors for frame in frames])


def _arrays(sensors: Sequence[Modality], files: Sequence[Path]) -> tuple[npt.NDArray[Any], ...]:
    """files: of the first sensor, or of both."""
    are_images = [sensor.encoding == "image" for sensor in sensors[:len(files)]]
    if are_images == [True, False]:
        return read_pair(*files)
    return tuple(read_colour(file) if is_image else read_sensor(file)
                 for is_image, file in zip(are_images, files))


class _Files(NamedTuple):
    """A frame's pictures."""

    sensors: tuple[Path, ...]
    label: Path | None


def _pictures(folder: Path, names: Sequence[str], labels: bool, alone: bool) -> Iterator[_Files]:
    first, *others = (by_stem(folder / name) for name in names
                      if not alone or (folder / name).is_dir())
    labelled = by_stem(folder / "label") if labels and (folder / "label").is_dir() else {}
    for stem, path in first.items():
        for name, other in zip(names[1:], others):
            if stem not in other and not alone:
                raise SsmaError(f"{path} has no partner: there is no {folder / name / stem}.*")
        partners = (other[stem] for other in others if stem in other)
        yield _Files((path, *partners), labelled.get(stem))


def _checked(frame: Input) -> Input:
    """Raises SsmaError where the label is of another size than the frame."""
    if frame.label is not None and frame.label.shape != frame.arrays[0].shape[:2]:
        raise SsmaError(f"{frame.name} is {width_x_height(frame.arrays[0])}, but its label is "
                        f"{width_x_height(frame.label)} (width x height)")
    return frame


def _of_bag(path: Path, spec: ModelSpec, topics: Sequence[str], pairing: PairingSettings,
            labels: bool) -> Inputs:
    found = rosbag2.topics(path)
    names = [sensor.name for sensor in sensors_of(spec)]
    if len(topics) - len(names) not in (0, int(labels)):
        optional = ", and optionally that of the labels" * labels
        raise SsmaError(f"{path} is a bag: give --topics with those of {' and '.join(names)}, in "
                        f"this order{optional}; the bag has" + rosbag2.listed(found))
    sensors, label = tuple(topics[:len(names)]), topics[len(names)] if topics[len(names):] else None
    if len(sensors) == 2:
        recorded_images.check_order(path, *sensors)
    for topic, sensor in zip(sensors, sensors_of(spec)):
        rosbag2.check(path, found, [topic], STREAM_TYPES[_stream(sensor)])
    rosbag2.check(path, found, topics[len(names):], IMAGES)
    bag = _Bag(path, spec, sensors, label, pairing)
    total = sum(found[topic].messages for topic in sensors)
    with tqdm(total=total, desc="reading stamps", leave=False, unit="message", disable=None) as bar:
        frames = bag.count(bar.update)
    if not frames:
        images = " and ".join(f"{topic} ({found[topic].messages})" for topic in sensors)
        raise SsmaError(f"{path} holds no frames: of the images on {images}, none belong together, "
                        f"with stamps at most {pairing.slop:g} s apart: are they of one clock? "
                        "--slop allows more, and --aux-delay is for a second sensor whose stamps "
                        "are always as late")
    return replace(bag, frames=frames)


@dataclass(frozen=True)
class _Bag:
    """The frames that the node would pair, in its order. One frame is in memory, and the messages
    that wait for their partner or their image. frames: how many frames there are."""

    path: Path
    spec: ModelSpec
    topics: tuple[str, ...]
    label: str | None
    pairing: PairingSettings
    frames: int = 0

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[Input]:
        return (frame.read() for frame in self.unread())

    def unread(self) -> Iterator[Unread]:
        labels = None
        if self.label is not None:
            labels = GroundTruth(self.path, self.label, self.pairing.slop)
        drive = rosbag2.drive_name(self.path)
        for images in self._paired():
            yield Unread(drive, str(rosbag2.stamp_ns(images.messages[0])),
                         partial(self._frame, images, labels))

    def count(self, progress: Callable[[], object]) -> int:
        return sum(1 for _ in self._paired(progress))

    def _paired(self, progress: Callable[[], object] = bool) -> Iterator[_Images]:
        """Of one sensor, every image; of two, the pairs. progress is called after every image."""
        if len(self.topics) == 1:
            for message in rosbag2.messages(self.path, self.topics):
                yield _Images((message,), message.time_ns)
                progress()
            return
        pairing = Pairing[rosbag2.Recorded](**asdict(self.pairing))
        newest_ns = 0
        rgb, aux = self.topics
        for message, pairs in recorded_images.paired(self.path, rgb, aux, pairing,
                                                     lambda message, _: message):
            newest_ns = message.time_ns
            yield from (_Images((pair.rgb, pair.aux), newest_ns) for pair in pairs)
            progress()
        yield from (_Images((pair.rgb, pair.aux), newest_ns) for pair in pairing.flush())

    def _frame(self, images: _Images, labels: GroundTruth | None) -> Input:
        first = images.messages[0]
        stamp_ns = rosbag2.stamp_ns(first)
        name = f"{self.path}, {first.topic} at {stamp_ns / 1e9:.3f}"
        sensed = [_sensed(each, sensor)
                  for each, sensor in zip(images.messages, sensors_of(self.spec))]
        frame = Input(name, tuple(array for _, array in sensed), None,
                      Header(stamp_ns, sensed[0][0], images.recorded_ns))
        truth = labels.near(stamp_ns, images.recorded_ns) if labels else None
        if truth is None:
            return frame
        check_ids(truth.labels, self.spec.classes, f"{name}: the label")
        return _checked(replace(frame, label=truth.labels.astype(np.uint8, copy=False)))


class _Images(NamedTuple):
    """A frame's images, and when the bag recorded the newest message that was read by then."""

    messages: tuple[rosbag2.Recorded, ...]
    recorded_ns: int


def _sensed(recorded: rosbag2.Recorded, sensor: Modality) -> tuple[str, npt.NDArray[Any]]:
    """The header's frame_id and the array."""
    message = recorded_images.read(recorded, _stream(sensor), as_depth=is_depth(sensor))
    with rosbag2.about(recorded):
        return str(message.message.header.frame_id), message.array()


def _stream(sensor: Modality) -> Stream:
    return "rgb" if sensor.encoding == "image" else "aux"
