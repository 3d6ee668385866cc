"""Converts plain data, as JSON and YAML give it, to typed dataclasses. Errors name the field."""
from __future__ import annotations

import json
import math
import reprlib
import types
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from ssma_core.errors import SsmaError, naming

T = TypeVar("T")

_LONGEST_YAML, _MOST_VALUES = 1_000_000, 100_000
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 200


def from_plain(kind: type[T], values: Any, where: str) -> T:
    """Builds the dataclass `kind` from a mapping.

    Understands nested dataclasses, tuples, dict[str, …], optional values, Literal, str, int, float,
    bool, and a union of dataclasses: the one that has the given fields is built. Arrays stay as
    they are.
    where: the name of the whole in errors, for example "spec" or the file's name.
    Raises SsmaError that names the field and what it should be.
    """
    return _convert(kind, values, where)


def from_json(text: str | bytes, what: str) -> Any:
    """The values. what: its name in errors. Raises SsmaError where it is no JSON."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise SsmaError(f"{what} is not JSON: {error}") from error
    except RecursionError as error:
        raise SsmaError(f"{what} is not JSON of this program: it is nested too deeply") from error


def read_yaml(path: str | Path) -> Any:
    """Returns the content of a YAML file. Raises SsmaError naming the file if it is unreadable."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SsmaError(f"{path} is not YAML: {error}") from error
    return from_yaml(text, str(path))


def from_yaml(text: str, what: str) -> Any:
    """The values. what: its name in errors. Raises SsmaError where it is no YAML, or stands for far
    more values than are written."""
    import yaml

    if len(text) > _LONGEST_YAML:
        raise SsmaError(f"{what} is no configuration: it has {len(text):,} letters")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if stands_for(node, _MOST_VALUES) > _MOST_VALUES:
            raise SsmaError(f"{what} stands for more than {_MOST_VALUES:,} values, by its aliases")
        _check_names(node, what)
        return loader.construct_document(node)
    except SsmaError:
        raise
    # YAMLError, and what its constructors raise for numbers and dates that are none.
    except (Exception, RecursionError) as error:
        raise SsmaError(f"{what} is not YAML: {' '.join(str(error).split())}") from error


def _check_names(node: Any, what: str) -> None:
    """Raises SsmaError for a mapping with a name twice, of which YAML would drop the first one."""
    import yaml

    seen, waiting = set(), [node]
    while waiting:
        node = waiting.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if not isinstance(node, yaml.MappingNode):
            waiting += node.value
            continue
        names = set()
        for name, value in node.value:
            waiting += [name, value]
            if isinstance(name, yaml.ScalarNode) and name.value != "<<":
                if name.value in names:
                    raise SsmaError(f"{what} names {shown(name.value)} twice, the second time in "
                                    f"line {name.start_mark.line + 1}: of two only one would hold")
                names.add(name.value)


def stands_for(node: Any, most: int) -> int:
    """How many values a YAML node stands for, each alias counted as what it names; more than `most`
    where a node is within itself."""
    import yaml

    known: dict[int, int] = {}  # by the node's id

    def values(node: Any) -> int:
        if id(node) not in known:
            known[id(node)] = most + 1  # for an alias of a node within itself
            inner = node.value if isinstance(node, yaml.CollectionNode) else ()
            pairs = isinstance(node, yaml.MappingNode)
            known[id(node)] = 1 + sum(values(each) for part in inner
                                      for each in (part if pairs else (part,)))
        return known[id(node)]

    return values(node)


def shown(value: Any) -> str:
    """A value as text for a message: not longer than a line."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"


def _convert(kind: Any, value: Any, where: str) -> Any:
    if is_dataclass(kind):
        return _dataclass(kind, value, where)
    by_origin = {tuple: _tuple, dict: _dict, Union: _union, types.UnionType: _union,
                 Literal: _literal}
    origin = get_origin(kind)
    if origin in by_origin:
        return by_origin[origin](get_args(kind), value, where)
    if kind is float:
        return _float(value, where)
    if origin is np.ndarray and isinstance(value, np.ndarray):
        return value
    if type(value) is not kind:
        raise SsmaError(f"{where} must be of type {kind.__name__}, got {shown(value)}")
    return value


def _float(value: Any, where: str) -> float:
    if type(value) not in (int, float, str):  # str: PyYAML reads 1e-3, without a point, as text
        raise SsmaError(f"{where} must be of type float, got {shown(value)}")
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise SsmaError(f"{where} must be of type float, got {shown(value)}") from error
    if not math.isfinite(number):
        raise SsmaError(f"{where} must be a finite number, got {shown(value)}")
    return number


def _literal(choices: tuple[Any, ...], value: Any, where: str) -> Any:
    if value in choices:
        return value
    raise SsmaError(f"{where} must be one of {', '.join(map(str, choices))}, got {shown(value)}")


def _dict(kinds: tuple[Any, ...], values: Any, where: str) -> dict[str, Any]:
    return {name: _convert(kinds[1], value, f"{where}.{name}")
            for name, value in _mapping(values, where).items()}


def _mapping(values: Any, where: str) -> dict[str, Any]:
    if isinstance(values, dict):
        return values
    raise SsmaError(f"{where} must be a mapping of names to values, got {shown(values)}")


def _union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    """For "X | None", or for dataclasses: the one that shares most field names with `value`."""
    if value is None and types.NoneType in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not types.NoneType)
    if len(kinds) > 1:
        given = set(value) if isinstance(value, dict) else set()
        shared = [len(given & {field.name for field in fields(kind)}) for kind in kinds]
        if shared.count(max(shared)) > 1:
            choices = " or ".join(f"{{{', '.join(_required(kind))}}}" for kind in kinds)
            raise SsmaError(f"{where} must have the fields {choices}, got {shown(value)}")
        kinds = kinds[shared.index(max(shared)):]
    return _convert(kinds[0], value, where)


@cache  # of a file with thousands of frames, each is of one kind
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _required(kind: Any) -> list[str]:
    return [field.name for field in fields(kind)
            if field.default is MISSING and field.default_factory is MISSING]


def _dataclass(kind: Any, values: Any, where: str) -> Any:
    known = [field.name for field in fields(kind)]
    for name in _mapping(values, where):
        if name not in known:
            raise SsmaError(f"{where} has an unknown field {name!r}; known: {', '.join(known)}")
    missing = [name for name in _required(kind) if name not in values]
    if missing:
        raise SsmaError(f"{where} lacks {', '.join(missing)}")
    hints = _hints(kind)
    converted = {name: _convert(hints[name], value, f"{where}.{name}")
                 for name, value in values.items()}
    with naming(where):  # a value has the right type but is not allowed
        return kind(**converted)


def _tuple(kinds: tuple[Any, ...], values: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple):
        raise SsmaError(f"{where} must be a list, got {shown(values)}")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(values)
    if len(kinds) != len(values):
        raise SsmaError(f"{where} must have {len(kinds)} entries, got {shown(values)}")
    return tuple(_convert(kind, value, f"{where}[{i}]")
                 for i, (kind, value) in enumerate(zip(kinds, values)))
