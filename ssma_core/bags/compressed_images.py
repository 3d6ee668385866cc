"""sensor_msgs/CompressedImage to arrays: JPEG and PNG, and image_transport's compressedDepth.

The kind of an image is read from its own bytes: drivers write many different texts into `format`.
"""
from __future__ import annotations

import struct
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.disk.picture_header import check_size, size_of
from ssma_core.errors import SsmaError

_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"
# compressedDepth's PNG comes behind an int32 and the two floats of its quantization.
_QUANTIZATION = struct.Struct("<iff")
# Start of frame, of every kind; the three codes left out are tables and extensions.
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def encoding(message: Any) -> str:
    """The image's encoding after decoding: "bgr8", "mono8", "mono16", "16UC1", "32FC1", or one that
    is used nowhere ("bgr16"). Reads the first bytes only.

    Raises SsmaError for other formats, and where the image has no pixels.
    """
    body = _body(message)
    if not body:
        raise SsmaError(f"an image of format {message.format!r} is empty: its publisher could not "
                        "compress it. JPEG cannot hold depth: have it sent as png or by "
                        "compressedDepth")
    try:
        if body[:3] == _JPEG:
            (width, height), depth, is_colour = _jpeg_header(body)
        elif body[:8] == _PNG:
            (width, height), depth, is_colour = _png_header(body)
        else:
            raise SsmaError(_unreadable(message))
    except (IndexError, struct.error):
        raise SsmaError(f"an image of format {message.format!r} is cut short") from None
    if not width or not height:
        raise SsmaError(f"an image of {width}x{height} has no pixels")
    if depth == 16 and not is_colour and _is_depth(message):
        return "32FC1" if message.format.startswith("32FC1") else "16UC1"
    return f"{'bgr' if is_colour else 'mono'}{16 if depth > 8 else 8}"


def decode(message: Any) -> npt.NDArray[Any]:
    """The pixels of a message of an encoding of LAYOUTS: H×W×3 uint8 BGR, or H×W uint8, uint16, or
    float32 (metres, NaN where there is no return). Raises SsmaError when it is damaged."""
    kind = encoding(message)
    # Orientation is for photographs: the images of registered sensors must not be turned.
    flags = (cv2.IMREAD_COLOR if kind == "bgr8" else cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH
             ) | cv2.IMREAD_IGNORE_ORIENTATION
    body = _body(message)
    try:
        check_size(size_of(body), f"an image of format {message.format!r}")
        pixels = cv2.imdecode(np.frombuffer(body, np.uint8), flags) if _has_end(body) else None
    except (ValueError, cv2.error):  # cut short; or a size that no image has
        pixels = None
    if pixels is None:
        raise SsmaError(f"an image of format {message.format!r} cannot be decoded: it is damaged "
                        "or cut short")
    return _metres(pixels, message) if kind == "32FC1" else pixels


def _has_end(body: memoryview) -> bool:
    """False for a JPEG that is cut short: before 4.11, OpenCV invents the missing rows. No scan
    begins behind the end's marker, as one does behind a thumbnail's."""
    if body[:3] != _JPEG:
        return True
    data = bytes(body)
    end = data.rfind(b"\xff\xd9")  # backwards: the scans of a whole JPEG are not searched
    return end >= 0 and data.find(b"\xff\xda", end) < 0


def _metres(inverse: npt.NDArray[np.uint16], message: Any) -> npt.NDArray[np.float32]:
    """The inverse of depth is quantized, so that near depths have fine steps. 0: no return."""
    _, scale, shift = _QUANTIZATION.unpack_from(message.data)
    with np.errstate(divide="ignore"):
        depth = np.float32(scale) / (inverse.astype(np.float32) - np.float32(shift))
    depth[inverse == 0] = np.nan
    return depth


def _is_depth(message: Any) -> bool:
    start = _QUANTIZATION.size
    return memoryview(message.data)[start:start + len(_PNG)] == _PNG


def _body(message: Any) -> memoryview:
    return memoryview(message.data)[_QUANTIZATION.size if _is_depth(message) else 0:]


def _png_header(body: memoryview) -> tuple[tuple[int, int], int, bool]:
    """(width, height), bits of a channel, and whether it is in colour."""
    width, height, depth, kind = struct.unpack_from(">IIBB", body, 16)
    return (width, height), depth, kind in (2, 3, 6)  # true colour, palette, with alpha


def _jpeg_header(body: memoryview) -> tuple[tuple[int, int], int, bool]:
    """As of `_png_header`: from segment to segment, to the one that begins a frame."""
    at = 2
    while (marker := body[at + 1]) not in _JPEG_FRAMES:
        # A marker may be preceded by any number of filling bytes.
        at += 1 if marker == 0xFF else 2 + struct.unpack_from(">H", body, at + 2)[0]
    depth, height, width, channels = struct.unpack_from(">BHHB", body, at + 4)
    return (width, height), depth, channels > 1


def _unreadable(message: Any) -> str:
    if "rvl" in message.format.lower():
        return ("depth compressed with RVL is not read: have the publisher send png (its parameter "
                "<topic>.compressedDepth.format)")
    return (f"compressed images of format {message.format!r} are not understood; it must be jpeg, "
            "png, or image_transport's compressedDepth png")
