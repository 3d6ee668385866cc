"""Pictures from anywhere: the values as they are stored, whole, not turned; or one line that says
why not. What OpenCV does with the same bytes differs between its versions."""
from __future__ import annotations

import struct
import time
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssma_core import SsmaError
from ssma_core.datasets.prepare.data_set import PublishedFrame
from ssma_core.datasets.prepare.sun_rgbd import SUN_RGBD
from ssma_core.datasets.samples import read_label
from ssma_core.files import read_colour, read_ids, read_sensor
from ssma_core.image_files import png as png_files
from ssma_core.image_files.decode import check, decode

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 256, (24, 32, 3), np.uint8)
DEPTH = RANDOM.integers(0, 20000, (24, 32), np.uint16)


def encoded(suffix: str, pixels: npt.NDArray[Any], *options: int) -> bytes:
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


def written(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(bits: int, colours: int, rows: npt.NDArray[np.uint8], width: int, *more: bytes) -> bytes:
    """rows: the packed bytes of each row. colours: PNG's colour type."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colours, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(more)
            + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b""))


def packed(ids: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """H×W ids as PNG packs them: the first pixel in the highest bits."""
    each = np.unpackbits(ids[..., None], axis=2)[..., 8 - bits:]
    return np.packbits(each.reshape(len(ids), -1), axis=1)


def exif(orientation: int) -> bytes:
    return b"II*\0" + struct.pack("<IH", 8, 1) + struct.pack("<HHIHH", 274, 3, 1, orientation, 0) \
        + bytes(4)


def turned_jpeg(pixels: npt.NDArray[np.uint8], orientation: int) -> bytes:
    jpeg, body = encoded(".jpg", pixels), b"Exif\0\0" + exif(orientation)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def turned_png(pixels: npt.NDArray[Any], orientation: int) -> bytes:
    data = encoded(".png", pixels)
    return data[:33] + chunk(b"eXIf", exif(orientation)) + data[33:]


def turned_tiff(pixels: npt.NDArray[Any], orientation: int) -> bytes:
    """One strip, without compression, and the tags that TIFF 6 asks for."""
    tags = [(256, pixels.shape[1]), (257, pixels.shape[0]), (258, pixels.itemsize * 8), (259, 1),
            (262, 1), (273, 8), (274, orientation), (277, 1), (278, pixels.shape[0]),
            (279, pixels.nbytes)]
    directory = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + pixels.nbytes) + pixels.tobytes() + directory


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_an_orientation_turns_no_picture(tmp_path: Path, orientation: int) -> None:
    """The node gets pixels as the sensor has them; colour, depth and label must stay registered."""
    plain = read_colour(written(tmp_path, "plain.jpg", encoded(".jpg", NOISE)))
    turned = written(tmp_path, "turned.jpg", turned_jpeg(NOISE, orientation))
    np.testing.assert_array_equal(read_colour(turned), plain)
    np.testing.assert_array_equal(read_sensor(turned), plain)
    for name, make in (("depth.png", turned_png), ("depth.tif", turned_tiff)):
        np.testing.assert_array_equal(
            read_sensor(written(tmp_path, name, make(DEPTH, orientation))), DEPTH)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_a_label_of_few_bits_keeps_its_ids(tmp_path: Path, bits: int) -> None:
    """libpng's expansion to 8 bits multiplies them, so that white is 255."""
    ids = RANDOM.integers(0, 1 << bits, (5, 16), np.uint8)
    path = written(tmp_path, "label.png", png(bits, 0, packed(ids, bits), 16))
    np.testing.assert_array_equal(read_ids(path), ids)
    np.testing.assert_array_equal(read_sensor(path), ids)
    grey = read_colour(path)  # there, white is white
    np.testing.assert_array_equal(grey[..., 0], ids * (255 // ((1 << bits) - 1)))


@pytest.mark.parametrize(("kind", "dtype"), [
    (".png", np.uint8), (".png", np.uint16), (".tif", np.uint8), (".tif", np.int8),
    (".tif", np.uint16), (".tif", np.int32), (".bmp", np.uint8), (".pgm", np.uint8)])
def test_a_label_of_any_integers_is_read(tmp_path: Path, kind: str, dtype: Any) -> None:
    ids = RANDOM.integers(0, 6, (8, 12)).astype(dtype)
    label = read_label(written(tmp_path, f"label{kind}", encoded(kind, ids)), 6)
    np.testing.assert_array_equal(label, ids)
    assert label.dtype == np.uint8


@pytest.mark.parametrize(("dtype", "unlabelled"), [(np.uint8, 255), (np.int8, -1),
                                                   (np.uint16, 65535)])
def test_an_id_that_means_not_labelled_is_void_where_it_is_named(
        tmp_path: Path, dtype: Any, unlabelled: int) -> None:
    ids = np.array([[1, 2, unlabelled, 0]], dtype)
    path = written(tmp_path, "label.tif", encoded(".tif", ids))
    np.testing.assert_array_equal(read_label(path, 3, (unlabelled,), 2), [[1, 2, 2, 0]])
    with pytest.raises(SsmaError, match=rf"has the id {unlabelled}.*ignore"):
        read_label(path, 3)


@pytest.mark.parametrize(("name", "data", "says"), [
    ("a.jpg", encoded(".jpg", NOISE[..., 0]), "a JPEG changes the numbers; save it as PNG"),
    ("a.png", encoded(".png", NOISE), "it has 3 channels, and must have one"),
    ("a.png", encoded(".png", np.dstack([NOISE, NOISE[..., :1]])), "it has 4 channels"),
    ("a.png", png(8, 3, NOISE[..., 0] % 2, 32, chunk(b"PLTE", bytes(6))), "it has a palette"),
    ("a.png", png(8, 4, NOISE[..., :2].reshape(24, 64), 32), "channels, .*no alpha"),
    ("a.tif", encoded(".tif", DEPTH.astype(np.float32)), "it has values of float32"),
], ids=["jpeg", "colours", "alpha", "palette", "grey with alpha", "float"])
def test_what_is_no_label_is_refused_with_the_way_out(
        tmp_path: Path, name: str, data: bytes, says: str) -> None:
    with pytest.raises(SsmaError, match=rf"{name} is no label image: .*{says}"):
        read_ids(written(tmp_path, name, data))


@given(share=st.floats(0.02, 0.999), progressive=st.booleans())
def test_no_part_of_a_jpeg_is_a_picture(share: float, progressive: bool) -> None:
    whole = encoded(".jpg", NOISE, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive),
                    cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
    with pytest.raises(SsmaError, match="cut short"):
        decode(memoryview(whole[:int(share * len(whole))]))


def test_the_end_of_a_thumbnail_is_not_that_of_the_picture() -> None:
    whole = encoded(".jpg", NOISE)
    body = b"Exif\0\0" + exif(1) + whole
    with_thumbnail = whole[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + whole[2:]
    plain = decode(memoryview(whole))[1]
    for follows in (b"", bytes(100), whole):  # filling, or a second picture as of a telephone
        np.testing.assert_array_equal(decode(memoryview(with_thumbnail + follows))[1], plain)
    with pytest.raises(SsmaError, match="damaged or cut short: the marker of its end"):
        decode(memoryview(with_thumbnail[:-10]))


@given(place=st.integers(8, 10_000), bit=st.integers(0, 7))
def test_no_bit_of_a_png_changes_its_values_unseen(place: int, bit: int) -> None:
    data = bytearray(encoded(".png", NOISE))
    data[place % len(data)] ^= 1 << bit
    with suppress(SsmaError):
        np.testing.assert_array_equal(decode(memoryview(data))[1], NOISE)


SHAPES = [(1, 1), (7, 5), (5, 7, 3), (1, 9, 3), (90, 1)]


@pytest.mark.parametrize("deflate", [png_files.deflate, zlib])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_that_is_written_holds_each_value(
        monkeypatch: pytest.MonkeyPatch, dtype: Any, deflate: Any) -> None:
    """As OpenCV reads it; also where isal is not installed, and of arrays that lie otherwise."""
    monkeypatch.setattr(png_files, "deflate", deflate)
    draw = np.random.default_rng(0)
    for shape in SHAPES:
        values = draw.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
        for pixels in (values, values[::-1, ::-1], values.swapaxes(0, 1)):
            data = np.frombuffer(png_files.encoded(pixels), np.uint8)
            np.testing.assert_array_equal(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), pixels)
            assert png_files.holds_all(data.data)


@given(place=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.booleans(),
       kind=st.sampled_from([".jpg", ".png"]))
def test_a_check_refuses_what_decoding_refuses(place: int, byte: int, cut: bool, kind: str) -> None:
    data = bytearray(encoded(kind, NOISE))
    data[place % len(data)] = byte
    if cut:
        del data[place % len(data):]
    outcomes = []
    for read in (check, decode):
        try:
            read(memoryview(data))
            outcomes.append("good")
        except SsmaError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(("rows", "good"), [
    (bytes(9 * 13), True), (bytes(9 * 13 - 1), False), (b"\5" + bytes(9 * 13 - 1), False)])
def test_a_png_whose_checksums_fit_must_hold_all_rows(rows: bytes, good: bool) -> None:
    """9 rows of 6 values of 16 bits, each behind its filter's number, 0 to 4."""
    whole = png_files.encoded(np.zeros((9, 6), np.uint16))
    packed = zlib.compress(rows)
    begin = whole.index(b"IDAT") - 4
    data = (whole[:begin] + len(packed).to_bytes(4, "big") + b"IDAT" + packed
            + zlib.crc32(b"IDAT" + packed).to_bytes(4, "big") + whole[-12:])
    if good:
        check(memoryview(data))
    else:
        with pytest.raises(SsmaError):
            check(memoryview(data))


def test_a_png_that_decoding_refuses_is_not_taken_for_whole() -> None:
    """Though all checksums of its chunks fit: the values' own is missing, or a text among them."""
    whole = png_files.encoded(np.arange(54, dtype=np.uint16).reshape(9, 6))
    begin, end = whole.index(b"IDAT") - 4, len(whole) - 12
    values = whole[begin + 8:end - 4]
    for chunks in ([(b"IDAT", values[:-4])],
                   [(b"IDAT", values[:20]), (b"tEXt", b"a\0b"), (b"IDAT", values[20:])]):
        data = whole[:begin] + b"".join(chunk(*each) for each in chunks) + whole[end:]
        assert not png_files.holds_all(memoryview(data))
    assert png_files.holds_all(memoryview(whole))


def test_a_size_is_looked_at_before_the_memory_is_taken(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    huge = png(16, 0, np.zeros((1, 2), np.uint8), 1)
    header = struct.pack(">IIBBBBB", 200_000, 200_000, 16, 0, 0, 0, 0)
    huge = huge[:8] + chunk(b"IHDR", header) + huge[33:]
    begin = time.monotonic()
    with pytest.raises(SsmaError, match="200000x200000, more than 64 megapixels"):
        read_sensor(written(tmp_path, "huge.png", huge))
    assert time.monotonic() - begin < 2
    path = written(tmp_path, "small.png", encoded(".png", DEPTH))
    monkeypatch.setenv("SSMA_MAX_MEGAPIXELS", "0.0005")
    with pytest.raises(SsmaError, match=r"32x24, more than 0\.0005 megapixels.*SSMA_MAX_MEGA"):
        read_sensor(path)
    monkeypatch.setenv("SSMA_MAX_MEGAPIXELS", "many")
    with pytest.raises(SsmaError, match="SSMA_MAX_MEGAPIXELS must be a positive number"):
        read_sensor(path)


@pytest.mark.parametrize(("suffix", "claims"), [
    (".bmp", struct.pack("<ii", 30_000, 30_000)), (".ppm", b"30000 30000"),
    (".tif", (struct.pack("<HHII", 256, 4, 1, 30_000), struct.pack("<HHII", 257, 4, 1, 30_000)))])
def test_so_are_the_sizes_of_other_kinds(suffix: str, claims: Any) -> None:
    data = bytearray(encoded(suffix, NOISE) if suffix != ".tif" else turned_tiff(DEPTH, 1))
    if suffix == ".bmp":
        data[18:26] = claims
    elif suffix == ".ppm":
        data = bytearray(data.replace(b"32 24", claims))
    else:
        for tag in claims:
            at = data.index(tag[:8])
            data[at:at + 12] = tag
    with pytest.raises(SsmaError, match="30000x30000, more than 64 megapixels"):
        decode(memoryview(data))


def test_sixteen_bits_of_colour_are_scaled_and_twelve_in_sixteen_are_refused(
        tmp_path: Path) -> None:
    """255 / 65535, as cv_bridge converts: white stays white, and black black."""
    full = written(tmp_path, "full.png", encoded(".png", NOISE.astype(np.uint16) * 257))
    np.testing.assert_array_equal(read_colour(full), NOISE)
    twelve = written(tmp_path, "twelve.png", encoded(".png", NOISE.astype(np.uint16) * 16))
    with pytest.raises(SsmaError, match=r"twelve\.png: .*no value is above 4080.*12 bits"):
        read_colour(twelve)
    depth = written(tmp_path, "depth.png", encoded(".png", DEPTH))
    with pytest.raises(SsmaError, match=r"depth\.png: it has one channel of uint16, as depth has"):
        read_colour(depth)


@given(data=st.binary(max_size=300), start=st.sampled_from(
    [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"P5 ", b"P6", b"Pf",
     b"RIFF\xff\0\0\0WEBPVP8X", b"RIFF\xff\0\0\0WEBPVP8 ", b"RIFF\xff\0\0\0WEBPVP8L"]))
def test_bytes_that_are_no_picture_are_refused(data: bytes, start: bytes) -> None:
    try:
        pixels = decode(memoryview(start + data))[1]
    except SsmaError:
        return
    assert pixels.size


def test_the_cases_of_our_users(cases: Path) -> None:
    np.testing.assert_array_equal(read_colour(cases / "exif_3/rgb.jpg"),
                                  read_colour(cases / "exif_3/plain.jpg"))
    label = read_ids(cases / "lists/label.png")
    for name in ("lg4.png", "l16.png", "ltif32.tif"):
        np.testing.assert_array_equal(read_ids(cases / "lists" / name), label)
    assert set(np.unique(read_ids(cases / "lists/l1bit.png"))) == {0, 1}
    for path in (cases / "sun_4bit/root/sunrgbd_train_test_labels").iterdir():
        assert set(np.unique(SUN_RGBD.read_ids(
            PublishedFrame("rgbd/1", path, path, path)))) == {1, 2}  # wall and floor, not dresser
    for name, says in {
            "cut_jpeg/rgb.jpg": "cut short", "huge_header/d.png": "200000x200000",
            "damaged/lying_size.png": "a part of it claims 4294967295 bytes",
            "colour16/rgb.png": "12 bits"}.items():
        with pytest.raises(SsmaError, match=rf"cannot read {cases / name}: .*{says}"):
            read_colour(cases / name)
    for name in ("ljpg.jpg", "lpal.png", "lpalgray.png", "lrgb.png", "lrgba.png", "lLA.png"):
        with pytest.raises(SsmaError, match=f"{name} is no label image"):
            read_ids(cases / "lists" / name)
