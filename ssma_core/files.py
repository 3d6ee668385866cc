"""Reading and writing files: writes are atomic, and a file that cannot be read gives an SsmaError
that names it."""
from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.disk.partial import lock, partial_file
from ssma_core.errors import SsmaError
from ssma_core.image_files import png
from ssma_core.image_files.decode import decode, in_colour
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
              _written_as(path, temporary := Path(folder, f"all{path.suffix}"))):
            yield temporary
            with temporary.open("rb") as file, path.open("wb") as stream:
                shutil.copyfileobj(file, stream)
    else:
        target = behind_links(path)
        with partial_file(target) as temporary, _written_as(path, temporary):
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
def _written_as(path: Path, temporary: Path) -> Iterator[None]:
    """An error while writing names the temporary file, or none: it is one about `path`."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, str(temporary)):
            raise
        raise SsmaError(f"cannot write {path}: {error.strerror or error}; make room there, or give "
                        "another place") from error


def short_names(paths: Sequence[str]) -> list[str]:
    """The end of each path, as long as no other has the same; all of it where they are equal."""
    parts = [Path(path).parts for path in paths]
    names = []
    for own in parts:
        length = next((n for n in range(1, len(own))
                       if sum(other[-n:] == own[-n:] for other in parts) == 1), len(own))
        names.append(str(Path(*own[-length:])) if own else ".")
    return names


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
    data = encoded(path, picture)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def encoded(path: str | Path, picture: npt.NDArray[Any], options: Sequence[int] = ()) -> bytes:
    """The bytes of the picture's file, in the format of the path's suffix. options: as cv2.imwrite
    takes them. Raises SsmaError when there is no such format."""
    if Path(path).suffix == ".png" and not options and png.can_hold(picture):
        return png.encoded(picture)
    try:
        known, data = cv2.imencode(Path(path).suffix, picture, list(options))
    except cv2.error:
        known = False
    if not known:
        raise SsmaError(f"cannot write {path}: no picture format for {Path(path).suffix!r}; "
                        "use .png or .jpg")
    return data.tobytes()


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
