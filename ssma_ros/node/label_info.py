"""vision_msgs/LabelInfo: which class a pixel's number stands for."""
from __future__ import annotations

from typing import Any

from ssma_core import ModelSpec
from ssma_ros import distro

UNLABELED = 255  # by the definition of vision_msgs/VisionClass, in images of 8 bits


def label_info(spec: ModelSpec, void_as_unlabeled: bool, header: Any) -> Any:
    """The classes of a model by the ids that are published, in the order of its own ids. To be
    called only where distro.LabelInfo is there.

    void_as_unlabeled: whether void is published as UNLABELED; it is called so then.
    """
    names = dict(enumerate(spec.class_names))
    if void_as_unlabeled:
        del names[spec.void_id]
        names[UNLABELED] = "UNLABELED"
    # No threshold: every pixel has the likeliest class, and semantic/confidence says how likely.
    return distro.LabelInfo(header=header, threshold=0.0, class_map=[
        distro.VisionClass(class_id=number, class_name=name) for number, name in names.items()])
