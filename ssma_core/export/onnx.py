"""A checkpoint as one ONNX file: uint8 images in, uint8 labels out, described by its metadata."""
from __future__ import annotations

import copy
import logging
import re
import warnings
from ast import literal_eval
from collections import Counter
from pathlib import Path

import onnx
import torch
from torch import nn

from ssma_core.end_to_end.graph import TYPES, EndToEnd, Predictor
from ssma_core.files import atomic_write
from ssma_core.model import SegmentationNetwork, Ssma
from ssma_core.model_files.checkpoint import weights_hash
from ssma_core.model_files.exported import (
    Exported,
    FrameFormat,
    Precision,
    blank_inputs,
    to_metadata,
    unimodal_modalities,
)
from ssma_core.spec import ModelSpec

# From 22 on, ONNX has convolutions of bfloat16.
OPSETS = {"fp32": 18, "fp16": 18, "bf16": 22}
_SCOPES = "pkg.torch.onnx.name_scopes"


def export(network: SegmentationNetwork, spec: ModelSpec, path: str | Path,
           frame: FrameFormat | None = None, precision: Precision = "fp32") -> None:
    """Writes `network` (in eval mode) as ONNX, whole or not at all. The same network gives the same
    bytes, which contain nothing about the machine.

    frame: the camera's arrays; the file is then end-to-end. Its inputs are those of
      ssma_core.model_files.exported.blank_inputs, its outputs those of
      ssma_core.end_to_end.graph.EndToEnd. None: the inputs are the images that the network sees,
      under the modalities' names, the outputs those of ssma_core.end_to_end.graph.Predictor.
    precision: of the network: fp32, fp16 or bf16.
    Raises SsmaError when the frame does not fit the spec or the file cannot be written.
    """
    exported = exported_as(network, spec, frame, precision)
    write(to_onnx(network, exported), exported, path)


def exported_as(network: SegmentationNetwork, spec: ModelSpec, frame: FrameFormat | None,
                precision: Precision) -> Exported:
    """The description of the network's file, with unimodal decoders where the network has them."""
    has_unimodal = isinstance(network, Ssma) and network.alone is not None
    return Exported(spec, precision, frame, weights_hash(network),
                    unimodal_modalities(spec, frame) if has_unimodal else ())


def write(model: onnx.ModelProto, exported: Exported, path: str | Path) -> None:
    """Checks the model and writes it with its description as metadata."""
    onnx.helper.set_model_props(model, to_metadata(exported))
    onnx.checker.check_model(model, full_check=True)
    with atomic_write(path) as temporary:
        onnx.save(model, temporary)


def to_onnx(network: SegmentationNetwork, exported: Exported) -> onnx.ModelProto:
    """The network as `exported` describes it (not in int8), without metadata; its nodes and tensors
    are named after the modules they come from."""
    frame = Predictor(network, TYPES[exported.precision], exported.unimodal)
    model = _traced(frame if exported.frame is None
                    else EndToEnd(frame, exported.spec, exported.frame), exported)
    _rename(model.graph)
    _forget_the_machine(model.graph)
    return model


def _traced(module: nn.Module, exported: Exported) -> onnx.ModelProto:
    inputs = {name: torch.from_numpy(array) for name, array in blank_inputs(exported).items()}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        # The outputs' names without computing: half precision takes minutes on a CPU.
        outputs = list(copy.deepcopy(module).to("meta")(*(i.to("meta") for i in inputs.values())))
        program = torch.onnx.export(
            module.eval(), tuple(inputs.values()), dynamo=True, verbose=False,
            opset_version=OPSETS[exported.precision], input_names=list(inputs),
            output_names=outputs)
    assert program is not None
    return program.model_proto


def _rename(graph: onnx.GraphProto) -> None:
    """Names nodes after their module and operator, as "experts.0/encoder/stem/relu/Relu", their
    outputs as the node, and weights as in the checkpoint."""
    names = {value.name: value.name for value in [*graph.input, *graph.output]}
    for weight in graph.initializer:
        names[weight.name] = weight.name = _in_checkpoint(weight.name)
    met: Counter[str] = Counter()
    for node in graph.node:
        name = "/".join([*_modules(node), node.op_type])
        met[name] += 1
        node.name = name if met[name] == 1 else f"{name}_{met[name]}"
        for i, output in enumerate(node.output):
            names.setdefault(output, f"{node.name}:{i}" if i else node.name)
        node.input[:] = [names.get(value, value) for value in node.input]
        node.output[:] = [names[value] for value in node.output]
    for value in graph.value_info:
        value.name = names.get(value.name, value.name)


def _modules(node: onnx.NodeProto) -> list[str]:
    """The modules that contain a node, from outside to inside: ["experts.0", "encoder"]."""
    scopes = [literal_eval(entry.value) for entry in node.metadata_props if entry.key == _SCOPES]
    path = _in_checkpoint(scopes[0][-2]) if scopes else ""
    return re.split(r"\.(?!\d)", path) if path else []


def _in_checkpoint(name: str) -> str:
    return name.removeprefix("frame.").removeprefix("network.")


def _forget_the_machine(graph: onnx.GraphProto) -> None:
    """Removes the exporter's notes, such as lines of our files with their full path."""
    weights = {weight.name for weight in graph.initializer}
    shapes = [value for value in graph.value_info if value.name not in weights]
    del graph.value_info[:]
    graph.value_info.extend(shapes)
    for part in [graph, *graph.input, *graph.output, *graph.initializer, *graph.value_info,
                 *graph.node]:
        del part.metadata_props[:]
        part.doc_string = ""
