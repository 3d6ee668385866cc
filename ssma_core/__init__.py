"""SSMA and AdapNet++ without ROS: models, training, export and the Segmenter.

What stands here is all that ssma_ros sees of the core. Nothing here imports torch, and what reads
bags is imported when it is first used: a robot that runs an engine needs no rosbags.
"""
from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssma_core.bags import image_messages
from ssma_core.bags.image_messages import ImageMessage
from ssma_core.bags.pairing import OTHER, OVERTAKE_NS, STREAMS, Cause, Pairing, Stream
from ssma_core.errors import SsmaError
from ssma_core.evaluation.comparison import Comparison, Interval, compare
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.evaluation.provenance import cpu, gpu, versions
from ssma_core.files import atomic_write, check_writable, read_json
from ssma_core.pictures import colourize, contact_sheet, overlay
from ssma_core.plain import from_plain
from ssma_core.segmenter import Segmentation, Segmenter
from ssma_core.spec import Modality, ModelSpec

if TYPE_CHECKING:
    from ssma_core import processes
    from ssma_core.bags import rosbag2
    from ssma_core.evaluation import bag_results, ground_truth, of_bag
    from ssma_core.evaluation.report import compare as report_compare
    from ssma_core.evaluation.report import looks, page, words

_LATER = {"bag_results": "evaluation", "ground_truth": "evaluation", "of_bag": "evaluation",
          "looks": "evaluation.report", "page": "evaluation.report", "words": "evaluation.report",
          "rosbag2": "bags"}

__all__ = ["OTHER", "OVERTAKE_NS", "STREAMS", "Cause", "Comparison", "ConfusionMatrix",
           "ImageMessage", "Interval", "Modality", "ModelSpec", "Pairing", "Segmentation",
           "Segmenter", "SsmaError", "Stream", "atomic_write", "bag_results", "check_writable",
           "colourize", "compare", "contact_sheet", "cpu", "from_plain", "gpu", "ground_truth",
           "image_messages", "looks", "of_bag", "overlay", "page", "processes", "read_json",
           "report_compare", "rosbag2", "versions", "words"]


def __getattr__(name: str) -> Any:
    if name == "report_compare":
        return import_module("ssma_core.evaluation.report.compare")
    if name == "processes":
        return import_module("ssma_core.processes")
    if name in _LATER:
        return import_module(f"ssma_core.{_LATER[name]}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
