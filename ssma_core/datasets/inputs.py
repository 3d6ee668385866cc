"""The frames that a command is given, with their labels or without: pictures, records or a bag."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core.bags import image_messages, rosbag2
from ssma_core.datasets.file_list import ListFile
from ssma_core.datasets.folders import by_stem
from ssma_core.datasets.samples import Sample, read_label
from ssma_core.datasets.stamps import APART_NS, Stamps, together
from ssma_core.datasets.tfrecord import Records
from ssma_core.errors import SsmaError
from ssma_core.evaluation.metrics import check_ids
from ssma_core.files import read_colour, read_sensor
from ssma_core.modalities import width_x_height
from ssma_core.spec import VEGETATION_INDICES, Modality, ModelSpec

Source = TypeVar("Source")


@dataclass(frozen=True)
class Input:
    """A frame. name: where it came from. arrays: as `Segmenter.segment` takes them.
    label: class ids, H×W uint8 of the first array's size; None where there is none."""

    name: str
    arrays: tuple[npt.NDArray[Any], ...]
    label: npt.NDArray[np.uint8] | None


class Inputs(Protocol):
    """Inputs that are read one by one, each time that they are gone through. Raises SsmaError where
    one cannot be read."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Input]: ...


def open_inputs(path: Path, spec: ModelSpec, topics: Sequence[str] = ()) -> Inputs:
    """The frames at a path, for a model of this spec; there is one at least.

    path: a folder that has a folder for each of the model's sensors, by its name in the spec, and
      perhaps one called "label", or several such folders, as `ssma synthesize` writes them;
      partners have the same name. Or a list file (.txt), TFRecords (.tfrecord), or a rosbag2
      (.mcap, .db3 or its folder).
    topics: of a bag, those of the sensors in the spec's order, and perhaps of the labels. Images
      belong together that are each other's nearest by stamp, at most stamps.APART_NS apart.
    Raises SsmaError where it is none of these or lacks something.
    """
    if (path / "metadata.yaml").is_file() or path.suffix in (".mcap", ".db3"):
        return _of_bag(path, spec, topics)
    if topics:
        raise SsmaError(f"{path} is no bag, and only bags have topics: leave out "
                        + " ".join(topics))
    if path.is_dir():
        return _of_folder(path, spec)
    if path.suffix == ".txt":
        return _Read(ListFile(list=str(path)).samples(), partial(_sample, spec))
    if path.suffix in (".tfrecord", ".tfrecords"):
        return _Read(Records(tfrecord=str(path)).samples(), partial(_sample, spec))
    raise SsmaError(f"{path} is no data, or is not there: give a folder of pictures, a list file "
                    "(.txt), TFRecords (.tfrecord) or a rosbag2 (.mcap, .db3 or its folder)")


@dataclass(frozen=True)
class _Read(Generic[Source]):
    sources: Sequence[Source]
    read: Callable[[Source], Input]

    def __len__(self) -> int:
        return len(self.sources)

    def __iter__(self) -> Iterator[Input]:
        return map(self.read, self.sources)


def _sensors(spec: ModelSpec) -> tuple[Modality, ...]:
    """What each of a frame's arrays is; a vegetation index is made of two."""
    if len(spec.modalities) == 1 and spec.modalities[0].encoding in VEGETATION_INDICES:
        return (Modality("rgb", "image"), *spec.modalities)
    return spec.modalities


def _sample(spec: ModelSpec, sample: Sample) -> Input:
    rgb, aux, label = sample.read(spec.classes)
    sensors = _sensors(spec)
    lone = (rgb,) if sensors[0].encoding == "image" else (aux,)
    return Input(sample.name, (rgb, aux) if len(sensors) == 2 else lone, label)


def _of_folder(path: Path, spec: ModelSpec) -> Inputs:
    sensors = _sensors(spec)
    names = [sensor.name for sensor in sensors]
    inside = sorted(folder for folder in path.iterdir() if not folder.name.startswith("."))
    folders = [folder for folder in (path, *inside)
               if all((folder / name).is_dir() for name in names)]
    frames = [frame for folder in folders for frame in _pictures(folder, names)]
    if not frames:
        raise SsmaError(f"{path} holds no frames: it, or the folders in it, must have the folders "
                        f"{' and '.join(names)} with the sensors' pictures, and may have label; "
                        "a bag's folder has a metadata.yaml")

    def read(files: tuple[Path, ...]) -> Input:
        arrays = tuple(read_colour(file) if sensor.encoding == "image" else read_sensor(file)
                       for sensor, file in zip(sensors, files))
        has_label = len(files) > len(sensors)
        label = read_label(files[-1], spec.classes) if has_label else None
        return _checked(Input(str(files[0]), arrays, label))

    return _Read(frames, read)


def _pictures(folder: Path, names: Sequence[str]) -> Iterator[tuple[Path, ...]]:
    """A frame's files: the sensors', and the label's where there is one."""
    first, *others = (by_stem(folder / name) for name in names)
    labels = by_stem(folder / "label") if (folder / "label").is_dir() else {}
    for stem, path in first.items():
        for name, other in zip(names[1:], others):
            if stem not in other:
                raise SsmaError(f"{path} has no partner: there is no {folder / name / stem}.*")
        label = [labels[stem]] if stem in labels else []
        yield (path, *(other[stem] for other in others), *label)


def _checked(frame: Input) -> Input:
    """Raises SsmaError where the label is of another size than the frame."""
    if frame.label is not None and frame.label.shape != frame.arrays[0].shape[:2]:
        raise SsmaError(f"{frame.name} is {width_x_height(frame.arrays[0])}, but its label is "
                        f"{width_x_height(frame.label)} (width x height)")
    return frame


def _of_bag(path: Path, spec: ModelSpec, topics: Sequence[str]) -> Inputs:
    found = rosbag2.topics(path)
    sensors = _sensors(spec)
    names = [sensor.name for sensor in sensors]
    if len(topics) - len(sensors) not in (0, 1):
        raise SsmaError(f"{path} is a bag: give --topics with those of {' and '.join(names)}, in "
                        "this order, and perhaps that of the labels; the bag has"
                        + rosbag2.listed(found))
    rosbag2.check_topics(path, topics)
    for topic in topics:
        if found[topic].type != rosbag2.IMAGE:
            raise SsmaError(f"{path}: {topic} has {found[topic].type}, not {rosbag2.IMAGE}")
    columns = _stamps(path, {topic: found[topic].messages for topic in topics})
    frames = together([columns[topic] for topic in topics], len(sensors))
    if not frames:
        images = " and ".join(f"{topic} ({len(columns[topic])})" for topic in topics[:len(sensors)])
        raise SsmaError(f"{path} holds no frames: of the images on {images}, none belong together, "
                        f"with stamps at most {APART_NS / 1e9:g} s apart")
    return _Bag(path, spec, tuple(topics), frames)


def _stamps(path: Path, messages: dict[str, int]) -> dict[str, Stamps]:
    """By topic, in the order they were recorded. messages: how many each topic has."""
    stamps: dict[str, list[int]] = {topic: [] for topic in messages}
    for message in tqdm(rosbag2.messages(path, list(messages)), "reading stamps",
                        sum(messages.values()), leave=False, unit="message", disable=None):
        stamps[message.topic].append(rosbag2.stamp_ns(message))
    return {topic: np.array(values, np.int64) for topic, values in stamps.items()}


@dataclass(frozen=True)
class _Bag:
    """frames: as `together` gives them. Each topic is read by itself, so that one frame is in
    memory however far from each other its messages were recorded."""

    path: Path
    spec: ModelSpec
    topics: tuple[str, ...]
    frames: list[tuple[int | None, ...]]

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Input]:
        streams = [self._wanted(topic, {row[column] for row in self.frames})
                   for column, topic in enumerate(self.topics)]
        for row in self.frames:
            yield self._frame([None if place is None else next(stream)
                               for place, stream in zip(row, streams)])

    def _wanted(self, topic: str, places: set[int | None]) -> Iterator[rosbag2.Recorded]:
        for place, message in enumerate(rosbag2.messages(self.path, [topic])):
            if place in places:
                yield message

    def _frame(self, messages: Sequence[rosbag2.Recorded | None]) -> Input:
        sensors = _sensors(self.spec)
        recorded = [message for message in messages if message is not None]
        arrays = tuple(_sensed(message, sensor) for sensor, message in zip(sensors, recorded))
        name = f"{self.path}, {recorded[0].topic} at {rosbag2.stamp_ns(recorded[0]) / 1e9:.3f}"
        label = None
        if len(recorded) > len(sensors):
            ids = _pixels(recorded[-1], image_messages.LABEL_ENCODINGS)
            check_ids(ids, self.spec.classes, f"{name}: the label")
            label = ids.astype(np.uint8, copy=False)
        return _checked(Input(name, arrays, label))


def _sensed(recorded: rosbag2.Recorded, sensor: Modality) -> npt.NDArray[Any]:
    if sensor.encoding == "image":
        return image_messages.three_channels(_pixels(recorded, image_messages.CAMERA_ENCODINGS))
    return _pixels(recorded, image_messages.COLOUR_ENCODINGS + image_messages.MAP_ENCODINGS)


def _pixels(recorded: rosbag2.Recorded, encodings: Sequence[str]) -> npt.NDArray[Any]:
    message = rosbag2.decode(recorded)
    image_messages.check(message, encodings, recorded.topic)
    return image_messages.to_array(message)
