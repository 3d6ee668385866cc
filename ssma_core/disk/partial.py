"""Files and folders that are not finished yet, each used by one process only, and locks.

The system frees a lock when its process ends, however it ends. A disk without locks, as some
network disks are, keeps no one out.
"""
from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from glob import escape
from itertools import count
from pathlib import Path

from ssma_core.errors import SsmaError


@contextmanager
def partial_file(path: Path) -> Iterator[Path]:
    """Yields an empty file beside `path`, with the same suffix, which no other process uses.
    Deletes it at the end, if it still has that name. What a killed process left is removed.

    Raises SsmaError when it cannot be made."""
    with _partial(path, f".{path.stem}.partial", path.suffix, _open_file) as partial:
        yield partial


def left_of(path: Path) -> Iterator[Path]:
    """The partial files of `path` that are there."""
    return path.parent.glob(f".{escape(path.stem)}.partial*{escape(path.suffix)}")


@contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """As partial_file, a folder."""
    with _partial(path, f".{path.name}.partial", "", _open_folder) as partial:
        yield partial


@contextmanager
def lock(path: Path, what: str) -> Iterator[None]:
    """Makes the file `path`, locked while the block runs, and deletes it. One that a killed process
    left is free.

    what: this process does, such as "trains the stage fusion in runs/forest".
    Raises SsmaError when another process does that already.
    """
    try:
        # lockf: a forked process that outlives this one does not hold it.
        handle = _claim(path, _open_file, fcntl.lockf)
    except OSError as error:
        raise cannot_write(path, error) from error
    if handle is None:
        raise SsmaError(f"another process {what}: wait until it ends, or give another folder"
                        if os.access(path, os.W_OK) else f"{path} is another user's: remove it")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def cannot_write(path: Path, error: OSError) -> SsmaError:
    return SsmaError(f"cannot write {path}: {error.strerror}; give a folder that exists and can be "
                     "written")


@contextmanager
def _partial(path: Path, begin: str, suffix: str, make: Callable[[Path], int]) -> Iterator[Path]:
    # Always the same names, so that the next process finds what this one leaves if it is killed.
    names = (path.with_name(f"{begin}{'' if number == 1 else f'-{number}'}{suffix}")
             for number in count(1))
    try:
        partial, handle = next((name, handle) for name in names
                               if (handle := _claim(name, make, fcntl.flock)) is not None)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield partial
    finally:
        if _is(handle, partial):
            _remove(partial)
        os.close(handle)


def _claim(path: Path, make: Callable[[Path], int],
           take: Callable[[int, int], object]) -> int | None:
    """Makes, opens and locks an empty file or folder; None where another process or user has it.
    One with content was left by a process that was killed."""
    while True:
        try:
            handle = make(path)
        except OSError:
            if os.path.lexists(path):
                return None
            raise
        if not _locks(handle, take):
            os.close(handle)
            return None
        if _is(handle, path):
            if not _has_content(path):
                return handle
            _remove(path)
        os.close(handle)


def _open_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)


def _open_folder(path: Path) -> int:
    path.mkdir(exist_ok=True)
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _locks(handle: int, take: Callable[[int, int], object]) -> bool:
    try:
        take(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a disk without locks
    return True


def _is(handle: int, path: Path) -> bool:
    """Whether `path` still names it: another process may have renamed or removed it."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _has_content(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else path.stat().st_size > 0


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
