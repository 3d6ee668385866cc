"""Reading and writing files: writes are atomic, and a file that cannot be read gives an SsmaError
that names it."""
from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.disk import picture_header
from ssma_core.disk.partial import lock, partial_file
from ssma_core.errors import SsmaError
from ssma_core.plain import from_json


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder, with the same suffix. Renames it to `path` when
    the block ends without an error, and deletes it otherwise: no one ever reads half a file. Of two
    processes that write one path at the same time, the last one's file stays.

    Where `path` is a symbolic link, the file behind it is written. A device or a pipe, such as
    /dev/null, gets the bytes. A file has the mode that the umask allows.
    Raises SsmaError, naming the file, when it cannot be written.
    """
    path = Path(path)
    if _takes_bytes(path):
        with (tempfile.TemporaryDirectory() as folder,
              _about(path, temporary := Path(folder, f"all{path.suffix}"))):
            yield temporary
            with temporary.open("rb") as file, path.open("wb") as stream:
                shutil.copyfileobj(file, stream)
    else:
        target = behind_links(path)
        with partial_file(target) as temporary, _about(path, temporary):
            yield temporary
            os.replace(temporary, target)


def write_text(path: str | Path, text: str) -> None:
    """Writes UTF-8, atomically. What UTF-8 cannot hold, such as a file's name of any bytes, is
    escaped. Raises SsmaError when it cannot be written."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def check_writable(file: Path) -> None:
    """Raises SsmaError when `file` cannot be written. To be called before the work, not after."""
    if os.path.isdir(file):
        raise SsmaError(f"cannot write {file}: it is a folder; give a file's name")
    if not _takes_bytes(file):
        with partial_file(behind_links(file)):
            pass
    elif not os.access(file, os.W_OK):
        raise SsmaError(f"cannot write {file}: {os.strerror(errno.EACCES)}; give another file")


def behind_links(path: Path) -> Path:
    """The file that `path` names, whether it exists or not."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else path


def _takes_bytes(path: Path) -> bool:
    """Whether it is no file that can be replaced: a device, a pipe, or a file that is open."""
    is_special = os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)
    return is_special or os.path.abspath(path).startswith(("/dev/std", "/dev/fd/", "/proc/"))


@contextmanager
def _about(path: Path, temporary: Path) -> Iterator[None]:
    """An error while writing names the temporary file, or none: it is one about `path`."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise
        raise SsmaError(f"cannot write {path}: {error.strerror or error}; make room there, or give "
                        "another place") from error


def make_folder(folder: Path) -> None:
    """Makes the folder and its parents if they do not exist. Raises SsmaError when it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SsmaError(f"cannot make the folder {folder}: {error.strerror}; give one that can "
                        "be written") from error


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Makes the folder as `make_folder`; while the block runs, no other process is in such a block
    with this folder. Raises SsmaError when one is."""
    make_folder(folder)
    with lock(folder / ".lock", f"writes into {folder}"):
        yield


def read_json(path: str | Path) -> Any:
    """Returns the content of a JSON file. Raises SsmaError naming the file if it is unreadable."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    return from_json(data, str(path))


def read_colour(path: str | Path) -> npt.NDArray[np.uint8]:
    """Reads a picture as H×W×3 uint8, BGR. Raises SsmaError when it cannot be read."""
    return _read(path, cv2.IMREAD_COLOR)


def read_sensor(path: str | Path) -> npt.NDArray[Any]:
    """Reads a picture with the type in the file: H×W uint8, uint16 or float32, or H×W×3 uint8 BGR.
    Raises SsmaError when it cannot be read."""
    return _read(path, cv2.IMREAD_UNCHANGED)


def write_picture(path: str | Path, picture: npt.NDArray[Any]) -> None:
    """Writes a picture (H×W or H×W×3 BGR) in the format of the suffix, atomically. Raises SsmaError
    when there is no such format or the file cannot be written."""
    data = encoded(path, picture)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def encoded(path: str | Path, picture: npt.NDArray[Any]) -> bytes:
    """The bytes of the picture's file, in the format of the path's suffix. Raises SsmaError when
    there is no such format."""
    try:
        known, data = cv2.imencode(Path(path).suffix, picture)
    except cv2.error:
        known = False
    if not known:
        raise SsmaError(f"cannot write {path}: no picture format for {Path(path).suffix!r}; "
                        "use .png or .jpg")
    return data.tobytes()


def _read(path: str | Path, flags: int) -> npt.NDArray[Any]:
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    picture_header.check(data.data, str(path))
    try:
        picture = cv2.imdecode(data, flags)
    except cv2.error:  # of a size or kind that OpenCV does not know
        picture = None
    if picture is None:
        raise SsmaError(f"cannot read {path}: it is not a picture, or it is cut short")
    return picture
