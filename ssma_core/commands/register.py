"""`ssma register`: how a recording's second camera fits its colour camera."""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core.bags import recorded_images, rosbag2
from ssma_core.bags.calibration import camera_info, tf
from ssma_core.bags.image_messages import ImageMessage, encoding
from ssma_core.bags.recorded_images import DISPARITY, STREAM_TYPES
from ssma_core.commands import add_pairing_arguments, count_to, pairing_settings
from ssma_core.errors import SsmaError
from ssma_core.files import check_new, check_picture, write_picture
from ssma_core.modalities import width_x_height
from ssma_core.plain import from_plain, read_yaml
from ssma_core.registration import Registration, is_registration, write
from ssma_core.registration.blend import checkerboard
from ssma_core.registration.cameras import CalibratedCamera, Transform
from ssma_core.registration.depth import DepthRegistration
from ssma_core.registration.find import STEPS, find
from ssma_core.registration.homography import (
    TOLERANCE,
    HomographyRegistration,
    Row,
    at_distance,
    holds_between,
)

Array = npt.NDArray[Any]
WAYS = ("depth", "distance", "images")
DEPTHS = ("16UC1", "32FC1")
_SHOWN_DISTANCES = (1, 2, 5, 10, 20)  # metres


class Frame(NamedTuple):
    """A pair of a recording."""

    rgb: ImageMessage
    aux: ImageMessage

    def arrays(self) -> tuple[Array, Array]:
        return self.rgb.array(), self.aux.array()


class Cameras(NamedTuple):
    """What is known without looking at the images."""

    colour: CalibratedCamera
    aux: CalibratedCamera
    transform: Transform

    @property
    def parallax(self) -> float:
        """See `holds_between`."""
        return self.colour.fx * self.transform.baseline


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, help=".mcap, .db3 or the folder of a rosbag2")
    parser.add_argument("--rgb", required=True, metavar="TOPIC", help="the colour images")
    parser.add_argument("--aux", required=True, metavar="TOPIC", help="the second sensor's images")
    parser.add_argument("--output", required=True, type=Path, help="the registration to write "
                        "(YAML), for the node's parameter of that name")
    parser.add_argument("--blend", type=Path, help="picture of a frame to write: colour and the "
                        "registered second image in turns, as on a checkerboard")
    parser.add_argument("--by", choices=WAYS, help="depth: project depth by both CameraInfos and "
                        "tf_static; distance: by these, for what is at --distance; images: find "
                        "it in the images. Default: distance where it is given, depth where the "
                        "second sensor's images are 16UC1 or 32FC1 in a frame of their own, images "
                        "for all others")
    parser.add_argument("--distance", type=float, metavar="METRES",
                        help="from the cameras to what must fit best")
    parser.add_argument("--transform", type=Path, metavar="FILE", help="YAML with the second "
                        "camera's place as seen from the colour camera, in place of tf_static: "
                        "translation: [x, y, z] in metres, rotation: [x, y, z, w]")
    for stream in ("rgb", "aux"):
        parser.add_argument(f"--{stream}-info", metavar="TOPIC", help="the CameraInfo, if it is "
                            "not beside the images as camera_info")
    parser.add_argument("--pairs", type=count_to(200), default=24, help="of images that are "
                        "compared, from the whole recording (default: %(default)s)")
    add_pairing_arguments(parser)


def run(options: argparse.Namespace) -> None:
    _check(options)
    frames = _frames(options)
    way = options.by or _way(options, frames[0])
    if way == "images":
        found, about = _by_images(options, frames)
    else:
        cameras = _cameras(options, frames[0])
        found, about = _by_calibration(options, cameras, way, frames[0])
    shown = frames[len(frames) // 2]
    rgb, aux = shown.arrays()
    if options.blend:
        write_picture(options.blend, checkerboard(rgb, found.aligned(aux)))
    write(options.output, found, "\n".join([
        f"ssma register: {options.aux} to {options.rgb}, {options.bag.name}", *about]))
    print("\n".join([*about, f"{options.output} is written"]))


def _check(options: argparse.Namespace) -> None:
    """Raises SsmaError for what can be seen before the bag is read."""
    check_new(options.output, is_registration)
    if options.blend:
        check_picture(options.blend)
    if options.by not in (None, "distance") and options.distance is not None:
        raise SsmaError(f"--distance is for --by distance, not --by {options.by}: leave one out")
    if options.by == "distance" and options.distance is None:
        raise SsmaError("--by distance needs --distance, the metres to what must fit best")
    found = rosbag2.topics(options.bag)
    for topic, types in ((options.rgb, STREAM_TYPES["rgb"]), (options.aux, STREAM_TYPES["aux"])):
        rosbag2.check(options.bag, found, [topic], types)
    recorded_images.check_order(options.bag, options.rgb, options.aux)


def _frames(options: argparse.Namespace) -> list[Frame]:
    """Pairs from the whole recording, evenly."""
    topics, settings = (options.rgb, options.aux), pairing_settings(options)
    count = sum(1 for _ in recorded_images.pairs(options.bag, topics, settings))
    if not count:
        raise SsmaError(f"{options.bag} holds no pairs: of the images on {options.rgb} and "
                        f"{options.aux} none have stamps at most {settings.slop:g} s apart; --slop "
                        "allows more, and --aux-delay is for a second sensor that is always late")
    wanted = set(np.linspace(0, count - 1, min(count, options.pairs)).round().astype(int).tolist())
    frames = [Frame(recorded_images.read(pair.rgb, "rgb", as_depth=False),
                    recorded_images.read(pair.aux, "aux", as_depth=False))
              for index, pair in enumerate(recorded_images.pairs(options.bag, topics, settings))
              if index in wanted]
    return frames


def _way(options: argparse.Namespace, frame: Frame) -> str:
    if options.distance is not None:
        return "distance"
    is_depth = (encoding(frame.aux.message) in DEPTHS
                and rosbag2.topics(options.bag)[options.aux].type != DISPARITY)
    return "depth" if is_depth and frame.rgb.frame_id != frame.aux.frame_id else "images"


def _cameras(options: argparse.Namespace, frame: Frame) -> Cameras:
    """Both CameraInfos, and the transform. Raises SsmaError where one is missing."""
    try:
        found = []
        for image, topic, info in ((frame.rgb, options.rgb, options.rgb_info),
                                   (frame.aux, options.aux, options.aux_info)):
            pixels = image.array()
            found.append(camera_info.calibration(
                options.bag, topic, info or camera_info.info_topic(topic),
                (pixels.shape[1], pixels.shape[0])))
        colour, aux = found
        seen_from = _transform(options, frame).matrix
    except SsmaError as error:
        raise SsmaError(f"{error}. Without calibration, --by images finds a homography") from error
    turned = np.eye(4), np.eye(4)
    turned[0][:3, :3], turned[1][:3, :3] = colour.turned, aux.turned
    return Cameras(colour.camera, aux.camera,
                   Transform.from_matrix(turned[0] @ seen_from @ turned[1].T))


def _transform(options: argparse.Namespace, frame: Frame) -> Transform:
    if options.transform:
        return from_plain(Transform, read_yaml(options.transform), str(options.transform))
    return tf.transform(options.bag, frame.rgb.frame_id, frame.aux.frame_id)


def _by_calibration(options: argparse.Namespace, cameras: Cameras, way: str, frame: Frame
                    ) -> tuple[Registration, list[str]]:
    apart = f"by both CameraInfos; the cameras are {cameras.transform.baseline:.4g} m apart"
    if way == "depth":
        return DepthRegistration(*cameras), [f"depth is projected {apart}; it holds everywhere"]
    matrix = at_distance(*cameras, options.distance)
    near, far = holds_between(cameras.parallax, options.distance)
    return _homography(matrix, frame.arrays(), near=near, far=far), [
        f"a homography for {options.distance:g} m {apart}", _holds(near, far)]


def _by_images(options: argparse.Namespace, frames: Sequence[Frame]
               ) -> tuple[Registration, list[str]]:
    pairs = [frame.arrays() for frame in frames]
    for rgb, aux in pairs:
        if rgb.shape != pairs[0][0].shape or aux.shape != pairs[0][1].shape:
            raise SsmaError(f"{options.bag}: the images change their size: {width_x_height(rgb)} "
                            f"and {width_x_height(aux)}, before {width_x_height(pairs[0][0])} and "
                            f"{width_x_height(pairs[0][1])}: record one setting of the cameras")
    only_shift = _is_map(pairs[0][1])
    with tqdm(total=STEPS, desc="comparing images", leave=False, disable=None) as bar:
        found = find(pairs, bar.update, only_shift=only_shift)
    kind = "shift" if only_shift else "homography"
    about = [f"a {kind} found in {len(pairs)} pairs of images: parts of the recording differ "
             f"by {found.spread:.1f} pixels in the corners; correlation {found.correlation:.2f}",
             _parallax(options, frames[0])]
    return _homography(found.matrix, pairs[0], spread=found.spread), about


def _homography(matrix: Array, pair: tuple[Array, Array], **facts: Any
                ) -> HomographyRegistration:
    rgb, aux = pair
    first, second, third = (_row(row) for row in matrix)
    return HomographyRegistration(
        (first, second, third), (aux.shape[1], aux.shape[0]), (rgb.shape[1], rgb.shape[0]),
        "nearest" if _is_map(aux) else "linear", **facts)


def _is_map(aux: Array) -> bool:
    """Whether its values are measurements, which must not be mixed: depth, disparity, 16 bits."""
    return aux.ndim == 2 and aux.dtype != np.uint8


def _row(row: Array) -> Row:
    return float(row[0]), float(row[1]), float(row[2])


def _holds(near: float, far: float | None) -> str:
    until = "on" if far is None else f"to {far:.1f} m"
    return f"it holds from {near:.1f} m {until}: what is there is displaced by at most " \
           f"{TOLERANCE:g} pixels"


def _parallax(options: argparse.Namespace, frame: Frame) -> str:
    """What is known of the distances within which a homography holds that was found in images."""
    try:
        parallax = _cameras(options, frame).parallax
    except SsmaError:
        return ("it holds at the distance of most of what the images showed. How fast it gets "
                "wrong nearer and farther is not known: the bag has no CameraInfo and tf_static of "
                "both cameras")
    displaced = ", ".join(f"{parallax / z:.0f} at {z} m" for z in _SHOWN_DISTANCES)
    return (f"it holds at the distance of most of what the images showed; between there and "
            f"infinity, by the cameras' distance, pixels are displaced by: {displaced}")
