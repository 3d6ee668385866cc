"""Reading and writing files: writes are atomic, and a file that cannot be read gives an SsmaError
that names it."""
from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
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


def check_writable(file: Path, inputs: Iterable[Path] = ()) -> None:
    """Raises SsmaError when `file` cannot be written, or is one of the inputs. To be called before
    the work, not after."""
    if os.path.isdir(file):
        raise SsmaError(f"cannot write {file}: it is a folder; give a file's name")
    if os.path.isfile(file) and any(os.path.exists(path) and os.path.samefile(path, file)
                                    for path in inputs):
        raise SsmaError(f"cannot write {file}: it is one of the files that are read; choose "
                        "another name")
    if not _takes_bytes(file):
        with partial_file(behind_links(file)):
            pass
    elif not os.access(file, os.W_OK):
        raise SsmaError(f"cannot write {file}: {os.strerror(errno.EACCES)}; give another file")


def check_new(file: Path, is_ours: Callable[[Path], bool] = lambda _: False) -> None:
    """As `check_writable`, and raises SsmaError where a file with content is there: it may be the
    work of days. is_ours: whether it is one that this command wrote and can make again."""
    check_writable(file)
    if not _takes_bytes(file) and file.exists() and file.stat().st_size and not is_ours(file):
        raise SsmaError(f"{file} is there already; delete it or choose another name")


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
    with this folder. One that it made and that is empty at the end is removed. Raises SsmaError
    when another process is in such a block."""
    is_new = not folder.exists()
    make_folder(folder)
    try:
        with lock(folder / ".lock", f"writes into {folder}"):
            yield
    finally:
        if is_new:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def check_facts(described: Path, facts: Any, other: str, foreign: str) -> None:
    """Raises SsmaError unless the folder that `described` lies in is empty or not there, or was
    filled for the same facts, which `described` holds as JSON. other, foreign: what the folder is
    where they are not the same, and where there are none."""
    folder = described.parent
    if described.exists():
        if read_json(described) != facts:
            raise SsmaError(f"{folder} {other} (see {described}): give another --output, or remove "
                            "it")
    elif folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir()):
        raise SsmaError(f"{folder} {foreign}: give another --output")


def write_facts(described: Path, facts: Any) -> None:
    """For `check_facts` of a later run; before the folder's first file. What is there stays."""
    if not described.exists():
        make_folder(described.parent)
        write_text(described, json.dumps(facts, indent=1) + "\n")


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


def read_pair(rgb: str | Path, aux: str | Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[Any]]:
    """A frame as `read_colour` and `read_sensor` read its pictures. Raises SsmaError as they do,
    and where the two look swapped."""
    second = read_sensor(aux)
    try:
        return read_colour(rgb), second
    except SsmaError as error:
        if second.ndim == 3 and read_sensor(rgb).ndim == 2:
            raise SsmaError(f"{error}. And {aux}, given as the second sensor's, has colours: the "
                            "two look swapped; exchange them") from error
        raise


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


def check_picture(file: Path, inputs: Iterable[Path] = ()) -> None:
    """Raises SsmaError when `write_picture` cannot write `file`, or it is one of the inputs."""
    if not cv2.haveImageWriter(file.name):
        raise _no_format(file)
    check_writable(file, inputs)


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
        raise _no_format(Path(path))
    return data.tobytes()


def _no_format(path: Path) -> SsmaError:
    return SsmaError(f"cannot write {path}: no picture format for {path.suffix!r}; use .png or "
                     ".jpg")


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
