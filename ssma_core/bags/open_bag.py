"""The files of a bag, opened: a folder with its metadata.yaml, or one file.

Of metadata.yaml only the names of the files count, and the QoS: what tools and people leave in the
rest is often not that of the recording. What a file is, its first bytes say.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from ssma_core.bags import mcap_file, sqlite_file, yaml_text
from ssma_core.bags.mcap_file import McapFile
from ssma_core.bags.sqlite_file import SqliteFile
from ssma_core.bags.storage import ZSTD_MAGIC, BagFile, Damaged, Unsupported, unpacked_file
from ssma_core.errors import SsmaError

SUFFIXES = (".mcap", ".db3")
_METADATA = "metadata.yaml"
_MOST_METADATA = 16 << 20  # bytes

_RESCUE = {
    ".mcap": "`mcap recover` saves what is in it, and `mcap doctor` says what is wrong",
    ".db3": "`sqlite3 FILE .recover` saves what is in it",
    ".yaml": "`ros2 bag reindex` makes it again",
}


class OpenBag(NamedTuple):
    """files: at least one. qos: by topic, as metadata.yaml has it, where it does."""

    files: list[BagFile]
    qos: Mapping[str, Any]


@contextmanager
def opened(path: Path) -> Iterator[OpenBag]:
    """A bag that is open while the block runs. Raises SsmaError, naming the file, for what is
    damaged, not supported, or no bag, also where that appears inside the block."""
    if not path.exists():
        raise SsmaError(f"there is no bag at {path}")
    files, qos = _of_folder(path) if path.is_dir() else ([path], {})
    if path.is_file() and path.suffix not in SUFFIXES:
        raise SsmaError(f"{path} is not a bag: give a rosbag2 folder, an .mcap or a .db3 file")
    with ExitStack() as stack:
        found = []
        for file in files:
            with _about(path, file):
                found.append(_open(file, stack))
        with _about(path, files[0] if len(files) == 1 else path):
            yield OpenBag(found, qos)


def _open(path: Path, stack: ExitStack) -> BagFile:
    start = _start(path)
    if start.startswith(ZSTD_MAGIC):
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bag.")))
        path = unpacked_file(path, folder / path.stem)
        start = _start(path)
    found: BagFile
    if start.startswith(mcap_file.MAGIC):
        found = McapFile(path)
    elif start == sqlite_file.MAGIC:
        found = SqliteFile(path)
    else:
        raise Damaged("It is empty, or does not begin as an MCAP or SQLite file does.")
    stack.callback(found.close)
    return found


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(sqlite_file.MAGIC))


@contextmanager
def _about(bag: Path, file: Path) -> Iterator[None]:
    """Errors about a file of the bag, in words."""
    where = str(bag) if file == bag else f"{bag}: {file.name}"
    try:
        yield
    except Unsupported as error:
        raise SsmaError(f"cannot read the bag {where}: {error}") from error
    except OSError as error:
        raise SsmaError(f"cannot read the bag {where}: {error.strerror or error}") from error
    except SsmaError:
        raise
    except Exception as error:  # bytes that are not what they should be can fail anywhere
        told = " ".join(str(error).split()) if isinstance(error, Damaged) else (
            f"Its bytes make no sense ({type(error).__name__}: {error}).")
        rescue = _RESCUE.get(file.suffix) or _RESCUE[".mcap"]
        raise SsmaError(f"cannot read the bag {where}: {told} It is damaged or cut short; {rescue}"
                        ) from error


def _of_folder(folder: Path) -> tuple[list[Path], dict[str, Any]]:
    """The files that metadata.yaml names, and the QoS of each topic."""
    metadata = folder / _METADATA
    if not metadata.exists():
        raise SsmaError(f"{folder} is not a bag: it has no metadata.yaml; name the .mcap or .db3 "
                        "file in it, or run `ros2 bag reindex` on it")
    with _about(folder, metadata):
        about = _information(metadata)
        names = about.get("relative_file_paths")
        if not isinstance(names, list) or not names or not all(
                isinstance(name, str) and PurePath(name).name for name in names):
            raise Damaged("It names no file of messages (relative_file_paths).")
        compression = about.get("compression_format") or "zstd"
        if compression != "zstd":
            raise Unsupported(f"its compression {compression!r} is not read: zstd is")
    files = [folder / PurePath(name).name for name in names]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise SsmaError(f"cannot read the bag {folder}: {' and '.join(missing)} is not there, "
                        f"which {_METADATA} names: fetch it, or run `ros2 bag reindex`")
    return list(dict.fromkeys(files)), _qos(about.get("topics_with_message_count"))


def _information(metadata: Path) -> dict[str, Any]:
    if metadata.stat().st_size > _MOST_METADATA:
        raise Damaged(f"It has more than {_MOST_METADATA >> 20} MiB.")
    content = yaml_text.load(metadata.read_text(encoding="utf-8", errors="surrogateescape"))
    about = content.get("rosbag2_bagfile_information") if isinstance(content, dict) else None
    if not isinstance(about, dict):
        raise Damaged("It has no rosbag2_bagfile_information that can be read as YAML.")
    return about


def _qos(topics: Any) -> dict[str, Any]:
    """By topic, unchecked; without those that are empty."""
    found = {}
    for topic in topics if isinstance(topics, list) else ():
        about = topic.get("topic_metadata") if isinstance(topic, dict) else None
        if isinstance(about, dict) and about.get("offered_qos_profiles"):
            found[str(about.get("name"))] = about["offered_qos_profiles"]
    return found
