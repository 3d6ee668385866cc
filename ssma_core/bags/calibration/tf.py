"""tf_static: where one camera's frame is as seen from the other's."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssma_core.bags import rosbag2
from ssma_core.errors import SsmaError
from ssma_core.plain import from_plain
from ssma_core.registration.cameras import Transform

TF = "tf2_msgs/msg/TFMessage"
_MOST_TRANSFORMS = 10_000


def transform(bag: Path, colour_frame: str, aux_frame: str) -> Transform:
    """Where the second camera's frame is as seen from the colour camera's, by tf_static. Raises
    SsmaError where the bag does not connect the two."""
    steps: dict[str, dict[str, npt.NDArray[np.floating]]] = {}
    for parent, child, matrix in _edges(bag):
        steps.setdefault(parent, {})[child] = matrix
        steps.setdefault(child, {})[parent] = np.linalg.inv(matrix)
    known, ends = {colour_frame: np.eye(4)}, [colour_frame]
    while ends:
        here = ends.pop()
        for there, step in steps.get(here, {}).items():
            if there not in known:
                known[there] = known[here] @ step
                ends.append(there)
    if aux_frame not in known:
        frames = sorted(steps)
        raise SsmaError(
            f"{bag}: tf_static does not connect {colour_frame!r}, the colour images' frame, with "
            f"{aux_frame!r}, that of the second sensor's; it has " + (", ".join(frames) or "none")
            + ". Record /tf_static, or give the transform in a file by --transform")
    return Transform.from_matrix(known[aux_frame])


def _edges(bag: Path) -> Iterator[tuple[str, str, npt.NDArray[np.float64]]]:
    """Of each transform its parent and child, and the child's coordinates to the parent's, 4×4."""
    found = [name for name, topic in rosbag2.topics(bag).items()
             if topic.type == TF and name.endswith("tf_static")]
    count = 0
    for recorded in rosbag2.messages(bag, found) if found else ():
        with rosbag2.about(recorded):
            for each in rosbag2.decode(recorded).transforms:
                count += 1
                if count > _MOST_TRANSFORMS:
                    raise SsmaError(f"more than {_MOST_TRANSFORMS:,} transforms are no robot's")
                by, turn = each.transform.translation, each.transform.rotation
                parent, child = (name.removeprefix("/") for name in
                                 (each.header.frame_id, each.child_frame_id))
                given = {"translation": [by.x, by.y, by.z],
                         "rotation": [turn.x, turn.y, turn.z, turn.w]}
                yield parent, child, from_plain(
                    Transform, given, f"the transform from {parent!r} to {child!r}").matrix
