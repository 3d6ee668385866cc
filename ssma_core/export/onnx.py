"""A checkpoint as one ONNX file: uint8 images in, uint8 labels out, the spec in its metadata."""
from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
import torch

from ssma_core.checkpoint import weights_hash
from ssma_core.export.graph import Frame
from ssma_core.exported import Exported, to_metadata
from ssma_core.files import written_whole
from ssma_core.model import SegmentationNetwork
from ssma_core.spec import ModelSpec

OPSET = 18


def export(network: SegmentationNetwork, spec: ModelSpec, path: str | Path) -> None:
    """Writes `network` (in eval mode) as ONNX, whole or not at all.

    Inputs: one a modality, by its name, height×width×3 uint8 BGR at spec.input_size.
    Outputs: as of ssma_core.export.graph.Frame.
    """
    width, height = spec.input_size
    images = tuple(torch.zeros(height, width, 3, dtype=torch.uint8) for _ in spec.modalities)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    frame = Frame(network)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            frame, images, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=[m.name for m in spec.modalities],
            output_names=list(frame(*images)))
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(
        model, to_metadata(Exported(spec, "fp32", None, weights_hash(network))))
    onnx.checker.check_model(model)
    with written_whole(path) as temporary:
        onnx.save(model, temporary)
