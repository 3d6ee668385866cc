"""Parts of an exported ONNX file, cut out of its bytes: what fuses, what labels with one sensor
alone, or what computes some of the outputs. A runtime computes all that it is given, whether asked
for or not.

Field numbers are those of onnx.proto. A robot that runs a file need not have the package onnx.
"""
from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from ssma_core.errors import SsmaError
from ssma_core.model_files.exported import Exported, from_metadata, unimodal_output
from ssma_core.model_files.protobuf import Entry, encoded, entries, fields

WHOLE = ""
_GRAPH, _METADATA = 7, 14  # of ModelProto
_NODE, _WEIGHT, _INPUT, _OUTPUT, _SHAPE = 1, 5, 11, 12, 13  # of GraphProto
_NAMES = {_NODE: 2, _WEIGHT: 8, _INPUT: 1, _OUTPUT: 1, _SHAPE: 1}  # in the messages of these
_NEEDS = 1  # in a node's


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
    if not exported.unimodal:
        return {WHOLE: model}
    lone = {name: {unimodal_output(name, output) for output in ("labels", "confidence")}
            for name in exported.unimodal}
    outputs = {name for entry in _graph(model) if entry.number == _OUTPUT
               for name in _piece(entry).names}
    return cuts(model, {WHOLE: outputs.difference(*lone.values()), **lone})


def cuts(model: bytes, wanted: Mapping[str, Collection[str]]) -> dict[str, bytes]:
    """By the same names, the models that compute these outputs and nothing else, from no more
    inputs than they need.

    model: as `read` gives it. Nodes stand behind those that they need, and hold no graphs of their
      own.
    """
    around = [entry.whole for entry in entries(_view(model)) if entry.number != _GRAPH]
    graph = [_piece(entry) for entry in _graph(model)]
    return {name: b"".join([*around, *_as_field(_GRAPH, _kept(graph, set(outputs)))])
            for name, outputs in wanted.items()}


class _Piece(NamedTuple):
    """An entry of a graph. names: of the tensors that it makes or describes. needs: of a node."""

    number: int
    names: list[str]
    needs: list[str]
    whole: bytes


def _graph(model: bytes) -> Iterator[Entry]:
    for entry in entries(_view(model)):
        if entry.number == _GRAPH:
            yield from entries(entry.value)


def _piece(entry: Entry) -> _Piece:
    found = fields(entry.value) if entry.number in _NAMES else {}
    names, needs = ([text for text in map(_text, found.get(field, [])) if text] for field in (
        _NAMES.get(entry.number, 0), _NEEDS if entry.number == _NODE else 0))
    return _Piece(entry.number, names, needs, entry.whole)


def _kept(graph: Sequence[_Piece], outputs: set[str]) -> list[bytes]:
    """What computes these outputs."""
    used = set(outputs)
    for piece in reversed(graph):
        if piece.number == _NODE and not used.isdisjoint(piece.names):
            used.update(piece.needs)
    return [piece.whole for piece in graph if not piece.names
            or not (outputs if piece.number == _OUTPUT else used).isdisjoint(piece.names)]


def _as_field(number: int, message: Sequence[bytes]) -> list[bytes]:
    return [encoded(number << 3 | 2), encoded(sum(map(len, message))), *message]


def _view(model: bytes) -> bytes:
    """The same, of which parts are taken without a copy: weights are large."""
    return cast(bytes, memoryview(model))


def _text(value: int | bytes) -> str:
    if isinstance(value, int):
        raise ValueError("a number where a text is wanted")
    return bytes(value).decode()
