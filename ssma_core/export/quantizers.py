"""Quantizers around a network's convolutions, in its ONNX graph.

All are symmetric, with zero point 0: int8 for activations and, by output channel, for weights;
biases stay float. TensorRT takes nothing else. onnxruntime on x86 converts them to unsigned
activations, for which it has kernels, where every convolution has a quantizer of its own
(ssma_core.backends.onnxruntime does the rest). A convolution is quantized at its input and its
output; all else is computed in float, from values that only a convolution's own quantizer changed.
"""
from __future__ import annotations

import copy
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import save_and_reload_model_with_shape_infer

# These stay in float: the class scores, which are almost no work and decide the label; and the
# unimodal decoders, which no frame measures.
_FLOAT = ("preprocessing/", "decoder/scores/", "decoder/to_full/", "alone.")


@dataclass(frozen=True)
class Int8Candidate:
    """A convolution that can be computed in int8. name: its node's. input, output: its tensors.
    block: the part of the network that it is in. work: its multiplications."""

    name: str
    input: str
    output: str
    block: str
    work: int


def prepared(model: ModelProto) -> ModelProto:
    """A copy that computes the same: transposed convolutions become convolutions, for which all
    libraries have int8 kernels, and every convolution that can be quantized reads a tensor that
    no other node reads."""
    model = copy.deepcopy(model)
    graph = model.graph
    _replace(graph, [new for node in graph.node for new in _as_convolution(graph, node)])
    inferred = save_and_reload_model_with_shape_infer(model)
    shapes, weights = _shapes(inferred.graph), _weights(inferred.graph)
    _replace(inferred.graph, [
        new for node in inferred.graph.node
        for new in (_with_own_input(node) if _can_be_int8(node, shapes, weights)
                    else [node])])
    return save_and_reload_model_with_shape_infer(inferred)


def convolutions(model: ModelProto) -> list[Int8Candidate]:
    """The convolutions of a prepared model that can be quantized, in order: all on maps, without
    those in _FLOAT."""
    shapes, weights = _shapes(model.graph), _weights(model.graph)
    return [
        Int8Candidate(node.name, node.input[0], node.output[0], _block(node.name),
                    int(np.prod(weights[node.input[1]])) * int(np.prod(shapes[node.output[0]][2:])))
        for node in model.graph.node if _can_be_int8(node, shapes, weights)]


def rectified(graph: GraphProto) -> set[str]:
    """The tensors whose values below 0 are cut off before any other use."""
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found: set[str] = set()
    for node in reversed(graph.node):
        reading = [reader for name in node.output for reader in readers.get(name, [])]
        joined = [reader for reader in reading if reader.op_type != "Relu"]
        if reading and all(r.op_type == "Concat" and r.output[0] in found for r in joined):
            found.update(node.output)
    return found


def with_quantizers(model: ModelProto, names: Collection[str],
                    peaks: Mapping[str, float]) -> ModelProto:
    """A prepared model with the convolutions of these names quantized.

    peaks: of each one's input and output the largest magnitude that is not cut off.
    """
    ranges = TensorsData(CalibrationMethod.MinMax, {
        tensor: (np.float32(-peak), np.float32(peak)) for tensor, peak in peaks.items()})
    quantizer = QDQQuantizer(
        copy.deepcopy(model), per_channel=True, reduce_range=False, weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8, tensors_range=ranges, nodes_to_quantize=list(names),
        nodes_to_exclude=[], op_types_to_quantize=["Conv"],
        extra_options={"ActivationSymmetric": True, "QuantizeBias": False})
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    quantized: ModelProto = quantizer.model.model
    _drop_identities(quantized.graph)
    return quantized


def _can_be_int8(node: NodeProto, shapes: Mapping[str, list[int]],
                 weights: Mapping[str, list[int]]) -> bool:
    """Whether it is a convolution of maps, not of their means, and not in _FLOAT; with weights of
    its own, not with those that the graph computes, as some of timm's backbones do."""
    return (node.op_type == "Conv" and not node.name.startswith(_FLOAT)
            and shapes[node.input[0]][2:] != [1, 1] and node.input[1] in weights)


def _block(name: str) -> str:
    """experts.0/encoder/block1/units.0/reduce/convolution/Conv → experts.0/encoder/block1;
    experts.0/backbone/stages.3.1/expand/convolution/Conv → experts.0/backbone/stages.3;
    decoder/to_eighth/refine.0/convolution/Conv → decoder/to_eighth/refine."""
    modules = name.removesuffix("/Conv").removesuffix("/convolution").split("/")[:3]
    return re.sub(r"\.\d+$", "", "/".join(modules))


def _shapes(graph: GraphProto) -> dict[str, list[int]]:
    return {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim]
            for value in (*graph.value_info, *graph.output)}


def _weights(graph: GraphProto) -> dict[str, list[int]]:
    """The shapes of the tensors that the file contains, by name."""
    return {weight.name: list(weight.dims) for weight in graph.initializer}


def _as_convolution(graph: GraphProto, node: NodeProto) -> list[NodeProto]:
    """A transposed convolution of stride s, kernel 2s and padding s/2, as three nodes: a
    convolution of each two neighbours in both directions, which computes the s² output pixels
    between their centres as channels; a shuffle of the channels to pixels; and a cut of the s/2
    pixels beyond the borders. Any other node is returned unchanged."""
    facts = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type != "ConvTranspose":
        return [node]
    stride = facts["strides"][0]
    half = stride // 2
    assert (facts["kernel_shape"], facts["pads"]) == ([2 * stride] * 2, [half] * 4), node.name
    weight, bias = (next(w for w in graph.initializer if w.name == name)
                    for name in node.input[1:])
    kernel = numpy_helper.to_array(weight)
    inputs, outputs = kernel.shape[:2]
    # The left one of the neighbours has the right half of its kernel.
    taps = kernel.reshape(inputs, outputs, 2, stride, 2, stride)[:, :, ::-1, :, ::-1]
    taps = taps.transpose(1, 3, 5, 0, 2, 4).reshape(-1, inputs, 2, 2)
    biases = np.repeat(numpy_helper.to_array(bias), stride**2)
    weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(taps), weight.name))
    bias.CopyFrom(numpy_helper.from_array(biases, bias.name))
    path = node.name.removesuffix("ConvTranspose")
    cut = {"begin": [half, half], "end": [-half, -half], "axes": [2, 3]}
    graph.initializer.extend(numpy_helper.from_array(np.array(values, np.int64), path + name)
                             for name, values in cut.items())
    return [
        helper.make_node("Conv", node.input, [f"{path}Conv"], f"{path}Conv",
                         kernel_shape=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", [f"{path}Conv"], [f"{path}DepthToSpace"],
                         f"{path}DepthToSpace", blocksize=stride, mode="CRD"),
        helper.make_node("Slice", [f"{path}DepthToSpace", *(path + name for name in cut)],
                         node.output, f"{path}Slice")]


def _with_own_input(node: NodeProto) -> list[NodeProto]:
    own = f"{node.name}/input"
    identity = helper.make_node("Identity", [node.input[0]], [own], own)
    node.input[0] = own
    return [identity, node]


def _drop_identities(graph: GraphProto) -> None:
    """Removes the nodes that `_with_own_input` added."""
    source = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    for node in graph.node:
        node.input[:] = [source.get(name, name) for name in node.input]
    _replace(graph, [node for node in graph.node if node.op_type != "Identity"])
    shapes = [value for value in graph.value_info if value.name not in source]
    del graph.value_info[:]
    graph.value_info.extend(shapes)


def _replace(graph: GraphProto, nodes: list[NodeProto]) -> None:
    nodes = [copy.deepcopy(node) for node in nodes]
    del graph.node[:]
    graph.node.extend(nodes)
