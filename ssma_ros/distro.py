"""What a ROS distribution brings and pip does not, behind the same few calls in both cases.

`message_filters` and `cv_bridge` are used where they can be imported; elsewhere the stand-ins in
this file have the same names, and the rest of ssma_ros sees no difference.

Of message_filters we use `Subscriber`, to which other nodes' filters can be connected, and pair in
`pairing.py`: the distribution's ApproximateTimeSynchronizer calls back under its own lock, takes
the first match and not the nearest, counts nothing, and needs a running node, so that a bag that is
read without DDS would be paired by other rules than live topics.

Of cv_bridge we use `imgmsg_to_cv2` and `cv2_to_imgmsg`. Its Python half reads rows that are padded
by less than a whole pixel as narrower rows, and swaps bytes by a method that NumPy 2 no longer has:
the stand-in reads images of those two layouts everywhere. Its compiled half is made for one NumPy
and one OpenCV, and pip may install others: see `_usable_bridge`.

Of vision_msgs we use `LabelInfo` and its `VisionClass`. There is no stand-in for a message type
that other programs know by name: both are None without vision_msgs. Likewise bond's `Status`.
"""
from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ssma_core import image_messages

try:
    from message_filters import Subscriber
    HAS_MESSAGE_FILTERS = True
except ImportError:
    HAS_MESSAGE_FILTERS = False

    class Subscriber:  # type: ignore[no-redef]
        """A subscription that calls every registered callback, as message_filters' does.

        Takes the arguments of rclpy's create_subscription, without the callback; `sub` is that
        subscription.
        """

        def __init__(self, node: Any, message_type: type, topic: str, **options: Any) -> None:
            self._callbacks: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
            self.sub = node.create_subscription(message_type, topic, self._received, **options)

        def registerCallback(self, callback: Callable[..., None], *arguments: Any) -> None:
            """Calls callback(message, *arguments) for every message from now on."""
            self._callbacks.append((callback, arguments))

        def _received(self, message: Any) -> None:
            for callback, arguments in self._callbacks:
                callback(message, *arguments)


def _usable_bridge() -> tuple[Any, str]:
    """A CvBridge, or None where cv_bridge is missing, or its compiled half is missing or made for
    another NumPy or OpenCV. And which of these it is, in words."""
    unfit = None, "no cv_bridge that fits this NumPy and OpenCV"
    printed = io.StringIO()
    try:
        with redirect_stderr(printed):
            from cv_bridge import CvBridge

            importlib.import_module("cv_bridge.boost.cv_bridge_boost")
        # One made for NumPy 1 can be imported with NumPy 2, which only prints a warning; the first
        # colour image would then end the process.
        if "compiled using NumPy 1" in printed.getvalue():
            return unfit
        bridge = CvBridge()
        # OpenCV 5 has other numbers for its types than OpenCV 4: this raises KeyError there.
        bridge.cv2_to_imgmsg(np.zeros((1, 1, 3), np.uint8), "bgr8")
    except ModuleNotFoundError as error:
        return (None, "no cv_bridge") if error.name == "cv_bridge" else unfit
    except (ImportError, AttributeError, KeyError):
        return unfit
    sys.stderr.write(printed.getvalue())
    return bridge, "cv_bridge"


_bridge, CV_BRIDGE = _usable_bridge()

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:
    LabelInfo = VisionClass = None

try:
    from bond.msg import Status as BondStatus
except ImportError:
    BondStatus = None


# What cv_bridge decodes, and to which encoding. "passthrough" does not copy; other encodings have
# one reader, so that a robot, a bag and a picture are the same colours.
_BRIDGED = {**dict.fromkeys(("rgb8", "bgra8", "rgba8"), "bgr8"),
            **dict.fromkeys(("bgr8", "mono8", "mono16", "16UC1", "32FC1"), "passthrough")}


def imgmsg_to_cv2(message: Any) -> npt.NDArray[Any]:
    """See `image_messages.to_array`."""
    if _bridge is None or not _fits_bridge(message):
        return image_messages.to_array(message)
    return _bridge.imgmsg_to_cv2(message, _BRIDGED[message.encoding])


def _fits_bridge(message: Any) -> bool:
    """Whether cv_bridge reads it correctly: see above."""
    return (not image_messages.is_compressed(message) and not message.is_bigendian
            and message.encoding in _BRIDGED
            and message.step == image_messages.row_bytes(message))


def cv2_to_imgmsg(pixels: npt.NDArray[np.uint8], encoding: Literal["mono8", "bgr8"],
                  header: Any) -> Any:
    """A sensor_msgs/Image of an H×W (mono8) or H×W×3 (bgr8) uint8 array, with the header given."""
    if _bridge is not None:
        return _bridge.cv2_to_imgmsg(pixels, encoding, header)
    from sensor_msgs.msg import Image

    height, width = pixels.shape[:2]
    message = Image(header=header, height=height, width=width, encoding=encoding,
                    is_bigendian=0, step=width * (3 if encoding == "bgr8" else 1))
    # Filled in place: since Jazzy an assignment copies, and checks bytes and lists byte by byte, in
    # Python, before it copies.
    message.data.frombytes(np.ascontiguousarray(pixels).data)
    return message
