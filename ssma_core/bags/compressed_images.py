"""sensor_msgs/CompressedImage to arrays: JPEG and PNG, and image_transport's compressedDepth.

The kind of an image is read from its own bytes: drivers write many different texts into `format`.
"""
from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from ssma_core.bags.encodings import in_bgr
from ssma_core.errors import SsmaError, naming
from ssma_core.image_files import decode as image_files
from ssma_core.image_files import jpeg, png
from ssma_core.image_files.header import Header

# compressedDepth's PNG comes behind an int32 and the two floats of its quantization.
_QUANTIZATION = struct.Struct("<iff")
_EXIF, _MOST_EXIF = b"Exif\0\0", 1 << 16  # a segment, and within how many bytes it begins
_PNG_EXIF = b"eXIf"  # a chunk
# What the two are good for: A = n (n + 1), and B = 1 - A / farthest, for the publisher's n ≥ 1.
_LEAST_SCALE, _LARGEST_SHIFT = 1.0, 1.0


def encoding(message: Any) -> str:
    """The image's encoding once `decode` has read it: "bgr8", "bgr16", "mono8", "mono16", "16UC1",
    "32FC1", or a Bayer mosaic's. Reads the first bytes only.

    Raises SsmaError for other formats, and where the image has no pixels.
    """
    body = _body(message)
    if not body:
        raise SsmaError(f"an image of format {message.format!r} is empty: its publisher could not "
                        "compress it. JPEG cannot hold depth: have it sent as png or by "
                        "compressedDepth")
    if not bytes(body[:8]).startswith((jpeg.MAGIC, png.MAGIC)):
        raise SsmaError(_unreadable(message))
    try:
        return _encoding(image_files.header(body), message)
    except SsmaError as error:
        raise SsmaError(f"an image of format {message.format!r} {str(error).removeprefix('it ')}"
                        ) from error


def is_jpeg(message: Any) -> bool:
    """Whether its values are only near to those that were sent."""
    return bytes(_body(message)[:3]) == jpeg.MAGIC


def as_file(message: Any) -> tuple[str, bytes] | None:
    """The file in a message, suffix and bytes, where its values are those that `decode` gives: a
    JPEG, a colour PNG (which may have alpha), or compressedDepth's 16 bits. None for others: a
    mosaic, quantized depth, and pictures with Exif data, whose orientation other programs follow.
    Raises SsmaError, as `decode`, when it is damaged."""
    found, data = encoding(message), bytes(_body(message))
    if is_jpeg(message):
        suffix = ".jpg"
        is_kept = found in ("bgr8", "mono8") and _EXIF not in data[:_MOST_EXIF]
    else:
        suffix = ".png"
        is_kept = (found == "bgr8" or (found == "16UC1" and _is_depth(message))) and (
            _PNG_EXIF not in data)
    if not is_kept:
        return None
    with naming(_cannot_be_decoded(message)):
        image_files.check(memoryview(data))
    return suffix, data


def decode(message: Any) -> npt.NDArray[Any]:
    """The pixels of a message: H×W×3 uint8 BGR, without alpha; or H×W uint8, uint16, or float32
    (metres, NaN where there is no return). Raises SsmaError when it is damaged, and for colours of
    16 bits that are not used."""
    kind = encoding(message)
    with naming(_cannot_be_decoded(message)):
        header, pixels = image_files.decode(_body(message))
    if pixels.ndim == 3:
        pixels = np.ascontiguousarray(pixels[..., :3] if header.is_colour else pixels[..., 0])
    return _metres(pixels, message) if kind == "32FC1" else in_bgr(pixels, kind)


def _cannot_be_decoded(message: Any) -> str:
    return f"an image of format {message.format!r} cannot be decoded"


def _encoding(header: Header, message: Any) -> str:
    sent = message.format.partition(";")[0].strip()
    bits = max(8, header.bits)
    if header.is_colour:
        return f"bgr{bits}"
    if sent.startswith("bayer_") and sent.endswith(str(bits)):
        return str(sent)
    if bits == 8:
        return "mono8"
    if _is_depth(message) or "32FC1" in message.format:
        return _depth_encoding(message)
    return "mono16" if sent == "mono16" else "16UC1"


def _depth_encoding(message: Any) -> str:
    """Millimetres or metres, which only the text says for sure: a publisher of 16UC1 leaves the two
    floats as they are, usually 0."""
    if not _is_depth(message):
        raise SsmaError("it is a PNG without compressedDepth's header, so that its unit is not "
                        "known: have it sent by compressedDepth")
    if "32FC1" in message.format:
        return "32FC1"
    _, scale, shift = _QUANTIZATION.unpack_from(message.data)
    if "16UC1" in message.format or (scale, shift) == (0, 0):
        return "16UC1"
    if scale >= _LEAST_SCALE and shift < _LARGEST_SHIFT and np.isfinite([scale, shift]).all():
        return "32FC1"
    raise SsmaError("it does not say whether it is 16UC1 or 32FC1: have its publisher write the "
                    "encoding into format, as in '32FC1; compressedDepth png'")


def _metres(inverse: npt.NDArray[np.uint16], message: Any) -> npt.NDArray[np.float32]:
    """The inverse of depth is quantized, so that near depths have fine steps. 0: no return."""
    _, scale, shift = _QUANTIZATION.unpack_from(message.data)
    with np.errstate(divide="ignore"):
        depth = np.float32(scale) / (inverse.astype(np.float32) - np.float32(shift))
    depth[inverse == 0] = np.nan
    return depth


def _is_depth(message: Any) -> bool:
    start = _QUANTIZATION.size
    return memoryview(message.data)[start:start + len(png.MAGIC)] == png.MAGIC


def _body(message: Any) -> memoryview:
    return memoryview(message.data)[_QUANTIZATION.size if _is_depth(message) else 0:]


def _unreadable(message: Any) -> str:
    if "rvl" in message.format.lower():
        return ("depth compressed with RVL is not read: have the publisher send png (its parameter "
                "<topic>.compressedDepth.format)")
    return (f"compressed images of format {message.format!r} are not understood; it must be jpeg, "
            "png, or image_transport's compressedDepth png")
