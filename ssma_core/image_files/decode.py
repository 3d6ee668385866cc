"""Pictures to arrays, under every OpenCV the same: the values as stored, whole, and not turned."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.image_files import jpeg, others, png, tiff
from ssma_core.image_files.header import DAMAGED, Header, check_size

Array = npt.NDArray[Any]
READ = "PNG, JPEG, TIFF, BMP, PGM, PPM, PFM and WebP"
FEW_BITS = 1 << 14  # 16 bits that end below it hold 14 or less


def header(data: memoryview) -> Header:
    """What a picture's first bytes say. Raises SsmaError for bytes that are no picture that is
    read, for a size beyond the limit, and where the header is damaged."""
    start = bytes(data[:12])
    if start.startswith(png.MAGIC):
        found = png.header(data)
    elif start.startswith(jpeg.MAGIC):
        found = jpeg.header(data)
    elif start.startswith(tiff.MAGICS):
        found = tiff.header(data)
    elif start.startswith(b"BM"):
        found = others.bmp(data)
    elif start.startswith(b"RIFF") and start[8:] == b"WEBP":
        found = others.webp(data)
    elif start[:1] == b"P" and start[1:2] in (b"1", b"2", b"3", b"4", b"5", b"6", b"f", b"F"):
        found = others.pnm(data)
    elif start.startswith(tiff.BIG_MAGICS):
        raise SsmaError("it is a BigTIFF, which is not read: save it as TIFF or PNG")
    elif not start:
        raise SsmaError("it is not a picture: it is empty")
    else:
        raise SsmaError(f"it is not a picture, or of a kind that is not read: {READ} are")
    check_size(found)
    return found


def decode(data: memoryview) -> tuple[Header, Array]:
    """A picture's header, and its values as stored: H×W, or H×W×3 or ×4 (BGR, alpha), of uint8,
    uint16, float32 or, from TIFF, another type. An orientation in it is for photographs, and is
    not followed: the images of registered sensors must not be turned.

    Raises SsmaError as `header` does, and for a picture that is damaged or cut short.
    """
    found = header(data)
    if found.kind == "PNG":
        png.check_whole(data)
    elif found.kind == "JPEG":
        jpeg.check_whole(data)
    elif found.kind == "TIFF":
        tiff.check_whole(data)
        data = tiff.as_stored(data)
    pixels = _pixels(data, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise SsmaError(DAMAGED)
    if found.kind == "PNG" and found.bits < 8 and not found.is_colour and pixels.ndim == 2:
        pixels = pixels // np.uint8(white(found.bits))  # which the decoder multiplied with
    return found, pixels


def check(data: memoryview) -> None:
    """Raises SsmaError where `decode` does. In half of its time or less for most PNGs and JPEGs:
    their values are unpacked, and no pixels made of them."""
    found = header(data)
    if found.kind == "JPEG":
        jpeg.check_whole(data)
        if _pixels(data, cv2.IMREAD_REDUCED_GRAYSCALE_8) is None:
            raise SsmaError(DAMAGED)
    elif found.kind != "PNG" or not png.holds_all(data):
        decode(data)


def _pixels(data: memoryview, how: int) -> Array | None:
    """None where OpenCV cannot decode it."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), how)
    except cv2.error:
        return None


def white(bits: int) -> int:
    """What one step of a grey value of 1, 2 or 4 bits is in 8 bits."""
    return 255 // ((1 << bits) - 1)


def in_colour(found: Header, pixels: Array) -> npt.NDArray[np.uint8]:
    """What `decode` gave, as a camera's image: H×W×3 uint8 BGR, without alpha; grey as three equal
    channels. Raises SsmaError for grey of 16 bits, which is most likely depth, and as
    `eight_bits` does."""
    if pixels.ndim == 2 and pixels.dtype != np.uint8:
        raise SsmaError(f"it has one channel of {pixels.dtype}, as depth has, and is no colour "
                        "image; save it with 8 bits if it is")
    if pixels.ndim == 2:
        scaled = pixels * np.uint8(white(found.bits)) if found.bits < 8 else pixels
        return cv2.cvtColor(scaled, cv2.COLOR_GRAY2BGR)
    return eight_bits(np.ascontiguousarray(pixels[..., :3]))


def eight_bits(pixels: Array) -> npt.NDArray[np.uint8]:
    """A camera's values of 16 bits as 8, 65535 as 255; of 8 bits, the same array.

    Raises SsmaError for another type, and where no value reaches a quarter of the range: cameras
    of 10, 12 or 14 bits often write them into the low ones, and the image would be nearly black.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype != np.uint16:
        raise SsmaError(f"its values are {pixels.dtype}: a colour image has 8 bits, or 16")
    largest = int(pixels.max())
    if largest < FEW_BITS:
        raise SsmaError(f"it is a colour image of 16 bits, but no value is above {largest}: it "
                        f"seems to hold {max(1, largest.bit_length())} bits, and would be nearly "
                        "black; have it written with 8 bits, or multiplied to the full 16")
    return cv2.convertScaleAbs(pixels, alpha=255 / 65535)
