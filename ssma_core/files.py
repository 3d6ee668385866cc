"""Files: written whole or not at all, and pictures read with an error a user understands."""
from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, with the same suffix; renames it to `path` when
    the block ends well and deletes it otherwise, so that nobody ever sees half a file.

    Raises SsmaError when the folder does not exist or cannot be written.
    """
    path = Path(path)
    temporary = _beside(path)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:  # such as a full disk, of which a write does not know the file's name
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(file: Path) -> None:
    """Before the work, not after it: raises SsmaError where no such file can be written."""
    if file.is_dir():
        raise SsmaError(f"cannot write {file}: it is a folder; give a file's name")
    _beside(file).unlink()


def _beside(path: Path) -> Path:
    """Makes an empty file in the same folder. Raises SsmaError when it cannot."""
    visible = path.stem.lstrip(".")  # beside a temporary file too: ".name.*" finds all of them
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{visible}.", suffix=path.suffix)
    except OSError as error:
        raise SsmaError(f"cannot write {path}: {error.strerror}; give a folder that exists and "
                        "can be written") from error
    os.close(handle)
    return Path(name)


def make_folder(folder: Path) -> None:
    """Makes it, and those above it, unless they are there. Raises SsmaError when it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SsmaError(f"cannot make the folder {folder}: {error.strerror}") from error


def read_json(path: str | Path) -> Any:
    """What a JSON file holds. Raises SsmaError naming the file when it cannot be read."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise SsmaError(f"{path} is not JSON: {error}") from error


def read_colour(path: str | Path) -> npt.NDArray[np.uint8]:
    """A picture as H×W×3 uint8, BGR. Raises SsmaError when it cannot be read."""
    return _read(path, cv2.IMREAD_COLOR)


def read_sensor(path: str | Path) -> npt.NDArray[Any]:
    """A picture as the sensor wrote it: H×W uint8, uint16 or float32, or H×W×3 uint8 BGR."""
    return _read(path, cv2.IMREAD_UNCHANGED)


def write_picture(path: str | Path, picture: npt.NDArray[Any]) -> None:
    """Writes a picture in the format of the suffix, whole or not at all."""
    try:
        encoded, data = cv2.imencode(Path(path).suffix, picture)
    except cv2.error:
        encoded = False
    if not encoded:
        raise SsmaError(f"cannot write {path}: no picture format for {Path(path).suffix!r}; "
                        "use .png or .jpg")
    with atomic_write(path) as temporary:
        temporary.write_bytes(data.tobytes())


def _read(path: str | Path, flags: int) -> npt.NDArray[Any]:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    picture = cv2.imdecode(data, flags) if data.size else None
    if picture is None:
        raise SsmaError(f"cannot read {path}: it is not a picture, or it is cut short")
    return picture
