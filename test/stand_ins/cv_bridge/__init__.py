"""Answers as ROS's cv_bridge does, in what ssma_ros asks of it, and has its two faults: of a row
that is padded it takes as many pixels as fit, and begins the next row right behind them; and bytes
in the machine's other order it cannot turn round with NumPy 2.
"""
import array

import numpy as np


class CvBridge:
    def imgmsg_to_cv2(self, message, desired_encoding):
        from cv_bridge.boost import cv_bridge_boost

        kind, channels = cv_bridge_boost.LAYOUTS[message.encoding]
        if message.is_bigendian:
            raise AttributeError("arrays have lost the method that was used here")
        taken = message.step // (np.dtype(kind).itemsize * channels)
        values = np.frombuffer(message.data, kind, message.height * taken * channels)
        size = (message.height, taken) if channels == 1 else (message.height, taken, channels)
        pixels = values.reshape(size)[:, :message.width]
        return cv_bridge_boost.converted(pixels, message.encoding, desired_encoding)

    def cv2_to_imgmsg(self, pixels, encoding, header):
        from sensor_msgs.msg import Image

        from cv_bridge.boost import cv_bridge_boost

        height, width, *channels = pixels.shape
        if cv_bridge_boost.LAYOUTS[encoding] != (pixels.dtype, *(channels or [1])):
            raise TypeError(f"these pixels are no {encoding}")
        return Image(header=header, height=height, width=width, encoding=encoding,
                     step=pixels.nbytes // height, data=array.array("B", pixels.tobytes()))
