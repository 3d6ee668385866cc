"""The point cloud: a depth image as a pinhole camera explains it, laid out as PCL and Nav2 read."""
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ssma_core import SsmaError
from ssma_ros.node import points

pytest.importorskip("sensor_msgs.msg", reason="needs ROS's message packages")
pytestmark = pytest.mark.ros

from sensor_msgs.msg import CameraInfo, PointField  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

# sensor_msgs/PointField: its constants and what they stand for.
TYPES = {PointField.UINT8: "u1", PointField.FLOAT32: "<f4"}
SIZE = (2, 3)


def camera(size: tuple[int, int] = SIZE, *, fx: float = 2.0, fy: float = 4.0, cx: float = 1.0,
           cy: float = 0.5, rectified: tuple[float, float, float, float] | None = None
           ) -> CameraInfo:
    info = CameraInfo(height=size[0], width=size[1],
                      k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0])
    if rectified:
        fx, fy, cx, cy = rectified
        info.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


def cloud(depth: Any, rgb: npt.NDArray[np.uint8] | None = None, info: Any = None) -> Any:
    labels = np.arange(depth.size, dtype=np.uint8).reshape(depth.shape)
    return points.cloud(depth, rgb, labels, 255 - labels, info or camera(depth.shape),
                        Header(frame_id="camera"))


def read(message: Any) -> npt.NDArray[Any]:
    """Its points by field, H×W, by what the message says of itself alone."""
    dtype = np.dtype({"names": [f.name for f in message.fields],
                      "formats": [TYPES[f.datatype] for f in message.fields],
                      "offsets": [f.offset for f in message.fields],
                      "itemsize": message.point_step})
    assert message.row_step == message.width * message.point_step
    assert len(message.data) == message.height * message.row_step
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width)


def test_a_point_for_every_pixel_in_their_order() -> None:
    message = cloud(np.ones(SIZE, np.float32))
    assert (message.height, message.width, message.is_dense) == (2, 3, False)
    assert message.header == Header(frame_id="camera")
    found = read(message)
    assert found.dtype.names == ("x", "y", "z", "rgb", "label", "confidence")
    np.testing.assert_array_equal(found["label"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["confidence"], [[255, 254, 253], [252, 251, 250]])


@pytest.mark.parametrize("depth", [
    np.array([[2000, 2000, 2000], [4000, 4000, 4000]], np.uint16),
    np.array([[2, 2, 2], [4, 4, 4]], np.float32),
    np.array([[2, 2, 2], [4, 4, 4]], np.float64),
])
def test_points_lie_where_a_pinhole_camera_sees_them(depth: npt.NDArray[Any]) -> None:
    """x = (u - 1) z / 2, y = (v - 0.5) z / 4, in metres."""
    found = read(cloud(depth))
    np.testing.assert_allclose(found["z"], [[2, 2, 2], [4, 4, 4]], rtol=1e-6)
    np.testing.assert_allclose(found["x"], [[-1, 0, 1], [-2, 0, 2]], rtol=1e-6)
    np.testing.assert_allclose(found["y"], [[-0.25] * 3, [0.5] * 3], rtol=1e-6)


def test_every_row_of_a_tall_image_has_its_own_height() -> None:
    rows = 3 * points.STRIP + 7
    found = read(cloud(np.ones((rows, 2), np.float32), info=camera((rows, 2), fy=1.0, cy=0.0)))
    np.testing.assert_array_equal(found["y"], np.arange(rows)[:, None] * [1, 1])


@pytest.mark.parametrize("depth", [
    np.array([[0, 1000]], np.uint16),
    np.array([[0, 1]], np.float32),
    np.array([[np.nan, 1]], np.float32),
    np.array([[np.inf, 1]], np.float32),
    np.array([[-1, 1]], np.float32),
])
def test_no_return_is_no_place(depth: npt.NDArray[Any]) -> None:
    found = read(cloud(depth))
    for axis in "xyz":
        assert list(np.isnan(found[axis][0])) == [True, False]
    assert list(found["label"][0]) == [0, 1]


def test_colours_are_packed_as_pcl_does() -> None:
    """0x00RRGGBB in the float's bits: finite for every colour."""
    rgb = np.array([[(1, 2, 3), (255, 255, 255), (0, 0, 128)]], np.uint8)
    found = read(cloud(np.ones((1, 3), np.float32), rgb))["rgb"]
    assert list(found.view(np.uint32)[0]) == [0x030201, 0xFFFFFF, 0x800000]
    assert np.isfinite(found).all()


def test_without_a_colour_image_points_are_black() -> None:
    assert not read(cloud(np.ones(SIZE, np.float32)))["rgb"].any()


def test_rectified_images_have_the_rectified_cameras_geometry() -> None:
    info = camera(rectified=(1.0, 1.0, 0.0, 0.0))
    found = read(cloud(np.ones(SIZE, np.float32), info=info))
    np.testing.assert_array_equal(found["x"], [[0, 1, 2], [0, 1, 2]])
    np.testing.assert_array_equal(found["y"], [[0, 0, 0], [1, 1, 1]])


def test_the_camera_info_may_be_of_another_resolution() -> None:
    """Of 8×4 pixels with its centre in the middle: at half the size, half the focal length, and the
    centre between the two pixels in the middle again, (4 - 1) / 2 and (2 - 1) / 2."""
    info = camera((4, 8), fx=8.0, fy=8.0, cx=3.5, cy=1.5)
    found = read(cloud(np.full((2, 4), 4, np.float32), info=info))
    np.testing.assert_allclose(found["x"][0], [-1.5, -0.5, 0.5, 1.5])
    np.testing.assert_allclose(found["y"][:, 0], [-0.5, 0.5])


def test_a_region_of_interest_begins_at_its_corner() -> None:
    info = camera((40, 60), fx=1.0, fy=1.0, cx=12.0, cy=21.0)
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 10, 20, 3, 2
    found = read(cloud(np.ones(SIZE, np.float32), info=info))
    np.testing.assert_array_equal(found["x"][0], [-2, -1, 0])
    np.testing.assert_array_equal(found["y"][:, 0], [-1, 0])


@pytest.mark.parametrize("info, reason", [
    (camera(fx=0.0), "no focal length"),
    (camera(fx=np.nan), "NaN"),
    (camera(cy=np.inf), "NaN or infinity"),
    (camera((3, 3)), "CameraInfo is of 3x3 pixels, the images are of 3x2"),
    (camera((0, 0)), "CameraInfo is of 0x0 pixels"),
])
def test_a_camera_info_of_something_else_is_refused(info: CameraInfo, reason: str) -> None:
    with pytest.raises(SsmaError, match=reason):
        cloud(np.ones(SIZE, np.float32), info=info)


def test_what_is_no_depth_is_refused() -> None:
    with pytest.raises(SsmaError, match="uint16 millimetres or float metres, not uint8"):
        cloud(np.ones(SIZE, np.uint8))


def test_colours_of_another_size_are_refused() -> None:
    with pytest.raises(SsmaError, match="it is 3x2, they are 5x4"):
        cloud(np.ones(SIZE, np.float32), np.zeros((4, 5, 3), np.uint8))


def test_messages_of_a_bag_are_read_too() -> None:
    """rosbags gives the same names, whoever made the type."""
    info = SimpleNamespace(**{name: getattr(camera(), name) for name in (
        "width", "height", "k", "p", "roi")})
    assert read(cloud(np.ones(SIZE, np.float32), info=info))["x"][0, 2] == 0.5
