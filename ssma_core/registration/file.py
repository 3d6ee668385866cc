"""Registrations as YAML files, which `ssma register` writes and the node reads."""
from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.files import write_text
from ssma_core.plain import from_plain, read_yaml
from ssma_core.registration.depth import DepthRegistration
from ssma_core.registration.homography import HomographyRegistration

Registration = DepthRegistration | HomographyRegistration


def read(path: str | Path) -> Registration:
    """Reads a registration. Raises SsmaError, naming the file and the field, when it is none."""
    kind: Any = Registration
    found = cast(Registration, from_plain(kind, read_yaml(path), str(path)))
    return replace(found, file=str(path))


def is_registration(path: str | Path) -> bool:
    """Whether the file is one that can be read."""
    try:
        read(path)
    except SsmaError:
        return False
    return True


def registered(registration: Registration | None, rgb: npt.NDArray[Any] | None,
               aux: npt.NDArray[Any], beyond: float = 0.0) -> npt.NDArray[Any]:
    """The second sensor's image in the colour camera's view, see `aligned`; without a registration,
    as it is. rgb: None where it is not known. beyond: what an image of floats holds where that
    sensor sees nothing. Raises SsmaError as `aligned`."""
    if registration is None:
        return aux
    return registration.aligned(aux, None if rgb is None else (rgb.shape[1], rgb.shape[0]), beyond)


def write(path: str | Path, registration: Registration, comment: str) -> None:
    """Writes a registration, atomically. comment: lines above it, for people.

    Raises SsmaError when it cannot be written."""
    import yaml

    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    values = yaml.safe_dump(as_plain(registration), sort_keys=False, width=100,
                            default_flow_style=None)
    write_text(path, lines + values)


def as_plain(registration: Registration) -> dict[str, Any]:
    """What its file says, in the types of JSON and YAML."""
    return cast(dict[str, Any], _plain(asdict(replace(registration, file=None))))


def _plain(values: Any) -> Any:
    """YAML's own types, without what is not known."""
    if isinstance(values, dict):
        return {name: _plain(value) for name, value in values.items() if value is not None}
    return [_plain(value) for value in values] if isinstance(values, tuple) else values
