"""The model's classes, and what the names in an annotation tool's export mean."""
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ssma_core.errors import SsmaError
from ssma_core.model_files.specs import MODELS, spec_of
from ssma_core.plain import from_plain, read_yaml, shown

Colour = tuple[int, int, int]
# What tools call pixels without a class: CVAT and Pascal VOC, labelme (twice).
NOT_DRAWN = ("background", "_background_", "__ignore__")
_APART = re.compile(r"[\s_-]+")


@dataclass(frozen=True)
class Classes:
    """The classes of a model. Raises SsmaError when they do not fit together.

    class_names, class_colours, void_id: as in a ModelSpec; colours are (red, green, blue), 0–255.
    meanings: what other names in an export mean: normalised name → class id.
    """

    class_names: tuple[str, ...]
    class_colours: tuple[Colour, ...]
    void_id: int = 0
    meanings: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 2 <= len(self.class_names) <= 255:
            raise SsmaError(f"there must be 2 to 255 classes, got {len(self.class_names)}")
        if len(self.class_colours) != len(self.class_names):
            raise SsmaError(f"there are {len(self.class_names)} class_names, but "
                            f"{len(self.class_colours)} class_colours")
        if not 0 <= self.void_id < len(self.class_names):
            raise SsmaError(f"void_id {self.void_id} is none of the classes")
        for name, colour in zip(self.class_names, self.class_colours):
            if not all(0 <= value <= 255 for value in colour):
                raise SsmaError(f"the colour of {name!r} must be three integers 0–255, got "
                                f"{colour!r}")
        if len({normalised(name) for name in self.class_names}) != len(self.class_names):
            raise SsmaError("class_names must differ in more than case, blanks, _ and -; got "
                            f"{', '.join(self.class_names)}")

    def id_of(self, name: str) -> int | None:
        """The class that a name in an export means; None where that is unknown. Case does not
        matter, and "_", "-" and blanks are the same."""
        plain = normalised(name)
        if plain in self.meanings:
            return self.meanings[plain]
        own = [normalised(each) for each in self.class_names]
        if plain in own:
            return own.index(plain)
        return self.void_id if plain in map(normalised, NOT_DRAWN) else None

    def distinct_colours(self) -> tuple[Colour, ...]:
        """class_colours. Raises SsmaError where two classes share one: in a coloured mask they
        would be the same."""
        for index, colour in enumerate(self.class_colours):
            first = self.class_colours.index(colour)
            if first != index:
                raise SsmaError(f"the classes {self.class_names[first]!r} and "
                                f"{self.class_names[index]!r} have the same colour, {colour}: a "
                                "mask in colours cannot tell them apart; give --classes a YAML "
                                "with other class_colours")
        return self.class_colours


def normalised(name: str) -> str:
    return _APART.sub(" ", name.casefold()).strip()


def read_classes(path: Path, ignore: Iterable[str] = (), renamed: Sequence[str] = ()) -> Classes:
    """The classes of a model file (.safetensors, .onnx, .engine) or of a YAML: a training's
    configuration, the model.yaml of `ssma prepare`, or just class_names and class_colours.

    ignore: names, ids or colours ("red,green,blue") in an export that mean void.
    renamed: "theirs=ours", where theirs is such a name, id or colour, and ours a class.
    Raises SsmaError where the file has no classes, and for a name of ours that is no class.
    """
    classes = _of_yaml(path) if path.suffix in (".yaml", ".yml") else _of_model(path)
    meanings = {normalised(name): classes.void_id for name in ignore}
    for each in renamed:
        theirs, given, ours = each.rpartition("=")
        number = classes.id_of(ours)
        if not given or not theirs or number is None:
            raise SsmaError(f"cannot map {shown(each)}: write THEIRS=OURS, and for OURS one of "
                            f"{', '.join(classes.class_names)}")
        if meanings.setdefault(normalised(theirs), number) != number:
            raise SsmaError(f"{shown(theirs)} cannot mean two classes: --map and --ignore name it "
                            "more than once")
    return replace(classes, meanings=meanings)


def _of_yaml(path: Path) -> Classes:
    values: Any = read_yaml(path)
    if isinstance(values, dict) and isinstance(values.get("model"), dict):
        values = values["model"]
    if not isinstance(values, dict):
        raise SsmaError(f"{path} has no class_names and class_colours: give a model file, or the "
                        "YAML of a training")
    names = {each.name for each in fields(Classes)} - {"meanings"}
    return from_plain(Classes, {name: values[name] for name in names & values.keys()}, str(path))


def _of_model(path: Path) -> Classes:
    if path.suffix not in MODELS:
        raise SsmaError(f"{path} has no classes: give a model file ({', '.join(MODELS)}) or a YAML "
                        "with class_names and class_colours")
    spec = spec_of(path)
    return Classes(spec.class_names, spec.class_colours, spec.void_id)
