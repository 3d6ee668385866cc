"""The parts of an exported ONNX file, cut out of its bytes: what fuses, and what labels with one
sensor alone. A runtime computes all that a file holds, so each part runs by itself.

Field numbers are those of onnx.proto. A robot that runs a file need not have the package onnx.
"""
from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import cast

from ssma_core.errors import SsmaError
from ssma_core.exported import Exported, from_metadata, output_alone
from ssma_core.protobuf import Entry, encoded, entries, fields

WHOLE = ""
_GRAPH, _METADATA = 7, 14  # of ModelProto
_NODE, _WEIGHT, _INPUT, _OUTPUT, _SHAPE = 1, 5, 11, 12, 13  # of GraphProto
_NAME = {_WEIGHT: 8, _INPUT: 1, _OUTPUT: 1, _SHAPE: 1}  # in the messages of these fields


def read(path: Path) -> tuple[bytes, Exported]:
    """An ONNX file, and what it says it is. Raises SsmaError, naming it, where it cannot be read,
    is no model, or none of ours."""
    try:
        model = path.read_bytes()
        pairs = [fields(entry.value) for entry in entries(_view(model))
                 if entry.number == _METADATA]
        metadata = {_text(pair[1][-1]): _text(pair[2][-1]) for pair in pairs}
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, LookupError) as error:
        raise SsmaError(f"{path} is not an ONNX model, or it is cut short; write it again with "
                        "`ssma export`") from error
    try:
        return model, from_metadata(metadata)
    except SsmaError as error:
        raise SsmaError(f"{path}: {error}") from error


def parts(model: bytes, exported: Exported) -> dict[str, bytes]:
    """A model for each part: the WHOLE, and what labels a modality alone by its name; each takes
    no more inputs than it needs. model, exported: as `read` gives them."""
    if not exported.alone:
        return {WHOLE: model}
    lone = {name: [output_alone(name, output) for output in ("labels", "confidence")]
            for name in exported.alone}
    rest = set(_outputs(model)).difference(*lone.values())
    return {name: part(model, outputs) for name, outputs in {WHOLE: rest, **lone}.items()}


def part(model: bytes, outputs: Collection[str]) -> bytes:
    """What computes these outputs. Nodes must stand behind those that they need, and hold no graphs
    of their own."""
    pieces = []
    for entry in entries(_view(model)):
        if entry.number == _GRAPH:
            graph = b"".join(_kept(list(entries(entry.value)), outputs))
            pieces += [encoded(_GRAPH << 3 | 2), encoded(len(graph)), graph]
        else:
            pieces.append(bytes(entry.whole))
    return b"".join(pieces)


def _kept(graph: list[Entry], outputs: Collection[str]) -> Iterator[bytes]:
    used = set(outputs)
    needed = set()
    for place in reversed(range(len(graph))):
        if graph[place].number == _NODE:
            node = fields(graph[place].value)
            if used.intersection(map(_text, node.get(2, []))):
                used.update(map(_text, node.get(1, [])))
                needed.add(place)
    for place, entry in enumerate(graph):
        if entry.number == _OUTPUT:
            keep = _name(entry) in outputs
        elif entry.number in _NAME:
            keep = _name(entry) in used
        else:
            keep = entry.number != _NODE or place in needed
        if keep:
            yield entry.whole


def _outputs(model: bytes) -> list[str]:
    return [_name(entry) for top in entries(_view(model)) if top.number == _GRAPH
            for entry in entries(top.value) if entry.number == _OUTPUT]


def _view(model: bytes) -> bytes:
    """The same, of which parts are taken without a copy: weights are large."""
    return cast(bytes, memoryview(model))


def _name(entry: Entry) -> str:
    return _text(fields(entry.value)[_NAME[entry.number]][-1])


def _text(value: int | bytes) -> str:
    if isinstance(value, int):
        raise ValueError("a number where a text is wanted")
    return bytes(value).decode()
