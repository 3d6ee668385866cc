"""Imports the original's weights: which TensorFlow variable is which of our tensors.

The original numbers its layers; only this module knows its names. Own code on purpose, with
`tf_checkpoint`: it reads TensorFlow checkpoints without TensorFlow, a large dependency.
"""
from __future__ import annotations

import colorsys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ssma_core.errors import SsmaError
from ssma_core.model import SegmentationNetwork, build
from ssma_core.model.sizes import DIMENSIONS
from ssma_core.model_files.checkpoint import differences
from ssma_core.spec import Architecture, Modality, ModelSpec

Variables = Mapping[str, npt.NDArray[np.generic]]

# Our layer: the original's, within the scope of its modality.
_EXPERT = {
    "encoder.input_norm": "conv0/BatchNorm",
    "encoder.stem": "conv1",
    "encoder.skip_quarter": "conv32",
    "encoder.skip_eighth": "conv174",
    "easpp.pointwise": "conv256",
    **{f"easpp.branches.{branch}.{layer}": f"conv{number}"
       for branch, numbers in enumerate(((70, 7, 247, 71), (80, 8, 248, 81), (90, 9, 249, 91)))
       for layer, number in enumerate(numbers)},
    "easpp.image_pooling": "conv57",
    "easpp.merge": "conv10",
}
_FUSION = {
    "fuse_easpp.squeeze": "conv511",
    "fuse_easpp.excite": "conv512",
    "fuse_easpp.output": "conv515",
    "fuse_eighth.squeeze": "conv513",
    "fuse_eighth.excite": "conv514",
    "fuse_eighth.output": "conv552",
    "fuse_quarter.squeeze": "conv518",
    "fuse_quarter.excite": "conv519",
    "fuse_quarter.output": "conv553",
}
_DECODER = {
    "decoder.to_eighth.upsampling": "conv41",
    "decoder.to_eighth.skip_weight": "conv550",
    "decoder.to_eighth.refine.0": "conv89",
    "decoder.to_eighth.refine.1": "conv96",
    "decoder.to_quarter.upsampling": "conv16",
    "decoder.to_quarter.skip_weight": "conv551",
    "decoder.to_quarter.refine.0": "conv88",
    "decoder.to_quarter.refine.1": "conv95",
    "decoder.scores": "conv78",
    "decoder.to_full": "conv5",
    "auxiliary_heads.quarter": "conv911",
    "auxiliary_heads.eighth": "conv912",
}
_CONVOLUTION = {"weight": "weights", "bias": "biases"}
_NORM = {"weight": "gamma", "bias": "beta",
         "running_mean": "moving_mean", "running_var": "moving_variance"}
# TensorFlow stores a kernel as (height, width, in, out), of a transposed convolution as (height,
# width, out, in); PyTorch stores (out, in, height, width) and (in, out, height, width).
_AXES = {1: (0,), 4: (3, 2, 0, 1)}
_OPTIMIZER = ("/Adam", "/Adam_1", "global_step", "Global_Step", "beta1_power", "beta2_power")


@dataclass
class Target:
    """Our tensors that one TensorFlow variable fills, concatenated along dimension 0."""

    tensors: list[Tensor] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the TensorFlow variable."""
        ours = (sum(t.shape[0] for t in self.tensors), *self.tensors[0].shape[1:])
        return tuple(ours[i] for i in np.argsort(_AXES[len(ours)]))

    def fill(self, value: npt.NDArray[np.generic]) -> None:
        ours = np.array(value.transpose(_AXES[value.ndim]), np.float32, order="C")
        parts = torch.from_numpy(ours).split([t.shape[0] for t in self.tensors])
        for tensor, part in zip(self.tensors, parts):
            tensor.copy_(part)


def import_variables(variables: Variables, spec: ModelSpec) -> SegmentationNetwork:
    """Makes the network of `spec` with the weights of TensorFlow `variables`, in evaluation mode.
    An optimizer's variables are ignored; auxiliary heads are imported if there are any.

    Raises SsmaError that names the variables that are missing, left over, of another shape or not
    finite; also when the spec has another expert than the original's.
    """
    for modality in spec.modalities:
        if modality.expert != "adapnet++":
            raise SsmaError(f"modality {modality.name!r}: the original's weights are those of the "
                            f"expert 'adapnet++', not of {modality.expert!r}")
    # Names taken from Python's `variable.name` end in ":0".
    weights = {name.removesuffix(":0"): value for name, value in variables.items()}
    weights = {name: value for name, value in weights.items() if not name.endswith(_OPTIMIZER)}
    model = build(spec, auxiliary_heads=any("conv911/" in name for name in weights))
    targets = variable_targets(model, spec)
    fault = differences({name: value.shape for name, value in weights.items()},
                        {name: target.shape for name, target in targets.items()})
    if fault:
        raise SsmaError(f"these are not the variables of {spec.architecture} with {spec.classes} "
                        f"classes; check the architecture and the number of classes.\n{fault}")
    infinite = [name for name, value in weights.items() if not np.isfinite(value).all()]
    if infinite:
        raise SsmaError("NaN or infinite values, with which no network works; import the weights "
                        "of another training step.\n  " + "\n  ".join(infinite))
    for name, target in targets.items():
        target.fill(weights[name])
    return model.eval()


def imported_spec(architecture: Architecture, classes: int, input_size: tuple[int, int],
                  modalities: tuple[Modality, ...]) -> ModelSpec:
    """The spec of an imported model. The variables contain neither names nor colours of the
    classes, so the names are "void" (always class 0), "class_1" … and the colours evenly spaced
    hues.

    input_size: (width, height).
    """
    hues = [i / max(classes - 1, 1) for i in range(classes - 1)]
    wheel = [tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue, 0.8, 0.9)) for hue in hues]
    return ModelSpec(
        architecture=architecture, size="full", rates="released", input_size=input_size,
        modalities=modalities,
        class_names=("void", *(f"class_{i}" for i in range(1, classes))),
        class_colours=((0, 0, 0), *((r, g, b) for r, g, b in wheel)))


def variable_targets(model: SegmentationNetwork, spec: ModelSpec) -> dict[str, Target]:
    """Maps every TensorFlow variable of a network of size "full" to our tensors."""
    scopes = dict(_scopes(spec))
    targets: dict[str, Target] = {}
    for parameter, tensor in model.state_dict().items():
        layer, _, leaf = parameter.rpartition(".")
        if leaf != "num_batches_tracked":
            scope = scopes[layer]
            leaves = _NORM if scope.endswith("/BatchNorm") else _CONVOLUTION
            targets.setdefault(f"{scope}/{leaves[leaf]}", Target()).tensors.append(tensor)
    return targets


def _scopes(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    """Pairs (our module, the TensorFlow scope of its variables), for every kind of network."""
    for ours, theirs in _layers(spec):
        yield ours, theirs
        yield ours + ".convolution", theirs
        # The original stores both halves of a multiscale convolution in one kernel.
        yield ours + ".convolution.halves.0", theirs
        yield ours + ".convolution.halves.1", theirs
        yield ours + ".norm", theirs + "/BatchNorm"


def _layers(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    expert = _EXPERT | dict(_residual_layers())
    if spec.architecture == "ssma":
        for ours, theirs in expert.items():
            yield "experts.0." + ours, "rgb/resnet_v2_50/" + theirs
            yield "experts.1." + ours, "depth/resnet_v2_50/" + theirs
        yield from (_FUSION | _DECODER).items()
    else:
        yield from (("expert." + ours, "resnet_v2_50/" + theirs) for ours, theirs in expert.items())
        yield from ((ours, "resnet_v2_50/" + theirs) for ours, theirs in _DECODER.items())


def _residual_layers() -> Iterator[tuple[str, str]]:
    for block, units in enumerate(DIMENSIONS["full"].units, 1):
        for unit in range(1, units + 1):
            ours = f"encoder.block{block}.units.{unit - 1}."
            theirs = f"block{block}/unit_{unit}/bottleneck_v1/"
            yield ours + "reduce", theirs + "conv1"
            yield ours + "spatial", theirs + "conv2"
            yield ours + "expand", theirs + "conv3"
            yield ours + "shortcut", theirs + "shortcut"
            # In our networks, the batch norm of a unit's output is where it is used: in the next
            # unit, or at the end of the block.
            norm = f"units.{unit}.preactivation" if unit < units else "norm"
            yield f"encoder.block{block}.{norm}", theirs + "conv3/BatchNorm"
