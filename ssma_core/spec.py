"""ModelSpec: everything about a model except its weights. Every model file contains it."""
from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ssma_core.errors import SsmaError, naming
from ssma_core.image_files.header import check_megapixels
from ssma_core.plain import from_json, from_plain, read_yaml

Architecture = Literal["ssma", "adapnet++"]
Size = Literal["full", "tiny"]
Rates = Literal["released", "paper"]
Encoding = Literal["image", "jet", "grey", "hha", "ndvi", "evi", "evi2"]
Upsampling = Literal["transposed", "bilinear", "convex"]
VEGETATION_INDICES = ("ndvi", "evi", "evi2")
LabelGroups = dict[str, tuple[str, ...]]  # the name of each group, and the classes that it joins
DEPTH_RANGE_MM = 7000.0  # the original's, issues 6 and 7 of DeepSceneSeg/SSMA


@dataclass(frozen=True)
class Camera:
    """A pinhole camera. Raises SsmaError when a focal length or side is not positive.

    fx, fy, cx, cy: focal lengths and principal point in pixels, for images of `size`.
    size: (width, height) of the calibrated images.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    size: tuple[int, int]

    def __post_init__(self) -> None:
        if min(self.fx, self.fy, *self.size) <= 0:
            raise SsmaError(f"a camera's focal lengths and size must be positive, got {self}")


@dataclass(frozen=True)
class Modality:
    """One sensor stream, and how its arrays become the 3-channel uint8 image that a network gets.
    Raises SsmaError when the fields do not fit together.

    encoding:
      - "image": the array is already such an image (H×W×3 uint8, BGR) and is not changed;
      - "jet", "grey": a scalar map, clip((value − low) · 255 / (range − low), 0, 255) in jet
        colours, or as three equal channels; what is no measurement is black;
      - "hha": depth as disparity, height above ground and angle with gravity;
      - "ndvi", "evi", "evi2": near infrared; the vegetation index is computed from it and the
        colour image, and drawn in jet colours.
    range: for "jet" and "grey", the value at the far end of the colours: in millimetres for depth,
      where None means DEPTH_RANGE_MM for "jet"; otherwise in the sensor's unit. None for the other
      encodings, and with percentiles.
    low: for "jet" and "grey", the value at the near end, for a sensor whose scale does not begin at
      zero, such as thermal. None: the scale begins at 0, and zero or less is no measurement.
    percentiles: for "jet" and "grey", in place of range: the two ends are these percentiles (0–100)
      of each frame's own measurements.
    fill: for "jet" and "hha", holes up to this width (pixels at the model's input size) are filled
      from the pixels around them before encoding; 0 fills none.
    camera: for "hha", the depth camera. None for the other encodings.
    level: for "jet", in the unit of range: every frame is shifted so that its median has this
      value, for a sensor whose numbers mean something only relative to each other. None: no shift.
    expert: the network for this modality; a name in `ssma_core.model.experts`, or
      "timm/NAME".
    """

    name: str
    encoding: Encoding
    range: float | None = None
    fill: int = 0
    camera: Camera | None = None
    level: float | None = None
    expert: str = "adapnet++"
    low: float | None = None
    percentiles: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise SsmaError("a modality needs a name")
        where = f"modality {self.name!r}"
        if (self.name, self.encoding, self.range, self.percentiles) == ("depth", "jet", None, None):
            object.__setattr__(self, "range", DEPTH_RANGE_MM)
        self._check_ends(where)
        if self.level is not None and not (
                self.encoding == "jet" and self.zero_is_nothing
                and self.range and 0 < self.level < self.range):
            raise SsmaError(f"{where}: level is for the encoding 'jet' without low, between 0 and "
                            f"its range; got {self.level!r} with range {self.range!r}")
        if (self.encoding == "hha") != (self.camera is not None):
            raise SsmaError(f"{where}: the encoding 'hha' needs a camera, the others take none; "
                            f"got encoding {self.encoding!r} and camera {self.camera!r}")
        may_fill = self.encoding in ("jet", "hha") and self.zero_is_nothing
        if self.fill < 0 or (self.fill and not may_fill):
            raise SsmaError(f"{where}: fill is a number of pixels of at least 0, and only jet and "
                            "hha can be filled, and none with low or percentiles; got encoding "
                            f"{self.encoding!r} and fill {self.fill!r}")

    @property
    def zero_is_nothing(self) -> bool:
        """Whether a value of zero or less is no measurement, as in depth. Where the ends are given
        by low or percentiles, only a whole number 0, NaN and infinity are none."""
        return self.low is None and self.percentiles is None

    @property
    def no_measurement(self) -> float:
        """What a map of floats holds where nothing was measured."""
        return 0.0 if self.zero_is_nothing else float("nan")

    def _check_ends(self, where: str) -> None:
        given = (self.range is not None) + (self.percentiles is not None)
        if given != (self.encoding in ("jet", "grey")):
            raise SsmaError(f"{where}: the encoding 'jet' needs a range or percentiles, and so "
                            "does 'grey'; the others take none; got encoding "
                            f"{self.encoding!r}, range {self.range!r} and percentiles "
                            f"{self.percentiles!r}")
        if self.low is not None and self.range is None:
            raise SsmaError(f"{where}: low belongs to a range; got {self.low!r} without one")
        if self.range is not None and not (
                float("-inf") < (self.low or 0) < self.range < float("inf")):
            above = "positive" if self.low is None else f"above low, {self.low!r}"
            raise SsmaError(f"{where}: range must be {above}, got {self.range!r}")
        if self.percentiles is not None and not (
                0 <= self.percentiles[0] < self.percentiles[1] <= 100):
            raise SsmaError(f"{where}: percentiles are two numbers from 0 to 100, the lower one "
                            f"first, got {list(self.percentiles)}")


@dataclass(frozen=True)
class ModelSpec:
    """The facts about a model. Raises SsmaError when they do not fit together.

    size: of the network, see `ssma_core.model.sizes`.
    class_names, class_colours: one entry per class, 2 to 255 classes; colours are (red, green,
      blue), 0–255.
    void_id: the class that means "no label": it has no weight in loss and metric.
    modalities: two for "ssma", the colour image first; one (any) for "adapnet++".
    input_size: (width, height) of the network's input; multiples of 16.
    rates: dilations of the multiscale units, as in the released code or as in the paper.
    upsampling: the decoder's last step, from a quarter of the size to the whole: "transposed", the
      original's convolution; "bilinear"; or "convex", see `ssma_core.model.decoder`. The last two
      never answer void.

    A confidence of 255 means that the network's own softmax gives the label a probability of 1. It
    is not calibrated: it does not say how often such a label is right.
    """

    architecture: Architecture
    size: Size
    class_names: tuple[str, ...]
    class_colours: tuple[tuple[int, int, int], ...]
    modalities: tuple[Modality, ...]
    input_size: tuple[int, int]
    rates: Rates = "released"
    void_id: int = 0
    upsampling: Upsampling = "transposed"

    def __post_init__(self) -> None:
        if not 2 <= len(self.class_names) <= 255:
            raise SsmaError(f"a model needs 2 to 255 classes, got {len(self.class_names)}")
        if len(set(self.class_names)) != len(self.class_names):
            raise SsmaError(f"class names must differ, got {list(self.class_names)}")
        if len(self.class_colours) != len(self.class_names):
            raise SsmaError(f"{len(self.class_names)} class names but "
                            f"{len(self.class_colours)} class colours")
        for name, colour in zip(self.class_names, self.class_colours):
            if not all(0 <= c <= 255 for c in colour):
                raise SsmaError(f"class {name!r}: a colour is three integers 0–255 "
                                f"(red, green, blue), got {colour!r}")
        if not 0 <= self.void_id < len(self.class_names):
            raise SsmaError(f"void_id {self.void_id} is not one of the "
                            f"{len(self.class_names)} classes")
        wanted = 2 if self.architecture == "ssma" else 1
        if len(self.modalities) != wanted:
            raise SsmaError(f"{self.architecture} takes {wanted} modalities, got "
                            f"{[m.name for m in self.modalities]}")
        if len({m.name for m in self.modalities}) != wanted:
            raise SsmaError("the two modalities must have different names, got "
                            f"{[m.name for m in self.modalities]}")
        check_multiple_of_16(*self.input_size)
        check_megapixels("input_size", *self.input_size)

    @property
    def classes(self) -> int:
        return len(self.class_names)

    def of_expert(self, modality: int) -> ModelSpec:
        """The spec of AdapNet++ for one of the modalities. modality: its index, 0 or 1."""
        return replace(self, architecture="adapnet++", modalities=(self.modalities[modality],))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Reads what `to_json` wrote. Raises SsmaError when the text is not a spec."""
        return cls.from_dict(from_json(text, "the model's spec"))

    @classmethod
    def from_dict(cls, values: Any) -> ModelSpec:
        """Reads plain data, as JSON and YAML give it. Raises SsmaError naming what does not fit."""
        return from_plain(cls, values, "spec")


class Grouped(NamedTuple):
    """A model's classes joined to groups. spec: the model's, with the groups as its classes.
    ids: the group that each of the model's own classes belongs to."""

    spec: ModelSpec
    ids: tuple[int, ...]

    @property
    def void_id(self) -> int:
        """An id of the model's own that means void."""
        return self.ids.index(self.spec.void_id)


def grouped(spec: ModelSpec, groups: LabelGroups) -> Grouped:
    """Joins a model's classes to groups. A class that no group names keeps itself; a group of its
    name takes it in. Groups are in the order of their first classes in the spec, and have the
    colour of the class that they name first.

    Raises SsmaError for a class that the spec lacks or that is named twice, for a group without a
    class, for void in a group of another name, and where nothing but void is left.
    """
    _check_groups(spec, groups)
    group_of = {name: group for group, names in groups.items() for name in names}
    joined = [group_of.get(name, name) for name in spec.class_names]
    names = tuple(dict.fromkeys(joined))
    if len(names) < 2:
        raise SsmaError(f"the groups leave no class but {names[0]}")
    colour_of = dict(zip(spec.class_names, spec.class_colours))
    colours = tuple(colour_of[groups[name][0] if name in groups else name] for name in names)
    ids = tuple(names.index(name) for name in joined)
    return Grouped(replace(spec, class_names=names, class_colours=colours,
                           void_id=ids[spec.void_id]), ids)


def grouped_by_file(spec: ModelSpec, path: str | Path | None) -> Grouped:
    """As `grouped`, by the groups in a YAML file, such as {drivable: [trail, grass]}; without a
    file every class keeps itself. Raises SsmaError naming the file."""
    groups = from_plain(LabelGroups, read_yaml(path), str(path)) if path else {}
    with naming(path):
        if path and not groups:
            raise SsmaError("it names no group")
        return grouped(spec, groups)


def _check_groups(spec: ModelSpec, groups: LabelGroups) -> None:
    void = spec.class_names[spec.void_id]
    named: set[str] = set()
    for group, names in groups.items():
        if not isinstance(group, str) or not group or not names:
            raise SsmaError(f"a group has a name and joins one class at least, got {group!r}: "
                            f"{list(names)}")
        for name in names:
            if name not in spec.class_names:
                raise SsmaError(f"the group {group!r} joins {name!r}, which is none of "
                                + ", ".join(spec.class_names))
            if name in named:
                raise SsmaError(f"the groups name the class {name!r} twice")
            if name == void != group:
                raise SsmaError(f"{void!r} means 'no label' and joins no group of another name, "
                                f"got it in {group!r}")
            named.add(name)


def check_multiple_of_16(width: int, height: int) -> None:
    """Raises SsmaError, with the padding that is needed, unless both sides are positive multiples
    of 16."""
    if width <= 0 or height <= 0:
        raise SsmaError(f"an image size must be positive, got {width}x{height}")
    right, bottom = -width % 16, -height % 16
    if right or bottom:
        raise SsmaError(
            f"the network needs sides that are multiples of 16, got {width}x{height} (width x "
            f"height): pad {right} columns and {bottom} rows, to {width + right}x{height + bottom}")
