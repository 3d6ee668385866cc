"""Reads a TensorFlow checkpoint (format V2).

This is our own code so that a checkpoint can be read without TensorFlow.

`<prefix>.index` is a LevelDB table: sorted keys, each sharing its beginning with the one before, in
blocks that an index block lists (github.com/google/leveldb, doc/table_format.md). Key "" holds a
BundleHeaderProto, every other key is a variable's name with a BundleEntryProto (tensorflow,
core/protobuf/tensor_bundle.proto) with the place of its values in `<prefix>.data-*-of-*`.
"""
from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.model_files.protobuf import Fields, fields, number, varint

_FOOTER_LENGTH = 48
_MOST_KEYS = 1 << 24  # keys share their beginnings: a few bytes may stand for many
_MAGIC = 0xDB4775248B80FB57
# tensorflow/core/framework/types.proto
_DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "<u1", 5: "<i2", 6: "<i1", 9: "<i8", 19: "<f2"}


def read_checkpoint(prefix: str | Path) -> dict[str, npt.NDArray[np.generic]]:
    """Every variable by its name; arrays are views of the files.

    prefix: the checkpoint's path without ".index", as TensorFlow names it. Raises SsmaError when a
    file is missing, cut short, damaged (by its checksums), or no such checkpoint.
    """
    prefix = Path(str(prefix).removesuffix(".index"))
    index = Path(f"{prefix}.index")
    try:
        entries = dict(_table(index.read_bytes()))
        header = fields(entries.pop(b""))
        parsed = {key.decode(): fields(value) for key, value in entries.items()}
    except OSError as error:
        raise SsmaError(f"cannot read {index}: {error.strerror}; give the checkpoint's path "
                        "without the endings .index and .data-…") from error
    except (ValueError, LookupError, struct.error) as error:
        raise SsmaError(f"{index} is not the index of a TensorFlow checkpoint, or it is damaged "
                        f"({error}); fetch it again") from error
    try:
        return _variables(prefix, index, header, parsed)
    except (ValueError, LookupError, OverflowError) as error:
        raise SsmaError(f"{index} is damaged ({error}); fetch it again") from error


def _variables(prefix: Path, index: Path, header: Fields,
               entries: dict[str, Fields]) -> dict[str, npt.NDArray[np.generic]]:
    """Raises ValueError, LookupError or OverflowError where an entry is none."""
    if number(header, 2):
        raise SsmaError(f"{index} was written on a big-endian machine; that is not supported")
    shards = [_open(Path(f"{prefix}.data-{i:05d}-of-{number(header, 1):05d}"))
              for i in range(number(header, 1))]
    return {name: _values(index, name, entry, shards) for name, entry in entries.items()}


def masked_crc32c(data: bytes) -> int:
    """The checksum in TensorFlow's files: CRC-32C (RFC 3720, appendix B.4), rotated and offset as
    LevelDB and TFRecord store it. Raises SsmaError where google-crc32c is not installed."""
    try:
        from google_crc32c import value  # here: a robot's node needs no checksums
    except ModuleNotFoundError as error:
        raise SsmaError("the checksums in TensorFlow's files need the Python package "
                        "google-crc32c, which is not installed: pip install google-crc32c"
                        ) from error
    crc: int = value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _open(path: Path) -> npt.NDArray[np.uint8]:
    try:
        return np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}; the checkpoint needs it beside its "
                        ".index") from error


def _values(index: Path, name: str, entry: dict[int, list[int | bytes]],
            shards: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.generic]:
    dtype = _DTYPES.get(number(entry, 1))
    if dtype is None or 7 in entry:
        raise SsmaError(f"{index}: variable {name} is split into slices or is not made of plain "
                        "numbers; that is not supported")
    shape = [number(fields(dimension), 1)
             for part in entry.get(2, []) for dimension in fields(part).get(2, [])]
    shard, begin, length = (number(entry, field) for field in (3, 4, 5))
    if shard >= len(shards) or begin + length > len(shards[shard]):
        raise SsmaError(f"{index}: the data file of variable {name} is cut short; fetch it again")
    if length != math.prod(shape) * np.dtype(dtype).itemsize:
        raise SsmaError(f"{index}: variable {name} has {length} bytes, which is not its shape "
                        f"{shape}; the file is damaged, fetch it again")
    data = shards[shard][begin:begin + length]
    if struct.pack("<I", masked_crc32c(data.tobytes())) != entry.get(6, [bytes(4)])[-1]:
        raise SsmaError(f"{index}: the data file of variable {name} is damaged: its checksum does "
                        "not fit; fetch it again")
    return data.view(dtype).reshape(shape)


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a LevelDB table. Raises ValueError where the data are no table."""
    footer = data[-_FOOTER_LENGTH:]
    if len(footer) < _FOOTER_LENGTH or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise ValueError("it does not end as one")
    _, at = _handle(footer, 0)
    index_block, _ = _handle(footer, at)
    keys = end = 0  # bytes of all keys; where the last block ends
    for _, handle in _block(data, *index_block):
        offset, length = _handle(handle, 0)[0]
        if offset < end:
            raise ValueError("a block begins within another")
        end = offset + length
        for key, value in _block(data, offset, length):
            keys += len(key)
            if keys > _MOST_KEYS:
                raise ValueError(f"its keys have more than {_MOST_KEYS} bytes")
            yield key, value


def _block(data: bytes, offset: int, length: int) -> Iterator[tuple[bytes, bytes]]:
    block, compression = data[offset:offset + length], data[offset + length]
    (checksum,) = struct.unpack_from("<I", data, offset + length + 1)
    if checksum != masked_crc32c(data[offset:offset + length + 1]):
        raise ValueError("a checksum does not fit")
    if compression:
        raise ValueError("it is compressed, which TensorFlow's own are not")
    (restarts,) = struct.unpack_from("<I", block, length - 4)
    end, at, key = length - 4 - 4 * restarts, 0, b""
    while at < end:
        shared, at = varint(block, at)
        unshared, at = varint(block, at)
        value_length, at = varint(block, at)
        key = key[:shared] + block[at:at + unshared]
        at += unshared
        yield key, block[at:at + value_length]
        at += value_length


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """A block's (offset, length), and where the next begins."""
    offset, at = varint(data, at)
    length, at = varint(data, at)
    return (offset, length), at
