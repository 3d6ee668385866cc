"""Where two ONNX files of one network differ: how much each layer adds to the difference.

Layers are nodes, other than casts, that have the same name and shape in both files. Nodes between
them that only one file has, such as quantizers or the resize of a camera's images to the network's
size, count to the layer after them.
"""
from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto
from tqdm import tqdm

from ssma_core.errors import SsmaError
from ssma_core.modalities import network_images
from ssma_core.model_files.exported import frame_inputs, from_metadata, network_inputs

Array = npt.NDArray[Any]

AT_ONCE = 32  # layers whose outputs are in memory together
_GIVEN = "/given"  # ends the name of a tensor that is an input of the part
_FLOATS = {TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16}


@dataclass(frozen=True)
class Layer:
    """The difference of a layer's output in the second file from that in the first, see
    `relative_error`.

    own: the second file's layer gets the inputs of the first file's layer.
    whole: with all layers before it in the second file, too.
    """

    name: str
    own: float
    whole: float


def compare_layers(a: Path, b: Path, arrays: Sequence[Array]) -> list[Layer]:
    """The layers that both files have and that the labels need, in the second file's order, with a
    progress bar.

    arrays: a frame that both files take, as `Segmenter.segment` takes it.
    Raises SsmaError when they are not of one spec, no layer has one name in both, or onnxruntime
    cannot run a file on the CPU, such as one of bf16.
    """
    first, second = _LayerGraph(a, arrays), _LayerGraph(b, arrays)
    names = [name for name in second.layers
             if name in first.layers and first.shape(name) == second.shape(name)]
    if first.spec != second.spec or not names:
        raise SsmaError(f"{a} and {b} are not of one network, layer by layer, or an older program "
                        "gave the layers of one other names; export it again")
    given = {second.layers[name]: first.layers[name] for name in names}
    found: list[Layer] = []
    with tqdm(total=len(names), desc="comparing layers", unit="layer", leave=False,
              disable=None) as progress:
        for begin in range(0, len(names), AT_ONCE):
            group = names[begin:begin + AT_ONCE]
            found += _apart(first, second, group, given)
            progress.update(len(group))
    return found


def first_apart(layers: Sequence[Layer]) -> Layer:
    """The first layer that by itself adds at least half as much as the layer that adds most."""
    most = max(layer.own for layer in layers)
    return next(layer for layer in layers if layer.own >= most / 2)


def usual(layers: Sequence[Layer]) -> float:
    """The median of what the layers add by themselves."""
    return float(np.median([layer.own for layer in layers]))


class _LayerGraph:
    """A file, its inputs' values for a frame, and the layers that its labels need: the name of each
    one's output, in the order of computation."""

    def __init__(self, file: Path, arrays: Sequence[Array]) -> None:
        self.file = file
        self.model = onnx.shape_inference.infer_shapes(onnx.load(file))
        graph = self.model.graph
        self._tensors = {value.name: value.type.tensor_type
                         for value in (*graph.value_info, *graph.input, *graph.output)}
        self.types = {name: tensor.elem_type for name, tensor in self._tensors.items()}
        nodes, _ = _needed(self.model, ["labels"], ())
        self.layers = {node.name: node.output[0] for node in nodes
                       if node.name and node.op_type != "Cast"
                       and self.types.get(node.output[0]) in _FLOATS}
        exported = from_metadata({entry.key: entry.value for entry in self.model.metadata_props})
        self.spec = exported.spec
        if exported.frame is None:
            self.inputs = network_inputs(exported, network_images(exported.spec, *arrays))
        else:
            self.inputs = frame_inputs(exported, arrays)

    def shape(self, layer: str) -> list[int]:
        """Of the layer's output; a side that is not fixed is 0."""
        return [side.dim_value for side in self._tensors[self.layers[layer]].shape.dim]

    def run(self, wanted: Sequence[str], given: Mapping[str, Array]) -> dict[str, Array]:
        """The wanted tensors; the given tensors replace those that the graph computes."""
        part = _part(self.model, wanted, given, self.types)
        options = onnxruntime.SessionOptions()
        # The layers as they are in the file, none fused with another.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(part.SerializeToString(), options,
                                                   providers=["CPUExecutionProvider"])
            values = self.inputs | {name + _GIVEN: array for name, array in given.items()}
            taken = {value.name: values[value.name] for value in part.graph.input}
            return dict(zip(wanted, session.run(list(wanted), taken)))
        except Exception as error:  # onnxruntime has a class of its own for each kind of error
            raise SsmaError(f"{self.file}: onnxruntime cannot run its layers on the CPU ({error})"
                            ) from error


def _apart(first: _LayerGraph, second: _LayerGraph, names: Sequence[str],
           given: Mapping[str, str]) -> list[Layer]:
    """given: by each layer's output in the second file the same layer's in the first."""
    outputs = [second.layers[name] for name in names]
    _, reached = _needed(second.model, outputs, given)
    expected = first.run([given[tensor] for tensor in dict.fromkeys([*outputs, *reached])], {})
    with np.errstate(over="ignore"):  # values beyond a half's range are infinite there, too
        inputs = {tensor: expected[given[tensor]].astype(_FLOATS[second.types[tensor]])
                  for tensor in reached}
    own = second.run(outputs, inputs)
    whole = second.run(outputs, {})
    return [Layer(name, relative_error(expected[given[tensor]], own[tensor]),
                  relative_error(expected[given[tensor]], whole[tensor]))
            for name, tensor in zip(names, outputs)]


def relative_error(expected: Array, found: Array) -> float:
    """The mean magnitude of the difference, divided by that of the expected values; infinite where
    `found` is not finite, or where only 0 is expected and other values were found. No squares: a
    few places with large values, which a quantizer cuts off, must not hide the other differences.
    """
    with np.errstate(invalid="ignore"):
        apart = float(np.abs(found.astype(np.float64) - expected).mean())
    size = float(np.abs(expected).mean(dtype=np.float64))
    if not np.isfinite(apart) or (size == 0 and apart > 0):
        return float("inf")
    return apart / size if size else 0.0


def _part(model: ModelProto, wanted: Sequence[str], given: Collection[str],
          types: Mapping[str, int]) -> ModelProto:
    """The model that computes the wanted tensors from the model's own inputs and the given tensors,
    which become inputs, with _GIVEN at the end of their names."""
    nodes, reached = _needed(model, wanted, given)
    part = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import,
                      functions=model.functions)
    part.graph.name = model.graph.name
    for node in nodes:
        copy = part.graph.node.add()
        copy.CopyFrom(node)
        copy.input[:] = [name + _GIVEN if name in given else name for name in node.input]
    used = {name for node in part.graph.node for name in node.input}
    part.graph.initializer.extend(i for i in model.graph.initializer if i.name in used)
    part.graph.input.extend(i for i in model.graph.input if i.name in used)
    part.graph.input.extend(_value(name + _GIVEN, types[name]) for name in reached)
    part.graph.output.extend(_value(name, types[name]) for name in wanted)
    return part


def _needed(model: ModelProto, wanted: Iterable[str],
            given: Collection[str]) -> tuple[list[NodeProto], list[str]]:
    """The nodes, in order, that compute the wanted tensors, also where these are given; and the
    given tensors that they start from."""
    wanted = set(wanted)
    reached: dict[str, None] = {}
    nodes = []
    for node in reversed(model.graph.node):  # every node comes after those that it needs
        if wanted.intersection(node.output):
            nodes.append(node)
            reached |= dict.fromkeys(name for name in node.input if name in given)
            wanted.update(name for name in node.input if name not in given)
    return nodes[::-1], list(reached)


def _value(name: str, kind: int) -> ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, kind, None)
