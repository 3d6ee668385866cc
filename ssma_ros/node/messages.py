"""Messages that the node takes and publishes: images, and the classes' names."""
from __future__ import annotations

import sys
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ssma_core import ImageMessage, ModelSpec, SsmaError, Stream, encodings, image_messages
from ssma_ros import distro

UNLABELED = 255  # as vision_msgs/VisionClass defines it for images of 8 bits


def checked(message: Any, stream: Stream, topic: str) -> ImageMessage:
    """See `image_messages.checked`; cv_bridge decodes where it can be used."""
    return image_messages.checked(message, stream, topic, distro.imgmsg_to_cv2)


def some_pixels(message: Any, rows: int, columns: int) -> npt.NDArray[Any] | None:
    """One channel of a checked image at every few rows and columns, of each at least so many if the
    image has them; None for one that is compressed, in another byte order, or whose pixels share
    their colours. Takes far less than a millisecond."""
    if image_messages.is_compressed(message) or encodings.shares_colours(message.encoding):
        return None
    dtype, channels, _ = encodings.LAYOUTS[message.encoding]
    size = np.dtype(dtype).itemsize
    if size > 1 and bool(message.is_bigendian) == (sys.byteorder == "little"):
        return None
    pixels: npt.NDArray[Any] = np.ndarray(
        (message.height, message.width), dtype, buffer=message.data,
        offset=size if channels > 1 else 0,  # green
        strides=(message.step, channels * size))
    down, across = max(1, message.height // rows), max(1, message.width // columns)
    return pixels[::down, ::across].copy()


def check_registered(rgb: ImageMessage, aux: ImageMessage) -> None:
    """Raises SsmaError when the two images are in different frames, as those of a depth camera are
    until they are registered. Frames without a name pass."""
    if rgb.frame_id and aux.frame_id and rgb.frame_id != aux.frame_id:
        raise SsmaError(
            f"{aux.topic} is in frame {aux.frame_id!r}, but {rgb.topic} in {rgb.frame_id!r}: the "
            "second sensor's images must be registered to the colour image, pixel by pixel "
            "(RealSense: align_depth.enable:=true and the topic aligned_depth_to_color/image_raw; "
            "others: depth_image_proc's register node), or given with a registration that `ssma "
            "register` makes of a recording (parameter registration). Where they are, and the "
            "driver only gives their frame another name, set check_frame_id:=false")


def image(pixels: npt.NDArray[np.uint8], encoding: Literal["mono8", "bgr8"], header: Any) -> Any:
    """A sensor_msgs/Image of H×W (mono8) or H×W×3 (bgr8) uint8 pixels with the header given."""
    return distro.cv2_to_imgmsg(pixels, encoding, header)


def label_info(spec: ModelSpec, void_as_unlabeled: bool, header: Any) -> Any:
    """vision_msgs/LabelInfo: the classes of a model by the ids that are published, in the order of
    its own ids. To be called only where distro.LabelInfo is not None.

    void_as_unlabeled: whether void is published as UNLABELED; that is then its name too.
    """
    names = dict(enumerate(spec.class_names))
    if void_as_unlabeled:
        del names[spec.void_id]
        names[UNLABELED] = "UNLABELED"
    # No threshold: every pixel has the likeliest class; its probability is semantic/confidence.
    return distro.LabelInfo(header=header, threshold=0.0, class_map=[
        distro.VisionClass(class_id=number, class_name=name) for number, name in names.items()])
