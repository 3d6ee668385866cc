"""A data set as the original's list file: `modality1 modality2 label`, one frame a line."""
from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssma_core.datasets.samples import Folded, Pictures
from ssma_core.errors import SsmaError
from ssma_core.files import atomic_write

_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class ListFile(Folded):
    """The frames that a text file lists: a line has three paths with blanks between them, of the
    colour image, the second modality's image and the label image. Empty lines are skipped, and
    those that begin with "#" and a blank. The text is UTF-8, or UTF-16 with its mark.

    list: the file. Relative paths in it start at its own folder; a relative `list` starts at the
      current folder.
    """

    list: str

    def every(self) -> Sequence[Pictures]:
        """Raises SsmaError naming file and line where a line is not three existing files, or lists
        a colour image for the second time."""
        path = Path(self.list)
        lines: dict[Path, int] = {}
        samples = []
        for number, line in enumerate(_LINE_END.split(_text(path)), 1):
            if not line.strip() or line.split()[0] == "#":
                continue
            sample = _sample(path, number, line)
            first = lines.setdefault(sample.rgb, number)
            if first != number:
                raise SsmaError(f"{path}, line {number}: {sample.rgb} is listed in line {first} "
                                "already")
            samples.append(sample)
        if not samples:
            raise SsmaError(f"{path} lists no frame")
        return samples


def write_list(path: str | Path, rows: Iterable[tuple[Path, Path, Path]]) -> None:
    """Writes a list file, whole or not at all, that `ListFile` and the original read.

    rows: colour, second modality and label of every frame; written relative to the list's folder,
      so that all can be moved together.
    Raises SsmaError for a path with blanks in it, which the format does not allow, and where the
    file cannot be written.
    """
    folder = Path(path).parent.resolve()
    lines = [" ".join(as_listed(Path(file), folder) for file in row) for row in rows]
    with atomic_write(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8",
                             errors="surrogateescape")


def as_listed(file: Path, folder: Path) -> str:
    """The file's path as a list in that folder has it. Raises SsmaError for a path with blanks."""
    seen = os.path.relpath(file.parent.resolve() / file.name, folder)
    if seen.split() != [seen]:
        raise SsmaError(f"{seen!r} cannot be written to a list file, which has blanks between its "
                        "paths: rename the folder or file")
    return f"./{seen}" if seen == "#" else seen  # alone it begins a comment


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror}") from error
    try:
        if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return content.decode("utf-16")
    except UnicodeDecodeError as error:
        raise SsmaError(f"{path} is no UTF-16, as its first bytes say: {error}") from error
    # A file's name can be any bytes, and so can the list's text.
    return content.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="surrogateescape")


def _sample(path: Path, number: int, line: str) -> Pictures:
    names = line.split()
    if len(names) != 3:
        raise SsmaError(f"{path}, line {number}: a line has three paths, of colour, second "
                        f"modality and label, none with blanks in it; got {len(names)}: "
                        f"{line[:200]!r}{_separator(line)}")
    rgb, aux, label = (path.parent / name for name in names)
    for name, file in zip(names, (rgb, aux, label)):
        if not os.path.isfile(file):
            raise SsmaError(f"{path}, line {number}: there is no file {file}; relative paths "
                            f"start at the list's folder{_way_out(path.parent, name)}")
    return Pictures(rgb, aux, label)


def _separator(line: str) -> str:
    """What to do about a line that has its three paths, but not blanks between them."""
    for mark in (",", ";", "|"):
        if line.count(mark) == 2:
            return f": write blanks between the paths, and not {mark!r}"
    return ""


def _way_out(folder: Path, name: str) -> str:
    """What to do about a path that is not there as it is written, but nearly."""
    if name.startswith("/") and os.path.isfile(folder / name.lstrip("/")):
        return f"; without the / before it, {name.lstrip('/')} is there"
    if "\\" in name:
        return "; a list has / between folders, and not \\"
    if name.strip("\"'") != name:
        return "; a list has no quotation marks"
    return ""
