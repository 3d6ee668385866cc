"""An annotation tool's export: a file, a folder, or a zip that is read without being unpacked."""
from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from ssma_core.errors import SsmaError
from ssma_core.plain import from_json, from_plain, shown

T = TypeVar("T")

_LARGEST = 1 << 30  # bytes of one file, unpacked
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True)
class Source:
    """names: of the files in it, with "/", sorted; in a zip two may be equal. bytes_of: the
    content of one."""

    path: Path
    names: tuple[str, ...]
    bytes_of: Callable[[str], bytes]

    def where(self, name: str) -> str:
        """The file, for errors."""
        return str(self.path) if name == self.path.name else f"{self.path}, {shown(name)[1:-1]}"

    def read(self, name: str) -> bytes:
        """Raises SsmaError, naming the file, when it cannot be read or is too large."""
        try:
            return self.bytes_of(name)
        except SsmaError as error:
            raise SsmaError(f"cannot read {self.where(name)}: {error}") from error
        except OSError as error:
            raise SsmaError(f"cannot read {self.where(name)}: {error.strerror or error}") from error
        # Those of zipfile and zlib come through.
        except (Exception, MemoryError) as error:
            raise SsmaError(f"cannot read {self.where(name)}: it is damaged or cut short "
                            f"({shown(str(error))}); export it again") from error

    def json(self, name: str) -> Any:
        """Raises SsmaError as `read`, and where it is no JSON."""
        return from_json(self.read(name), self.where(name))

    def ending(self, suffix: str) -> list[str]:
        return [name for name in self.names if name.lower().endswith(suffix)]


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Raises SsmaError where there is nothing, or a damaged zip."""
    if path.is_dir():
        files = (each.relative_to(path) for each in path.rglob("*") if each.is_file())
        yield Source(path, _sorted(each.as_posix() for each in files),
                     lambda name: _of_file(path / name))
    elif not path.is_file():
        raise SsmaError(f"there is no export {path}")
    elif zipfile.is_zipfile(path):
        with _archive(path) as archive:
            yield Source(path, _sorted(archive.namelist()), lambda name: _unpacked(archive, name))
    else:
        yield Source(path, (path.name,), lambda name: _of_file(path))


def known_fields(kind: type[T], values: Any, where: str) -> T:
    """As `from_plain`; the fields that the dataclass does not know are the tool's own."""
    if isinstance(values, dict):
        values = {field.name: values[field.name] for field in fields(kind)  # type: ignore[arg-type]
                  if field.name in values}
    return from_plain(kind, values, where)


def _sorted(names: Any) -> tuple[str, ...]:
    """Without folders, hidden files, and what macOS puts into its zips."""
    return tuple(sorted(name for name in names if not name.endswith("/") and not any(
        (part.startswith(".") and part != "..") or part == "__MACOSX"
        for part in PurePosixPath(name).parts)))


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # those of struct come through, too
        raise SsmaError(f"cannot read {path}: it is no whole zip ({shown(str(error))}); export it "
                        "again") from error
    with archive:
        yield archive


def _of_file(path: Path) -> bytes:
    _check_size(path.stat().st_size)
    return path.read_bytes()


def _unpacked(archive: zipfile.ZipFile, name: str) -> bytes:
    member = archive.getinfo(name)
    _check_size(member.file_size)
    if member.compress_type not in _METHODS:
        raise SsmaError("it is packed with a method that exports do not use; unpack the zip, and "
                        "give the folder")
    with archive.open(member) as file:
        # With a size, so that it unpacks no more than the header says.
        return file.read(member.file_size + 1)


def _check_size(size: int) -> None:
    if size > _LARGEST:
        raise SsmaError(f"it has {size:,} bytes, more than {_LARGEST:,}: export fewer frames at "
                        "once")
