"""Registrations as YAML files, which `ssma register` writes and the node reads."""
from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from ssma_core.files import write_text
from ssma_core.plain import from_plain, read_yaml
from ssma_core.registration.depth import DepthRegistration
from ssma_core.registration.homography import HomographyRegistration

Registration = DepthRegistration | HomographyRegistration


def read(path: str | Path) -> Registration:
    """Reads a registration. Raises SsmaError, naming the file and the field, when it is none."""
    kind: Any = Registration
    return cast(Registration, from_plain(kind, read_yaml(path), str(path)))


def write(path: str | Path, registration: Registration, comment: str) -> None:
    """Writes a registration, atomically. comment: lines above it, for people.

    Raises SsmaError when it cannot be written."""
    import yaml

    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    values = yaml.safe_dump(_plain(asdict(registration)), sort_keys=False, width=100,
                            default_flow_style=None)
    write_text(path, lines + values)


def _plain(values: Any) -> Any:
    """YAML's own types, without what is not known."""
    if isinstance(values, dict):
        return {name: _plain(value) for name, value in values.items() if value is not None}
    return [_plain(value) for value in values] if isinstance(values, tuple) else values
