"""SSMA and AdapNet++ without ROS: models, training, export and the Segmenter.

What stands here is all that ssma_ros sees of the core. Nothing here imports torch. What reads bags
or draws pages is imported when it is first used: a robot that runs an engine needs no rosbags.
"""
from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssma_core.bags import encodings, image_messages
from ssma_core.bags.image_messages import ImageMessage
from ssma_core.bags.pairing import (
    OTHER,
    OVERTAKE_NS,
    STREAMS,
    Cause,
    Pairing,
    PairingSettings,
    Stream,
)
from ssma_core.errors import NoAnswer, SsmaError
from ssma_core.evaluation.metrics import ConfusionMatrix, FrameCounts, stacked
from ssma_core.evaluation.provenance import cpu, versions
from ssma_core.evaluation.results import (
    BagSource,
    DriveResult,
    FrameResult,
    Mode,
    Timeline,
    TimelineEvent,
)
from ssma_core.files import atomic_write, check_writable
from ssma_core.image_files.header import limit_megapixels
from ssma_core.modalities import is_depth
from ssma_core.modalities.blank import (
    MIN_VALID_DEPTH,
    looked_at,
    same_rows,
    shows_nothing,
)
from ssma_core.modalities.depth import in_metres, measured
from ssma_core.pictures import colourize, contact_sheet, overlay
from ssma_core.registration import Displacement, Registration, registered
from ssma_core.registration import read as read_registration
from ssma_core.segmenter import Segmentation, Segmenter
from ssma_core.spec import Grouped, Modality, ModelSpec

if TYPE_CHECKING:
    from ssma_core.bags import rosbag2
    from ssma_core.bags.ground_truth import Recordings
    from ssma_core.commands import add_pairing_arguments
    from ssma_core.evaluation.comparison import compare_files
    from ssma_core.evaluation.of_bag import score, true_labels
    from ssma_core.evaluation.of_bags import (
        OverDds,
        evaluate_bags,
        write_comparison,
        write_report,
    )
    from ssma_core.evaluation.report.words import in_words
    from ssma_core.evaluation.result_file import write_result
    from ssma_core.processes import begin_program, glibc, return_free_memory

# Since 1.29 onnxruntime's wheels report every start to their maker, unless they find this when they
# are first imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

_LATE = {  # which module each name is in that is imported late
    "Recordings": "bags.ground_truth",
    "OverDds": "evaluation.of_bags",
    "add_pairing_arguments": "commands",
    "begin_program": "processes",
    "compare_files": "evaluation.comparison",
    "glibc": "processes",
    "return_free_memory": "processes",
    "evaluate_bags": "evaluation.of_bags",
    "score": "evaluation.of_bag",
    "true_labels": "evaluation.of_bag",
    "in_words": "evaluation.report.words",
    "write_comparison": "evaluation.of_bags",
    "write_report": "evaluation.of_bags",
    "write_result": "evaluation.result_file",
}

__all__ = ["MIN_VALID_DEPTH", "OTHER", "OVERTAKE_NS", "STREAMS", "BagSource", "Cause",
           "ConfusionMatrix", "Displacement", "DriveResult", "FrameCounts", "FrameResult",
           "Grouped", "ImageMessage", "Modality", "Mode", "ModelSpec", "NoAnswer", "OverDds",
           "Pairing", "PairingSettings", "Recordings", "Registration", "Segmentation", "Segmenter",
           "SsmaError", "Stream", "Timeline", "TimelineEvent", "add_pairing_arguments",
           "atomic_write", "begin_program", "check_writable", "colourize", "compare_files",
           "contact_sheet", "cpu", "encodings", "evaluate_bags", "glibc", "image_messages",
           "in_metres", "in_words", "is_depth", "limit_megapixels", "looked_at", "measured",
           "overlay", "read_registration", "registered", "return_free_memory", "rosbag2",
           "same_rows", "score", "shows_nothing", "stacked", "true_labels", "versions",
           "write_comparison", "write_report", "write_result"]


def __getattr__(name: str) -> Any:
    if name == "rosbag2":
        return import_module("ssma_core.bags.rosbag2")
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"ssma_core.{_LATE[name]}"), name)
