"""A file that is damaged, or lies about its size, is one SsmaError that names it: never another
exception, and never memory for what is not there."""
from __future__ import annotations

import io
import resource
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import READERS

from ssma_core import SsmaError
from ssma_core.bags import compressed_images, rosbag2, yaml_text
from ssma_core.bags.qos import profiles
from ssma_core.cli import main
from ssma_core.datasets.folders import Folders
from ssma_core.evaluation.result_file import read_result
from ssma_core.files import read_colour, read_json, read_sensor
from ssma_core.model_files import engine_file
from ssma_core.model_files.npz import read_npz
from ssma_core.model_files.tf_checkpoint import read_checkpoint
from ssma_core.plain import read_yaml
from ssma_core.training.stages import read_training

PIECES = [b"", b"\0", b"\xff" * 8, b"\x7f\xff\xff\xff", b"-1", b"1e999", b"null", b"[[[[", b'""',
          b"9" * 30, b"{}", b"*a", b"\x80\x80\x80\x80\x10"]


@st.composite
def harmed(draw: st.DrawFn, whole: bytes) -> bytes:
    """A few pieces of it replaced, or left out."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([0, 1, 1, 2, 4, 8, 40]))
        data[at:at + length] = draw(st.sampled_from(PIECES) | st.binary(max_size=8))
    return bytes(data[:draw(st.integers(0, len(data)))]) if draw(st.integers(0, 9)) == 0 else (
        bytes(data))


@pytest.mark.parametrize("name", READERS)
def test_what_is_whole_is_read(tmp_path: Path, name: str) -> None:
    reader = READERS[name]
    path = tmp_path / reader.file
    path.write_bytes(reader.whole(reader.content()))
    reader.read(path)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture,
                                                  HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_what_is_damaged_is_read_or_is_the_one_error(
        tmp_path: Path, name: str, data: st.DataObject) -> None:
    reader = READERS[name]
    path = tmp_path / reader.file
    path.write_bytes(reader.whole(data.draw(harmed(reader.content()))))
    try:
        reader.read(path)
    except SsmaError as error:
        assert str(error).count("\n") == 0 and len(str(error)) < 2000


def test_every_byte_of_a_graph_that_could_be_another_is_found_when_it_is_read(
        tmp_path: Path) -> None:
    """And not when a backend takes parts of it. 6 is no type of a field."""
    reader, path = READERS["onnx"], tmp_path / "m.onnx"
    whole = reader.content()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + b"\x0e" + whole[at + 1:])
        with suppress(SsmaError):
            reader.read(path)


CASES = {"bit.npz": read_npz, "not_npy.npz": read_npz, "date.yaml": read_yaml,
         "deep.json": read_json, "lying_size.png": read_sensor, "one_bit.engine": engine_file.read,
         "tf_reshape.index": read_checkpoint, "tf_value.index": read_checkpoint,
         "report_axis.json": read_result, "report_counts.json": read_result,
         "lol8.yaml": read_training}


@pytest.mark.parametrize("name", CASES)
def test_the_kept_cases_are_named(shared: Path, name: str) -> None:
    with pytest.raises(SsmaError, match=name) as raised:
        CASES[name](shared / "cases" / "damaged" / name)
    assert len(str(raised.value)) < 1000


# Sizes

def png(width: int, height: int, *, chunk: int | None = None) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(100))
    parts = [(b"IHDR", header, len(header)), (b"IDAT", data, len(data) if chunk is None else chunk),
             (b"IEND", b"", 0)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", length) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content, length in parts)


def with_size(suffix: str, at: int, size: bytes) -> bytes:
    data = bytearray(cv2.imencode(suffix, np.zeros((6, 9, 3), np.uint8))[1].tobytes())
    at = at if at >= 0 else data.index(b"\xff\xc0") + 5
    data[at:at + len(size)] = size
    return bytes(data)


@pytest.mark.parametrize(("name", "content"), [
    ("a.png", png(200_000, 200_000)),
    ("a.jpg", with_size(".jpg", -1, b"\xff\xff\xff\xff")),
    ("a.bmp", with_size(".bmp", 18, struct.pack("<ii", 100_000, -100_000))),
    ("a.pgm", b"P5\n# made up\n100000 100000\n255\n")])
def test_a_picture_above_the_limit_is_refused_by_its_header(
        tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (read_colour, read_sensor):
        with pytest.raises(SsmaError, match=rf"{name}: it is \d+x\d+, more than 64 megapixels; "
                           "if it really is so large, set .* SSMA_MAX_MEGAPIXELS"):
            read(tmp_path / name)


def test_the_limit_can_be_raised_and_lowered(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((1000, 2000), np.uint8))
    monkeypatch.setenv("SSMA_MAX_MEGAPIXELS", "2")
    assert read_sensor(tmp_path / "a.png").shape == (1000, 2000)
    monkeypatch.setenv("SSMA_MAX_MEGAPIXELS", "1.9")
    with pytest.raises(SsmaError, match=r"2000x1000, more than 1.9 megapixels"):
        read_sensor(tmp_path / "a.png")
    monkeypatch.setenv("SSMA_MAX_MEGAPIXELS", "many")
    with pytest.raises(SsmaError, match="SSMA_MAX_MEGAPIXELS must be a positive number"):
        read_sensor(tmp_path / "a.png")


def test_a_chunk_longer_than_the_file_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(10, 10, chunk=2**32 - 100))
    with pytest.raises(SsmaError, match=r"a.png: it is damaged or cut short: a part of it claims"):
        read_sensor(tmp_path / "a.png")


def test_a_compressed_message_is_no_different() -> None:
    for content, message in ((png(200_000, 200_000), "'png' is 200000x200000, more than 64 mega"),
                             (png(10, 10, chunk=2**32 - 100), "cannot be decoded: it is damaged")):
        image = SimpleNamespace(format="png", data=np.frombuffer(content, np.uint8))
        with pytest.raises(SsmaError, match=message):
            compressed_images.decode(image)


def bomb(path: Path) -> None:
    """268 MB of zeros as .npy, zipped to 1 MB."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False,
                                                "shape": (2**26,)})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, \
            archive.open("a.npy", "w") as file:
        file.write(head.getvalue())
        for _ in range(256):
            file.write(bytes(1 << 20))


def lots(path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    path.write_text("\n".join(lines))


def merged(path: Path) -> None:
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 10)}]}}" for i in range(1, 10)]
    path.write_text("\n".join(lines))


def itself(path: Path) -> None:
    path.write_text("model: &a [*a, *a]")


def test_a_name_that_stands_twice_in_a_mapping_is_refused(tmp_path: Path) -> None:
    """YAML would drop the first one without a word."""
    (tmp_path / "g.yaml").write_text("b:\n  a: [trail]\n  c: 1\n  a: [grass]\n")
    with pytest.raises(SsmaError, match=r"g\.yaml names 'a' twice, the second time in line 4"):
        read_yaml(tmp_path / "g.yaml")
    (tmp_path / "g.yaml").write_text("- {a: 1}\n- {a: 1}\n")
    assert read_yaml(tmp_path / "g.yaml") == [{"a": 1}, {"a": 1}]


@pytest.mark.parametrize(("write", "read", "message"), [
    (bomb, read_npz, r"would unpack to 268 MB"),
    (lots, read_yaml, r"stands for more than 100,000 values"),
    (merged, read_yaml, r"stands for more than 100,000 values"),
    (itself, read_yaml, r"stands for more than 100,000 values")])
def test_what_would_unpack_to_far_more_is_refused(
        tmp_path: Path, write: object, read: object, message: str) -> None:
    assert callable(write) and callable(read)
    write(tmp_path / "file")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SsmaError, match=message):
        read(tmp_path / "file")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 << 10


@pytest.mark.parametrize("write", [lots, merged, itself])
def test_neither_does_the_yaml_in_a_bag_unpack(
        tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "metadata.yaml")
    text = (tmp_path / "metadata.yaml").read_text()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SsmaError, match=r"metadata.yaml: It has no .* be read as YAML"):
        rosbag2.topics(tmp_path)
    assert profiles(text) == ()
    assert yaml_text.load(text) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 << 10


def test_folds_cost_nothing(tmp_path: Path) -> None:
    with pytest.raises(SsmaError, match="take must name different ones of the 1000000000000 folds"):
        Folders("x", "rgb/*", "aux", "label", folds=10**12, take=(10**12,))


@pytest.mark.parametrize(("arguments", "message"), [
    (["export", "--model", "m", "--output", "o", "--camera", "1000000x1000000"],
     "--camera: an image is 1000000x1000000, more than 64 megapixels"),
    (["import-tf", "--variables", "v", "--architecture", "ssma", "--output", "o", "--classes",
      "1000000000"], "--classes: must be a whole number from 1 to 255"),
    (["synthesize", "--output", "o", "--drives", "1000000000"],
     "--drives: must be a whole number from 1 to 1,000,000"),
    (["synthesize", "--output", "o", "--size", "9" * 5000 + "x2"], "--size: "),
    (["prepare", "scannet", "--root", "r", "--output", "o", "--workers", "100000"],
     "--workers: must be a whole number from 1 to 1,024")])
def test_an_option_beyond_all_use_is_refused(
        capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert f"error: argument {message}" in capsys.readouterr().err


def test_more_frames_than_anyone_makes_at_once_are_refused(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synthesize", "--output", str(tmp_path / "o"), "--drives", "1000000",
                 "--frames", "1000000"]) == 1
    assert "are more than 1,000,000 frames" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
