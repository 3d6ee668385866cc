"""A data set as the original's TFRecord file, read without TensorFlow.

A record is its length (uint64), the length's checksum, the data, the data's checksum (tensorflow,
core/lib/io/record_writer.h). The data are a tf.train.Example (core/example/example.proto,
feature.proto) with the features height and width, one integer each, and modality1, modality2 and
label: raw uint8 values, rows from the top, three values a pixel (BGR) or one for the label.
"""
from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from ssma_core.datasets.samples import Folded, LabelledArrays
from ssma_core.errors import SsmaError
from ssma_core.model_files.protobuf import Fields, fields, varint
from ssma_core.model_files.tf_checkpoint import masked_crc32c
from ssma_core.pictures import check_ids, voided

T = TypeVar("T", int, bytes)
Features = dict[str, list[int | bytes]]

_HEADER = 12  # bytes: the length and its checksum
_CHANNELS = {"modality1": 3, "modality2": 3, "label": 1}


@dataclass(frozen=True)
class Records(Folded):
    """The records of a file, in their order; modality1 must be the colour image.

    tfrecord: the file; a relative path starts at the current folder.
    """

    tfrecord: str

    def every(self) -> Sequence[Record]:
        """Reads only where the records are. Raises SsmaError naming record and byte where the file
        is cut short, damaged, or no TFRecord file."""
        path = Path(self.tfrecord)
        try:
            with path.open("rb") as file:
                records = list(_records(path, file))
        except OSError as error:
            raise SsmaError(f"cannot read {path}: {error.strerror}") from error
        if not records:
            raise SsmaError(f"{path} holds no record")
        return records


@dataclass(frozen=True)
class Record:
    """A Sample that is one record of a file.

    index: its place in the file, from 0. offset, length: of its data, in bytes.
    sound: the indices of the file's records whose checksum was found right. Each is computed once
      in a process: training reads a record in every epoch.
    ignore: ids of the label that are read as void_id.
    """

    path: Path
    index: int
    offset: int
    length: int
    sound: set[int] = field(repr=False, compare=False)
    drive: str = "."
    condition: str | None = None
    ignore: tuple[int, ...] = ()
    void_id: int = 0

    @property
    def name(self) -> str:
        return f"{self.path}, record {self.index} at byte {self.offset - _HEADER}"

    def read(self, classes: int) -> LabelledArrays:
        try:
            features = _features(self._data())
            height, width = _one(features, "height", int), _one(features, "width", int)
            rgb, aux, label = (_pixels(features, name, height, width) for name in _CHANNELS)
        except OSError as error:
            raise SsmaError(f"cannot read {self.path}: {error.strerror}") from error
        except (ValueError, IndexError) as error:
            raise SsmaError(f"{self.name}: {error}") from error
        ids = voided(label, self.ignore, self.void_id)
        check_ids(ids, classes, f"{self.name}: the label")
        return rgb, aux, ids.astype(np.uint8, copy=False)

    def _data(self) -> bytes:
        """Raises ValueError where they are cut short, or not as they were written."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data, checksum = file.read(self.length), file.read(4)
        if len(data) < self.length or len(checksum) < 4:
            raise ValueError("the file is cut short; fetch it again")
        if self.index not in self.sound:
            if struct.pack("<I", masked_crc32c(data)) != checksum:
                raise ValueError("it is damaged: its checksum does not fit; fetch the file again")
            self.sound.add(self.index)
        return data


def _records(path: Path, file: BinaryIO) -> Iterator[Record]:
    end = file.seek(0, 2)
    begin = index = 0
    sound: set[int] = set()
    while begin < end:
        where = f"{path}, record {index} at byte {begin}"
        file.seek(begin)
        header = file.read(_HEADER)
        if len(header) < _HEADER:
            raise SsmaError(f"{where}: the file is cut short; fetch it again")
        length, checksum = struct.unpack("<QI", header)
        if masked_crc32c(header[:8]) != checksum:
            raise SsmaError(f"{where}: it is damaged, or the file is no TFRecord file, or a "
                            "compressed one; unpack it or fetch it again")
        record = Record(path, index, begin + _HEADER, length, sound)
        begin = record.offset + length + 4
        if begin > end:
            raise SsmaError(f"{where}: the file is cut short; fetch it again")
        yield record
        index += 1


def _features(example: bytes) -> Features:
    """The values of an Example's features by name, integers or bytes. Raises ValueError or
    IndexError where the bytes are no Example."""
    found: Features = {}
    for features in fields(example).get(1, []):
        for entry in fields(features).get(1, []):
            pair = fields(entry)
            name = pair.get(1, [b""])[-1]
            if isinstance(name, bytes):
                found[name.decode()] = _values(fields(pair.get(2, [b""])[-1]))
    return found


def _values(feature: Fields) -> list[int | bytes]:
    """The values of a Feature: bytes (1) or integers (3), packed or not. Floats (2) are not used
    here."""
    values = [value for part in feature.get(1, []) for value in fields(part).get(1, [])]
    for part in feature.get(3, []):
        for value in fields(part).get(1, []):
            values += _unpacked(value) if isinstance(value, bytes) else [value]
    return values


def _unpacked(packed: bytes) -> list[int | bytes]:
    values: list[int | bytes] = []
    at = 0
    while at < len(packed):
        value, at = varint(packed, at)
        values.append(value)
    return values


def _one(features: Features, name: str, kind: type[T]) -> T:
    """A feature's only value. Raises ValueError unless it is of this kind."""
    values = features.get(name, [])
    if len(values) != 1 or not isinstance(values[0], kind):
        raise ValueError(f"it has no feature {name!r} of one value of type {kind.__name__}; the "
                         f"original's converter writes height, width, {', '.join(_CHANNELS)}, this "
                         f"record has {', '.join(sorted(features)) or 'none'}")
    return values[0]


def _pixels(features: Features, name: str, height: int, width: int) -> npt.NDArray[np.uint8]:
    """H×W×3, or H×W for the label. Raises ValueError for another number of bytes."""
    data, channels = _one(features, name, bytes), _CHANNELS[name]
    if not data or len(data) != height * width * channels:
        raise ValueError(f"{name} has {len(data)} bytes, but {width}x{height} pixels (width x "
                         f"height) of {channels} take {height * width * channels}")
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.array(np.frombuffer(data, np.uint8).reshape(shape))  # writable
