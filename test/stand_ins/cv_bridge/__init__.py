"""cv_bridge's Python half, no more of it than ssma_ros uses, with its two faults: rows are taken
for narrower ones where they are padded by less than a pixel, and other byte orders need a method
that NumPy 2 no longer has. After ros-perception/vision_opencv, cv_bridge/python/cv_bridge/core.py.
"""
import sys

import numpy as np


class CvBridgeError(TypeError):
    pass


class CvBridge:
    def imgmsg_to_cv2(self, img_msg, desired_encoding="passthrough"):
        from cv_bridge.boost.cv_bridge_boost import cvtColor2, getCvType

        name, channels = getCvType(img_msg.encoding)
        dtype = np.dtype(name).newbyteorder(">" if img_msg.is_bigendian else "<")
        columns = int(img_msg.step / dtype.itemsize / channels)
        shape = (img_msg.height, columns) + ((channels,) if channels > 1 else ())
        image = np.ndarray(shape, dtype, img_msg.data)
        image = np.ascontiguousarray(image[:, :img_msg.width])
        if img_msg.is_bigendian == (sys.byteorder == "little"):
            image = image.byteswap().newbyteorder()
        if desired_encoding == "passthrough":
            return image
        return cvtColor2(image, img_msg.encoding, desired_encoding)

    def cv2_to_imgmsg(self, cvim, encoding="passthrough", header=None):
        from sensor_msgs.msg import Image

        from cv_bridge.boost.cv_bridge_boost import getCvType

        channels = 1 if cvim.ndim == 2 else cvim.shape[2]
        if getCvType(encoding) != (cvim.dtype.name, channels):
            raise CvBridgeError(f"encoding specified as {encoding}, but image has another type")
        message = Image(height=cvim.shape[0], width=cvim.shape[1], encoding=encoding)
        if header is not None:
            message.header = header
        message.data.frombytes(cvim.tobytes())
        message.step = len(message.data) // message.height
        return message
