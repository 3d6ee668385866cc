"""The metadata of an exported file (.onnx, .engine), and the arrays bound to its inputs."""
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError
from ssma_core.image_files.header import check_megapixels
from ssma_core.modalities import check_frame, is_depth
from ssma_core.plain import from_json, from_plain
from ssma_core.spec import VEGETATION_INDICES, ModelSpec

Array = npt.NDArray[Any]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
AuxFormat = Literal["uint8", "uint16", "float32", "encoded"]
AUX_FORMATS: tuple[AuxFormat, ...] = get_args(AuxFormat)


@dataclass(frozen=True)
class FrameFormat:
    """The inputs of an end-to-end file: the sensors' own arrays.

    size: (width, height) of the camera's images and of the labels.
    aux: the format of the array that is not the colour image: H×W of that dtype (depth as uint16
      millimetres or float32 metres, anything else in the sensor's unit), or "encoded", H×W×3 uint8.
      None for a model that takes the colour image only.
    """

    size: tuple[int, int]
    aux: AuxFormat | None

    def __post_init__(self) -> None:
        check_megapixels("the camera's image", *self.size)


@dataclass(frozen=True)
class Exported:
    """What an exported file is. Raises SsmaError when the frame does not fit the spec.

    frame: of an end-to-end file. None: the file takes the images that `network_images` makes, at
      spec.input_size.
    weights: `ssma_core.model_files.checkpoint.weights_hash` of the network.
    unimodal: the modalities whose experts also label alone: see `unimodal_output`.
    """

    spec: ModelSpec
    precision: Precision
    frame: FrameFormat | None
    weights: str
    unimodal: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.frame is not None:
            _check_format(self.spec, self.frame)


def to_metadata(exported: Exported) -> dict[str, str]:
    frame = None if exported.frame is None else asdict(exported.frame)
    return {"spec": exported.spec.to_json(), "precision": exported.precision,
            "frame": json.dumps(frame), "weights": exported.weights,
            "alone": json.dumps(exported.unimodal)}


def from_metadata(metadata: Mapping[str, str]) -> Exported:
    """Reads what `to_metadata` returned. Raises SsmaError when it is anything else."""
    if "spec" not in metadata:
        raise SsmaError("it is not one of ours: it carries no spec; make one with `ssma export`")
    spec = ModelSpec.from_json(metadata["spec"])
    lacking = [key for key in ("precision", "frame", "weights", "alone") if key not in metadata]
    if lacking:
        raise SsmaError(f"it does not say its {' and '.join(lacking)}: an older program wrote it; "
                        "export it again with `ssma export`")
    values = {key: metadata[key] for key in ("precision", "weights")}
    try:
        parts = {key: from_json(metadata[key], f"its {key}") for key in ("frame", "alone")}
    except SsmaError as error:
        raise SsmaError(f"its metadata are damaged ({error}): export it again with `ssma export`"
                        ) from error
    exported = from_plain(_Metadata, values | parts, "the file's metadata")
    return Exported(spec, exported.precision, exported.frame, exported.weights, exported.alone)


def network_inputs(exported: Exported, images: Sequence[Array]) -> dict[str, Array]:
    """The arrays for the inputs of a file without a frame, by input name.

    images: what `network_images` returns for the spec: for each modality h×w×3 uint8 BGR.
    Raises SsmaError when they are anything else.
    """
    spec = exported.spec
    for modality, image in zip(spec.modalities, images):
        if (image.shape[1], image.shape[0]) != spec.input_size or image.shape[2:] != (3,):
            raise SsmaError(f"the network takes {modality.name} as an image of "
                            f"{size_in_words(spec.input_size)} with three channels, got an array "
                            f"of shape {image.shape}")
    return {m.name: np.ascontiguousarray(image, np.uint8)
            for m, image in zip(spec.modalities, images)}


def frame_inputs(exported: Exported, arrays: Sequence[Array]) -> dict[str, Array]:
    """The arrays for the inputs of a file with a frame, by input name: views, if possible.

    arrays: as `Segmenter.segment` takes them. H×W×3 uint8, H×W uint8 and H×W float32 are returned
    unchanged, float64 as float32, and H×W uint16 as its bytes, H×W×2 uint8 with the lower first,
    because TensorRT has no uint16.
    Raises SsmaError, with the command that exports a file for these arrays, when they do not have
    the file's format.
    """
    assert exported.frame is not None
    given = check_frame(exported.spec, arrays)
    _check_same_format(exported, frame_format(exported.spec, arrays))
    names = input_formats(exported.spec, exported.frame)
    return {modality.name: _bind(array) for modality, array in zip(given, arrays)
            if modality.name in names}


def bound_inputs(exported: Exported, images: Sequence[Array]) -> dict[str, Array]:
    """The arrays for the inputs of any file: `network_inputs` or `frame_inputs`."""
    return (network_inputs if exported.frame is None else frame_inputs)(exported, images)


def unimodal_inputs(exported: Exported, modality: int, image: Array) -> dict[str, Array]:
    """The array for the one input that a unimodal expert needs, as in `bound_inputs`.

    modality: index, 0 or 1. image: the modality's array.
    Raises SsmaError as `bound_inputs` does, and when the file cannot label this modality alone.
    """
    name = exported.spec.modalities[modality].name
    if name not in exported.unimodal:
        raise SsmaError(f"the file cannot label {name} alone")
    frame = exported.frame
    if frame is not None:
        _check_same_format(exported, replace(frame, size=(image.shape[1], image.shape[0])))
        frame = frame if modality else replace(frame, aux=None)
    expert = replace(exported, spec=exported.spec.of_expert(modality), frame=frame, unimodal=())
    return bound_inputs(expert, [image])


def unimodal_output(modality: str, output: str) -> str:
    """The name of the output "labels" or "confidence" of a unimodal expert."""
    return f"{modality}_{output}"


def unimodal_modalities(spec: ModelSpec, frame: FrameFormat | None) -> tuple[str, ...]:
    """The modalities whose images need only their own sensor's array: all except a vegetation index
    that the file computes."""
    return tuple(m.name for m in spec.modalities if m.encoding not in VEGETATION_INDICES
                 or frame is None or frame.aux == "encoded")


def frame_format(spec: ModelSpec, arrays: Sequence[Array]) -> FrameFormat:
    """The format of a frame that `check_frame` accepts."""
    return FrameFormat((arrays[0].shape[1], arrays[0].shape[0]), _aux_format(spec, arrays))


def input_formats(spec: ModelSpec, frame: FrameFormat | None) -> dict[str, AuxFormat]:
    """The graph's inputs in order: the format of each by name; an image is "encoded"."""
    formats: dict[str, AuxFormat] = {modality.name: "encoded" for modality in spec.modalities}
    if frame is not None and frame.aux is not None:
        formats[spec.modalities[-1].name] = frame.aux
    if _index_needs_colour(spec, frame):
        formats = {"colour": "encoded", **formats}
    return formats


def blank_inputs(exported: Exported) -> dict[str, Array]:
    """The graph's inputs in order, by name, with the right shapes and dtypes, filled with zeros."""
    spec, frame = exported.spec, exported.frame
    width, height = spec.input_size if frame is None else frame.size
    blank: dict[AuxFormat, Array] = {
        "encoded": np.zeros((height, width, 3), np.uint8),
        "uint8": np.zeros((height, width), np.uint8),
        "uint16": np.zeros((height, width, 2), np.uint8),
        "float32": np.zeros((height, width), np.float32)}
    return {name: blank[aux] for name, aux in input_formats(spec, frame).items()}


def export_command(precision: Precision, frame: FrameFormat | None,
                   model: str = "MODEL.safetensors", output: str = "MODEL.onnx") -> str:
    """The command line that exports such a file."""
    words = ["ssma export", f"--model {model}", f"--output {output}"]
    if frame is not None:
        words.append(f"--camera {size_in_words(frame.size)}")
        if frame.aux is not None:
            words.append(f"--aux {frame.aux}")
    if precision != "fp32":
        words.append(f"--precision {precision}")
    if precision == "int8":
        words.append("--calibrate DATA")
    return " ".join(words)


def size_in_words(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


@dataclass(frozen=True)
class _Metadata:
    """What the metadata contain besides the spec."""

    precision: Precision
    frame: FrameFormat | None
    weights: str
    alone: tuple[str, ...]


def _check_format(spec: ModelSpec, frame: FrameFormat) -> None:
    first, sensor = spec.modalities[0], spec.modalities[-1]
    if min(frame.size) <= 0:
        raise SsmaError(f"a camera's size must be positive, got {size_in_words(frame.size)}")
    if first is not sensor and first.encoding != "image":
        raise SsmaError(f"the first modality, {first.name}, is not a colour image, and only the "
                        "second is encoded in the graph: export without --camera")
    if first is sensor and sensor.encoding == "image":
        if frame.aux is not None:
            raise SsmaError(f"the model takes only the {sensor.name} image, and no other array "
                            f"that could be {frame.aux}: leave out --aux")
    elif frame.aux is None:
        formats = "uint16, float32" if is_depth(sensor) else "uint8, uint16, float32"
        raise SsmaError(f"the format of the {sensor.name} is not given: give --aux {formats} or "
                        "encoded")
    elif sensor.encoding == "image" and frame.aux != "encoded":
        raise SsmaError(f"the model takes the {sensor.name} as an image, not as {frame.aux}: give "
                        "--aux encoded")
    elif sensor.encoding == "hha" and frame.aux != "encoded":
        raise SsmaError("HHA is not computed in the graph, because its gravity is found by a "
                        "search: give --aux encoded, and encode the images before, or export "
                        "without --camera")
    elif frame.aux == "uint8" and is_depth(sensor):
        raise SsmaError(f"the {sensor.name} cannot be uint8, which is neither millimetres nor "
                        "metres: give --aux uint16, float32 or encoded")


def _check_same_format(exported: Exported, given: FrameFormat) -> None:
    assert exported.frame is not None
    if given != exported.frame:
        raise SsmaError(
            f"the file takes frames of {_format_in_words(exported.frame)}, but this one is of "
            f"{_format_in_words(given)}; export a file for it (and then build its engine again): "
            f"{export_command(exported.precision, given)}")


def _index_needs_colour(spec: ModelSpec, frame: FrameFormat | None) -> bool:
    """Whether the one modality is a vegetation index that the graph computes from two arrays."""
    return (frame is not None and frame.aux != "encoded" and len(spec.modalities) == 1
            and spec.modalities[0].encoding in VEGETATION_INDICES)


def _aux_format(spec: ModelSpec, arrays: Sequence[Array]) -> AuxFormat | None:
    sensor = arrays[-1]
    if len(arrays) == 1 and spec.modalities[0].encoding == "image":
        return None
    if sensor.ndim == 3:
        return "encoded"
    formats: dict[str, AuxFormat] = {"uint8": "uint8", "uint16": "uint16"}
    return formats.get(sensor.dtype.name, "float32")


def _format_in_words(frame: FrameFormat) -> str:
    return size_in_words(frame.size) + ("" if frame.aux is None else f" with {frame.aux}")


def _bind(array: Array) -> Array:
    if array.ndim == 2 and array.dtype.kind == "f":
        return np.ascontiguousarray(array, np.float32)
    if array.dtype == np.uint16:
        return np.ascontiguousarray(array, "<u2").view(np.uint8).reshape(*array.shape, 2)
    return np.ascontiguousarray(array)
