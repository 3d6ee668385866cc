"""A network in int8. The range of its values, and which of its blocks can be computed in int8, are
measured on frames like those that it will see."""
from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, ValueInfoProto, helper
from tqdm import tqdm

from ssma_core.backends.onnxruntime import open_session
from ssma_core.datasets.inputs import Inputs
from ssma_core.errors import SsmaError, naming
from ssma_core.evaluation.parity import LEAST_AGREEMENT
from ssma_core.export.onnx import exported_as, to_onnx, write
from ssma_core.export.quantizers import (
    Int8Candidate,
    convolutions,
    prepared,
    rectified,
    with_quantizers,
)
from ssma_core.modalities import network_images
from ssma_core.model import SegmentationNetwork
from ssma_core.model_files.exported import Exported, FrameFormat, network_inputs
from ssma_core.spec import ModelSpec

BoundInputs = Mapping[str, npt.NDArray[Any]]
Peaks = dict[str, float]  # of each tensor to be quantized, the largest magnitude that is kept

FRAMES = 32  # of the data, evenly spread
TRIAL_FRAMES = 8  # at least, of these, on which each block is tried alone
# The range of the quantizers: up to the largest magnitude in this share of the frames. In a few
# frames, some networks have values tens of times as large as in all others, and quantizers of that
# range are too coarse for the others.
REACHES = (0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Calibration:
    """The result of the measurements.

    names: the convolutions that are computed in int8. share: their part, 0–1, of the
      multiplications of all convolutions that could be.
    kept: the blocks that stay in float.
    agreement: the share of pixels, 0–1, with the label that they have in float, over `frames`.
    """

    peaks: Peaks
    names: tuple[str, ...]
    share: float
    kept: tuple[str, ...]
    agreement: float
    frames: int

    def in_words(self) -> str:
        stays = f"; in float stay {', '.join(self.kept)}" if self.kept else ""
        return (f"{100 * self.share:.0f} % of the multiplications in int8: on {self.frames} frames "
                f"{100 * self.agreement:.2f} % of the labels are those of float{stays}")


def export_int8(network: SegmentationNetwork, spec: ModelSpec, path: str | Path,
                data: Inputs, *, frame: FrameFormat | None = None,
                agreement: float = LEAST_AGREEMENT) -> Calibration:
    """Writes `network` (in eval mode) as ONNX in int8, whole or not at all, with progress bars.
    The same network and data give the same bytes on the same machine.

    data: frames like those that the network will see, of any size; FRAMES of them are used.
    frame: as for ssma_core.export.onnx.export. agreement: as for `calibrate`.
    Raises SsmaError when the data do not fit the spec, and as `export` and `calibrate` do.
    """
    exported = exported_as(network, spec, frame, "fp32")
    # The file has the same tensors under the same names.
    measured = replace(exported, frame=None, unimodal=())
    calibration = calibrate(to_onnx(network, measured), _inputs(measured, data), agreement)
    model = to_onnx(network, exported)
    write(quantize(model, calibration), replace(exported, precision="int8"), path)
    return calibration


def quantize(model: ModelProto, calibration: Calibration) -> ModelProto:
    """A model that `to_onnx` gave in fp32, in int8; without metadata."""
    return with_quantizers(prepared(model), calibration.names, calibration.peaks)


def calibrate(model: ModelProto, frames: Sequence[BoundInputs],
              agreement: float = LEAST_AGREEMENT) -> Calibration:
    """Measures a model that `to_onnx` gave in fp32, with progress bars.

    The value of REACHES that keeps most labels is used. If these are too few, every block of the
    network is tried alone in int8, and as many blocks as needed stay in float, first those that
    change most labels in relation to their work.

    frames: the arrays for the model's inputs.
    agreement: the smallest share of pixels, over all frames, that must keep their label, 0–1.
    Raises SsmaError where there is no frame, or where only float keeps the labels.
    """
    if not frames:
        raise SsmaError("int8 is calibrated with frames, and there are none")
    labels = _labels(model, frames)
    model = prepared(model)
    candidates = convolutions(model)

    def agreed(in_int8: Sequence[Int8Candidate], peaks: Peaks, step: int = 1) -> float:
        """The share of labels that stay the same, on every step-th frame."""
        quantized = with_quantizers(model, [c.name for c in in_int8], peaks)
        pairs = zip(labels[::step], _labels(quantized, frames[::step]))
        return float(np.mean([before == now for before, now in pairs]))

    reached = [(agreed(candidates, peaks), peaks) for peaks in _peaks(model, candidates, frames)]
    best, peaks = max(reached, key=lambda pair: pair[0])
    if best >= agreement:
        return _calibration(candidates, [], peaks, best, len(frames))

    step = max(len(frames) // TRIAL_FRAMES, 1)
    order = _dearest_first(candidates, lambda block: 1 - agreed(block, peaks, step))

    def agreed_without(first: int) -> float:
        return agreed(_without(candidates, order[:first]), peaks)

    kept = bisect_left(range(len(order)), agreement, lo=1, key=agreed_without)
    if kept == len(order):
        raise SsmaError(f"int8 changes more than {100 * (1 - agreement):g} % of the labels on "
                        "these frames, in every part of the network: are they frames like those "
                        "it was trained on? If so, ask for less with --agreement")
    return _calibration(candidates, order[:kept], peaks, agreed_without(kept), len(frames))


def _calibration(candidates: Sequence[Int8Candidate], kept: Sequence[str], peaks: Peaks,
                 agreement: float, frames: int) -> Calibration:
    chosen = _without(candidates, kept)
    return Calibration(peaks, tuple(c.name for c in chosen), _work(chosen) / _work(candidates),
                       tuple(kept), agreement, frames)


def _dearest_first(candidates: Sequence[Int8Candidate],
                   changed: Callable[[Sequence[Int8Candidate]], float]) -> list[str]:
    """The blocks, first those that change most labels in relation to their work.

    changed: the share of labels that change where these convolutions alone are in int8.
    """
    blocks = {block: [c for c in candidates if c.block == block]
              for block in dict.fromkeys(c.block for c in candidates)}
    # Squared: the changes of the blocks are almost independent, and independent errors add up so.
    price = {block: changed(inside)**2 / _work(inside)
             for block, inside in _shown(blocks.items(), "trying blocks", "block", len(blocks))}
    return sorted(blocks, key=lambda block: -price[block])


def _without(convolutions: Sequence[Int8Candidate], blocks: Sequence[str]) -> list[Int8Candidate]:
    return [c for c in convolutions if c.block not in blocks]


def _inputs(exported: Exported, data: Inputs) -> list[BoundInputs]:
    """The inputs for a file without a frame, of FRAMES of the data."""
    wanted = set(_spread(len(data), FRAMES))
    inputs: list[BoundInputs] = []
    for place, given in enumerate(_shown(data, "reading", "frame", len(data))):
        if place in wanted:
            with naming(given.name):
                images = network_images(exported.spec, *given.arrays)
            inputs.append(network_inputs(exported, images))
    return inputs


def _peaks(model: ModelProto, convolutions: Sequence[Int8Candidate],
           frames: Sequence[BoundInputs]) -> list[Peaks]:
    """For each of REACHES, the largest magnitude of each convolution's input and output; or the
    largest value, where a ReLU follows."""
    model = copy.deepcopy(model)
    graph = model.graph
    tensors = list(dict.fromkeys(t for c in convolutions for t in (c.input, c.output)))
    positive = rectified(graph)
    for tensor in tensors:
        values = tensor
        if tensor not in positive:
            values = f"{tensor}/magnitude"
            graph.node.append(helper.make_node("Abs", [tensor], [values]))
        graph.node.append(helper.make_node("ReduceMax", [values], [f"{tensor}/peak"], keepdims=0))
        graph.output.append(ValueInfoProto(name=f"{tensor}/peak"))
    session = open_session(model.SerializeToString())
    peaks = [session.run([f"{tensor}/peak" for tensor in tensors], dict(inputs))
             for inputs in _shown(frames, "calibrating", "frame")]
    return [dict(zip(tensors, reached.tolist()))
            for reached in np.quantile(np.array(peaks), REACHES, axis=0)]


def _labels(model: ModelProto, frames: Sequence[BoundInputs]) -> list[npt.NDArray[np.uint8]]:
    session = open_session(model.SerializeToString())
    return [session.run(["labels"], dict(inputs))[0]
            for inputs in _shown(frames, "labels", "frame")]


def _work(convolutions: Iterable[Int8Candidate]) -> int:
    return sum(c.work for c in convolutions)


def _spread(total: int, wanted: int) -> list[int]:
    """`wanted` places of a sequence, evenly spread; all places of a shorter one."""
    return np.linspace(0, total - 1, min(total, wanted)).round().astype(int).tolist()


def _shown(items: Iterable[Any], what: str, unit: str, total: int | None = None) -> Iterable[Any]:
    return tqdm(items, what, total, leave=False, unit=unit, disable=None)
