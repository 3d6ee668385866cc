"""Reading and writing files: writes are atomic, and a file that cannot be read gives an SsmaError
that names it."""
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
from ssma_core.image_files.decode import decode, in_colour


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, with the same suffix. Renames it to `path` when
    the block ends without an error, and deletes it otherwise: no one ever reads half a file.

    Raises SsmaError when the folder does not exist or cannot be written.
    """
    path = Path(path)
    temporary = _make_temporary(path)
    try:
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:  # for example a full disk: a write's error does not name the file
        error.filename = error.filename or str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(file: Path) -> None:
    """Raises SsmaError when `file` cannot be written. To be called before the work, not after."""
    if file.is_dir():
        raise SsmaError(f"cannot write {file}: it is a folder; give a file's name")
    _make_temporary(file).unlink()


def _make_temporary(path: Path) -> Path:
    """Makes an empty file in the folder of `path`. Raises SsmaError when it cannot."""
    visible = path.stem.lstrip(".")  # so that ".name.*" finds them, also for a temporary `path`
    try:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{visible}.", suffix=path.suffix)
    except OSError as error:
        raise SsmaError(f"cannot write {path}: {error.strerror}; give a folder that exists and "
                        "can be written") from error
    os.close(handle)
    return Path(name)


def make_folder(folder: Path) -> None:
    """Makes the folder and its parents if they do not exist. Raises SsmaError when it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SsmaError(f"cannot make the folder {folder}: {error.strerror}") from error


def read_json(path: str | Path) -> Any:
    """Returns the content of a JSON file. Raises SsmaError naming the file if it is unreadable."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise SsmaError(f"{path} is not JSON: {error}") from error


def read_colour(path: str | Path) -> npt.NDArray[np.uint8]:
    """Reads a camera's picture as H×W×3 uint8, BGR. Raises SsmaError when it cannot be read, or is
    no colour or grey picture of 8 bits, or of 16 that are used."""
    with _about(path):
        return in_colour(*decode(_bytes(path)))


def read_sensor(path: str | Path) -> npt.NDArray[Any]:
    """Reads a picture with the values and the type in the file: H×W uint8, uint16 or float32, or
    H×W×3 uint8 BGR. Raises SsmaError when it cannot be read."""
    with _about(path):
        return decode(_bytes(path))[1]


def read_ids(path: str | Path) -> npt.NDArray[np.integer]:
    """Reads a label picture: H×W, the numbers that are written in it. Raises SsmaError when it
    cannot be read, or has colours, a palette or alpha, or is a JPEG."""
    with _about(path):
        header, pixels = decode(_bytes(path))
    if header.kind == "JPEG":
        raise SsmaError(f"{path} is no label image: a JPEG changes the numbers; save it as PNG")
    if pixels.ndim != 2 or not np.issubdtype(pixels.dtype, np.integer):
        has = ("a palette" if header.has_palette else f"values of {pixels.dtype}"
               if pixels.ndim == 2 else f"{pixels.shape[2]} channels")
        raise SsmaError(f"{path} is no label image: it has {has}, and must have one channel with "
                        "the class's number, no colours, no palette and no alpha; save the numbers "
                        "themselves as a grey PNG of 8 bits")
    return pixels


def write_picture(path: str | Path, picture: npt.NDArray[Any]) -> None:
    """Writes a picture (H×W or H×W×3 BGR) in the format of the suffix, atomically. Raises SsmaError
    when there is no such format or the file cannot be written."""
    try:
        encoded, data = cv2.imencode(Path(path).suffix, picture)
    except cv2.error:
        encoded = False
    if not encoded:
        raise SsmaError(f"cannot write {path}: no picture format for {Path(path).suffix!r}; "
                        "use .png or .jpg")
    with atomic_write(path) as temporary:
        temporary.write_bytes(data.tobytes())


def _bytes(path: str | Path) -> memoryview:
    try:
        return np.fromfile(path, np.uint8).data
    except OSError as error:
        raise SsmaError(error.strerror or str(error)) from error


@contextmanager
def _about(path: str | Path) -> Iterator[None]:
    try:
        yield
    except SsmaError as error:
        raise SsmaError(f"cannot read {path}: {error}") from error
