"""SSMA and AdapNet++ without ROS: models, training, export and the Segmenter.

What stands here is all that ssma_ros sees of the core. Nothing here imports torch.
"""
from ssma_core.errors import SsmaError
from ssma_core.evaluation.comparison import Comparison, Interval, compare
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.evaluation.provenance import cpu, gpu, versions
from ssma_core.files import check_writable, read_json, written_whole
from ssma_core.pictures import colourize, contact_sheet, overlay
from ssma_core.plain import from_plain
from ssma_core.segmenter import Segmentation, Segmenter
from ssma_core.spec import Modality, ModelSpec

__all__ = ["Comparison", "ConfusionMatrix", "Interval", "Modality", "ModelSpec", "Segmentation",
           "Segmenter", "SsmaError", "check_writable", "colourize", "compare", "contact_sheet",
           "cpu", "from_plain", "gpu", "overlay", "read_json", "versions", "written_whole"]
