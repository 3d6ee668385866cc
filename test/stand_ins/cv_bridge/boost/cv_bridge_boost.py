"""The compiled half. A type is a name of NumPy's and channels here, and not OpenCV's number."""
import cv2

_TYPES = {
    "bgr8": ("uint8", 3), "rgb8": ("uint8", 3), "bgra8": ("uint8", 4), "rgba8": ("uint8", 4),
    "mono8": ("uint8", 1), "mono16": ("uint16", 1), "16UC1": ("uint16", 1), "32FC1": ("float32", 1),
}
_CONVERSIONS = {
    ("rgb8", "bgr8"): cv2.COLOR_RGB2BGR,
    ("bgra8", "bgr8"): cv2.COLOR_BGRA2BGR,
    ("rgba8", "bgr8"): cv2.COLOR_RGBA2BGR,
    ("mono8", "bgr8"): cv2.COLOR_GRAY2BGR,
}


def getCvType(encoding):
    return _TYPES[encoding]


def cvtColor2(image, encoding, desired_encoding):
    if encoding == desired_encoding:
        return image.copy()
    return cv2.cvtColor(image, _CONVERSIONS[encoding, desired_encoding])
