"""Answers as ROS's cv_bridge does, in what ssma_ros asks of it, and has its two faults: of a row
that is padded it takes as many pixels as fit, and begins the next row right behind them; and bytes
in the machine's other order it cannot turn round with NumPy 2. What need not be converted it copies
all the same, unless it is told "passthrough".
"""
import array
from contextlib import suppress

import cv2
import numpy as np

with suppress(ImportError):  # what that one says is said when cv_bridge is imported
    import cv_bridge.boost.cv_bridge_boost  # noqa: F401


class CvBridge:
    def __init__(self):
        self._kinds = {cv2.CV_8UC1: (np.uint8, 1), cv2.CV_8UC3: (np.uint8, 3)}

    def imgmsg_to_cv2(self, message, desired_encoding):
        from cv_bridge.boost import cv_bridge_boost

        kind, channels = cv_bridge_boost.LAYOUTS[message.encoding]
        if message.is_bigendian:
            raise AttributeError("arrays have lost the method that was used here")
        taken = message.step // (np.dtype(kind).itemsize * channels)
        values = np.frombuffer(message.data, kind, message.height * taken * channels)
        size = (message.height, taken) if channels == 1 else (message.height, taken, channels)
        pixels = values.reshape(size)[:, :message.width]
        if desired_encoding == "passthrough":
            return np.ascontiguousarray(pixels)
        return cv_bridge_boost.converted(pixels, message.encoding, desired_encoding)

    def cv2_to_imgmsg(self, pixels, encoding, header=None):
        from sensor_msgs.msg import Image

        from cv_bridge.boost import cv_bridge_boost

        height, width, *channels = pixels.shape
        if self._kinds[cv_bridge_boost.NUMBERS[encoding]] != (pixels.dtype, *(channels or [1])):
            raise TypeError(f"these pixels are no {encoding}")
        given = {} if header is None else {"header": header}
        return Image(height=height, width=width, encoding=encoding, **given,
                     step=pixels.nbytes // height, data=array.array("B", pixels.tobytes()))
