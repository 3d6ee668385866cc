"""What is compiled in the real one, and may be lacking there."""
import cv2
import numpy as np

LAYOUTS = {
    "bgr8": (np.uint8, 3), "rgb8": (np.uint8, 3), "bgra8": (np.uint8, 4), "rgba8": (np.uint8, 4),
    "mono8": (np.uint8, 1), "mono16": (np.uint16, 1), "16UC1": (np.uint16, 1),
    "32FC1": (np.float32, 1),
}
# By the OpenCV that it was made for.
NUMBERS = {"mono8": cv2.CV_8UC1, "bgr8": cv2.CV_8UC3}


def converted(pixels, encoding, wanted):
    """A copy in another order of channels, or in the same."""
    if wanted == encoding:
        return pixels.copy()
    assert wanted == "bgr8"
    return cv2.cvtColor(np.ascontiguousarray(pixels), {
        "rgb8": cv2.COLOR_RGB2BGR, "bgra8": cv2.COLOR_BGRA2BGR, "rgba8": cv2.COLOR_RGBA2BGR,
        "mono8": cv2.COLOR_GRAY2BGR}[encoding])
