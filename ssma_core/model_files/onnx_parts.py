"""Cuts an exported ONNX file into parts: the fusion, each expert that labels alone, or the nodes of
some outputs. This is necessary because a runtime computes all nodes of a model, also those of
outputs that no one asked for.

It works on the bytes, with the field numbers of onnx.proto, so that a robot does not need the
package onnx.
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
_NAMES = {_NODE: 2, _WEIGHT: 8, _INPUT: 1, _OUTPUT: 1, _SHAPE: 1}  # the names' field in each
_INPUTS_OF_NODE = 1


def read(path: Path) -> tuple[bytes, Exported]:
    """Reads an ONNX file and its metadata. Raises SsmaError, naming the file, when it cannot be
    read, is not an ONNX model, or was not written by this project."""
    try:
        model = path.read_bytes()
        metadata = _metadata(model)
        for entry in _graph(model):
            _piece(entry)  # so that `parts` and `cuts` find no fault
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, LookupError) as error:
        raise SsmaError(f"{path} is not an ONNX model, or it is cut short; write it again with "
                        "`ssma export`") from error
    try:
        return model, from_metadata(metadata)
    except SsmaError as error:
        raise SsmaError(f"{path}: {error}") from error


def is_exported(path: Path) -> bool:
    """Whether `ssma export` wrote the file, of this program or an older one."""
    try:
        return "spec" in _metadata(path.read_bytes())
    except (OSError, ValueError, LookupError):
        return False


def parts(model: bytes, exported: Exported) -> dict[str, bytes]:
    """A model for each part: under WHOLE, what uses both modalities; under the name of a modality,
    its unimodal expert. Each part has only the inputs that it needs.

    model, exported: as `read` returns them.
    """
    if not exported.unimodal:
        return {WHOLE: model}
    unimodal = {name: {unimodal_output(name, output) for output in ("labels", "confidence")}
                for name in exported.unimodal}
    outputs = {name for entry in _graph(model) if entry.number == _OUTPUT
               for name in _piece(entry).names}
    return cuts(model, {WHOLE: outputs.difference(*unimodal.values()), **unimodal})


def cuts(model: bytes, wanted: Mapping[str, Collection[str]]) -> dict[str, bytes]:
    """For each name in `wanted`, a model that computes these outputs and nothing else, with only
    the inputs that it needs.

    model: as `read` returns it. Its nodes come after those that they need, and contain no graphs.
    """
    around = [entry.whole for entry in entries(_view(model)) if entry.number != _GRAPH]
    graph = [_piece(entry) for entry in _graph(model)]
    return {name: b"".join([*around, *_as_field(_GRAPH, _kept(graph, set(outputs)))])
            for name, outputs in wanted.items()}


class _Piece(NamedTuple):
    """An entry of a graph. names: the tensors that it makes or describes. needs: a node's inputs.
    whole: its bytes."""

    number: int
    names: list[str]
    needs: list[str]
    whole: bytes


def _metadata(model: bytes) -> dict[str, str]:
    pairs = [fields(entry.value) for entry in entries(_view(model)) if entry.number == _METADATA]
    return {_text(pair[1][-1]): _text(pair[2][-1]) for pair in pairs}


def _graph(model: bytes) -> Iterator[Entry]:
    for entry in entries(_view(model)):
        if entry.number == _GRAPH:
            yield from entries(entry.value)


def _piece(entry: Entry) -> _Piece:
    found = fields(entry.value) if entry.number in _NAMES else {}
    names, needs = ([text for text in map(_text, found.get(field, [])) if text] for field in (
        _NAMES.get(entry.number, 0), _INPUTS_OF_NODE if entry.number == _NODE else 0))
    return _Piece(entry.number, names, needs, entry.whole)


def _kept(graph: Sequence[_Piece], outputs: set[str]) -> list[bytes]:
    """The entries of the graph that compute these outputs."""
    used = set(outputs)
    for piece in reversed(graph):
        if piece.number == _NODE and not used.isdisjoint(piece.names):
            used.update(piece.needs)
    return [piece.whole for piece in graph if not piece.names
            or not (outputs if piece.number == _OUTPUT else used).isdisjoint(piece.names)]


def _as_field(number: int, message: Sequence[bytes]) -> list[bytes]:
    return [encoded(number << 3 | 2), encoded(sum(map(len, message))), *message]


def _view(model: bytes) -> bytes:
    """The same bytes as a view: slices of it are not copied, because weights are large."""
    return cast(bytes, memoryview(model))


def _text(value: int | bytes) -> str:
    if isinstance(value, int):
        raise ValueError("a number instead of a text")
    return bytes(value).decode()
