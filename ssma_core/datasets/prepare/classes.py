"""The classes that networks learn on the public data sets: those of the released SSMA checkpoints,
in their order, each with a colour. Class 0 is always void."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Class:
    """A class. colour: (red, green, blue). labels: the data sets' labels that belong to it; empty:
    only its own name."""

    name: str
    colour: Colour
    labels: tuple[str, ...] = ()

    def takes(self, label: str) -> bool:
        return label in (self.labels or (self.name,))


# The classes 1, 2, … of a set.
Classes = tuple[Class, ...]
VOID = Class("void", (0, 0, 0))


def numbers(classes: Classes, labels: Mapping[int, str]) -> dict[int, int]:
    """The number of the class that each published id becomes; 0 where no class takes the label.

    labels: published id → the data set's label.
    """
    return {published: next((number for number, each in enumerate(classes, 1)
                             if each.takes(label)), 0)
            for published, label in labels.items()}


# Cityscapes' evaluated classes in the order of its train ids, with its colours
# (cityscapesScripts, helpers/labels.py).
CITYSCAPES_19: Classes = (
    Class("road", (128, 64, 128)), Class("sidewalk", (244, 35, 232)),
    Class("building", (70, 70, 70)), Class("wall", (102, 102, 156)),
    Class("fence", (190, 153, 153)), Class("pole", (153, 153, 153)),
    Class("traffic light", (250, 170, 30)), Class("traffic sign", (220, 220, 0)),
    Class("vegetation", (107, 142, 35)), Class("terrain", (152, 251, 152)),
    Class("sky", (70, 130, 180)), Class("person", (220, 20, 60)), Class("rider", (255, 0, 0)),
    Class("car", (0, 0, 142)), Class("truck", (0, 0, 70)), Class("bus", (0, 60, 100)),
    Class("train", (0, 80, 100)), Class("motorcycle", (0, 0, 230)), Class("bicycle", (119, 11, 32)),
)

# Cityscapes and Synthia share these. It is not published to which classes the authors of SSMA
# counted the other labels of the two data sets (wall, terrain, traffic light, train …); here they
# are void. A lane marking is road, as in Cityscapes' own definition of road.
STREET_11: Classes = (
    Class("sky", (70, 130, 180)), Class("building", (70, 70, 70)),
    Class("road", (128, 64, 128), ("road", "lane marking")), Class("sidewalk", (244, 35, 232)),
    Class("fence", (190, 153, 153)), Class("vegetation", (107, 142, 35)),
    Class("pole", (153, 153, 153)), Class("car/truck/bus", (0, 0, 142), ("car", "truck", "bus")),
    Class("traffic sign", (220, 220, 0)),
    Class("pedestrian", (220, 20, 60), ("person", "pedestrian")),
    Class("rider/bicycle/motorcycle", (119, 11, 32), ("rider", "bicycle", "motorcycle")),
)

# The 40 classes of NYU Depth v2, which SUN RGB-D and ScanNet number by: NYU_40[0] is id 1. Colours
# as ScanNet draws them (ScanNet, BenchmarkScripts/util.py).
NYU_40: Classes = (
    Class("wall", (174, 199, 232)), Class("floor", (152, 223, 138)),
    Class("cabinet", (31, 119, 180)), Class("bed", (255, 187, 120)), Class("chair", (188, 189, 34)),
    Class("sofa", (140, 86, 75)), Class("table", (255, 152, 150)), Class("door", (214, 39, 40)),
    Class("window", (197, 176, 213)), Class("bookshelf", (148, 103, 189)),
    Class("picture", (196, 156, 148)), Class("counter", (23, 190, 207)),
    Class("blinds", (178, 76, 76)), Class("desk", (247, 182, 210)),
    Class("shelves", (66, 188, 102)),
    Class("curtain", (219, 219, 141)), Class("dresser", (140, 57, 197)),
    Class("pillow", (202, 185, 52)), Class("mirror", (51, 176, 203)),
    Class("floor mat", (200, 54, 131)), Class("clothes", (92, 193, 61)),
    Class("ceiling", (78, 71, 183)), Class("books", (172, 114, 82)),
    Class("fridge", (255, 127, 14)),
    Class("tv", (91, 163, 138)), Class("paper", (153, 98, 156)), Class("towel", (140, 153, 101)),
    Class("shower curtain", (158, 218, 229)), Class("box", (100, 125, 154)),
    Class("whiteboard", (178, 127, 135)), Class("person", (120, 185, 128)),
    Class("night stand", (146, 111, 194)), Class("toilet", (44, 160, 44)),
    Class("sink", (112, 128, 144)), Class("lamp", (96, 207, 209)),
    Class("bathtub", (227, 119, 194)),
    Class("bag", (213, 92, 176)), Class("other structure", (94, 106, 211)),
    Class("other furniture", (82, 84, 163)), Class("other prop", (100, 85, 144)),
)
NYU_LABELS = {0: VOID.name} | {number: each.name for number, each in enumerate(NYU_40, 1)}

SUN_RGBD_37: Classes = NYU_40[:37]

# ScanNet's benchmark evaluates these ids of the 40, and has another name for one of them.
SCANNET_20: Classes = tuple(
    Class("refrigerator", each.colour, ("fridge",)) if each.name == "fridge" else each
    for each in (NYU_40[number - 1] for number in (
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)))

# Colours of the data set's own readme, except for obstacles: they are black there, and void is
# black here.
FREIBURG_FOREST_5: Classes = (
    Class("trail", (170, 170, 170)), Class("grass", (0, 255, 0)),
    Class("vegetation", (102, 102, 51), ("vegetation", "tree")), Class("sky", (0, 120, 255)),
    Class("obstacle", (255, 255, 0)),
)
