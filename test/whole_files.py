"""What a program's files say, and whether they are whole: see killed.py."""
from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path


def content(path: Path) -> bytes:
    """What a file says: its bytes, but for the order of a model's metadata, which is another in
    every process; and in a training's log for that model's digest, which depends on it, for how
    long it took and in which folder."""
    if path.suffix == ".safetensors" and not why_not_whole(path):
        from safetensors import safe_open
        with safe_open(path, "np") as weights:
            facts = sorted(weights.metadata().items())
            names = sorted(weights.keys())
            return repr(facts).encode() + b"".join(
                name.encode() + weights.get_tensor(name).tobytes() for name in names)
    text = path.read_bytes()
    if path.suffix == ".json":
        text = re.sub(rb'"seconds": \d+|"[0-9a-f]{16}"', b"",
                      text.replace(str(path.parent).encode(), b""))
    return text


def why_not_whole(path: Path) -> str:
    """What is wrong with a file; "" for a whole one."""
    try:
        WHOLE[path.suffix](path)
    except Exception as error:  # whatever a reader raises
        return f"not whole, {type(error).__name__}: {error}"
    return ""


def _pictures(path: Path) -> None:
    from ssma_core.files import read_sensor
    read_sensor(path)


def _weights(path: Path) -> None:
    from ssma_core.model_files import checkpoint
    checkpoint.load(path)


def _onnx(path: Path) -> None:
    import onnx
    onnx.checker.check_model(onnx.load(path))


def _engine(path: Path) -> None:
    from ssma_core.model_files import engine_file
    engine_file.read(path)


def _state(path: Path) -> None:
    import torch
    torch.load(path, weights_only=False)


def _page(path: Path) -> None:
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>"), "no </html> at its end"


def _lines(path: Path) -> None:
    assert path.read_text(encoding="utf-8").endswith("\n"), "its last line has no end"


def _mcap(path: Path) -> None:
    from mcap.reader import make_reader
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary and summary.statistics, "no summary"
        assert sum(1 for _ in reader.iter_messages()) == summary.statistics.message_count


def _video(path: Path) -> None:
    import cv2
    video = cv2.VideoCapture(str(path))
    frames = round(video.get(cv2.CAP_PROP_FRAME_COUNT))
    assert frames and all(video.read()[0] for _ in range(frames)), "a frame is missing"


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        assert not archive.testzip(), "a member is damaged"


WHOLE: dict[str, Callable[[Path], object]] = {
    ".png": _pictures, ".jpg": _pictures, ".tiff": _pictures, ".safetensors": _weights,
    ".onnx": _onnx, ".engine": _engine, ".pt": _state, ".html": _page, ".txt": _lines,
    ".csv": _lines, ".yaml": _lines, ".mcap": _mcap, ".mp4": _video, ".zip": _zip,
    ".json": lambda path: json.loads(path.read_text())}
