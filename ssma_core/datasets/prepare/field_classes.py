"""The classes of the field robots' data sets: those that were published, and, where it is a set of
paths and plants, the five of the forest, with which robots of this project drive."""
from __future__ import annotations

from dataclasses import replace

from ssma_core.datasets.prepare.classes import FREIBURG_FOREST_5, Class, Classes


def _forest(**labels: tuple[str, ...]) -> Classes:
    """The forest's classes, of a data set's labels."""
    return tuple(replace(each, labels=labels[each.name]) for each in FREIBURG_FOREST_5)


# GOOSE's 63 classes besides undefined, by their published ids, with the colours of its repository
# (FraunhoferIOSB/goose_dataset, common/goose_colormap.json). Those of snow and hedge are the
# same; hedge has the next one here.
GOOSE_63: Classes = (
    Class("traffic_cone", (255, 255, 0)), Class("snow", (209, 87, 160)),
    Class("cobble", (255, 52, 255)), Class("obstacle", (255, 74, 70)),
    Class("leaves", (0, 137, 65)), Class("street_light", (0, 111, 166)),
    Class("bikeway", (163, 0, 89)), Class("ego_vehicle", (255, 219, 229)),
    Class("pedestrian_crossing", (122, 73, 0)), Class("road_block", (0, 0, 166)),
    Class("road_marking", (99, 255, 172)), Class("car", (183, 151, 98)),
    Class("bicycle", (0, 77, 67)), Class("person", (143, 176, 255)), Class("bus", (153, 125, 135)),
    Class("forest", (90, 0, 7)), Class("bush", (128, 150, 147)), Class("moss", (180, 168, 189)),
    Class("traffic_light", (27, 68, 0)), Class("motorcycle", (79, 198, 1)),
    Class("sidewalk", (59, 93, 255)), Class("curb", (74, 59, 83)), Class("asphalt", (255, 47, 128)),
    Class("gravel", (97, 97, 90)), Class("boom_barrier", (52, 54, 45)),
    Class("rail_track", (107, 121, 0)), Class("tree_crown", (0, 194, 160)),
    Class("tree_trunk", (255, 170, 146)), Class("debris", (136, 111, 76)),
    Class("crops", (0, 134, 237)), Class("soil", (209, 97, 0)), Class("rider", (221, 239, 255)),
    Class("animal", (0, 0, 53)), Class("truck", (123, 79, 75)), Class("on_rails", (161, 194, 153)),
    Class("caravan", (48, 0, 24)), Class("trailer", (10, 166, 216)), Class("building", (1, 51, 73)),
    Class("wall", (0, 132, 111)), Class("rock", (55, 33, 1)), Class("fence", (255, 181, 0)),
    Class("guard_rail", (194, 255, 237)), Class("bridge", (160, 121, 191)),
    Class("tunnel", (204, 7, 68)), Class("pole", (192, 185, 178)),
    Class("traffic_sign", (194, 255, 153)), Class("misc_sign", (0, 30, 9)),
    Class("barrier_tape", (190, 196, 89)), Class("kick_scooter", (111, 0, 98)),
    Class("low_grass", (12, 189, 102)), Class("high_grass", (238, 195, 255)),
    Class("scenery_vegetation", (69, 109, 117)), Class("sky", (183, 123, 104)),
    Class("water", (122, 135, 161)), Class("wire", (255, 140, 0)),
    Class("outlier", (120, 141, 102)), Class("heavy_machinery", (250, 208, 159)),
    Class("container", (255, 138, 154)), Class("hedge", (209, 87, 161)),
    Class("barrel", (208, 208, 0)), Class("pipe", (221, 0, 0)), Class("tree_root", (196, 164, 132)),
    Class("military_vehicle", (64, 64, 64)),
)

# What covers the ground says nothing of the ground: leaves and snow are void, as the robot itself.
GOOSE_FOREST: Classes = _forest(
    trail=("asphalt", "gravel", "soil", "cobble", "bikeway", "sidewalk", "pedestrian_crossing",
           "road_marking"),
    grass=("low_grass", "high_grass", "moss", "crops"),
    vegetation=("forest", "bush", "hedge", "tree_crown", "tree_trunk", "tree_root",
                "scenery_vegetation"),
    sky=("sky",),
    obstacle=(
        "traffic_cone", "obstacle", "street_light", "road_block", "car", "bicycle", "person", "bus",
        "traffic_light", "motorcycle", "curb", "boom_barrier", "rail_track", "debris", "rider",
        "animal", "truck", "on_rails", "caravan", "trailer", "building", "wall", "rock", "fence",
        "guard_rail", "bridge", "tunnel", "pole", "traffic_sign", "misc_sign", "barrier_tape",
        "kick_scooter", "water", "wire", "heavy_machinery", "container", "barrel", "pipe",
        "military_vehicle"))

# The 18 classes that RELLIS-3D's own image benchmark evaluates, in the order of its train ids
# (unmannedlab/RELLIS-3D, benchmarks/…/lib/datasets/rellis.py), with the colours of its ontology.
# Dirt is void there.
RELLIS_18: Classes = (
    Class("grass", (0, 102, 0)), Class("tree", (0, 255, 0)), Class("pole", (0, 153, 153)),
    Class("water", (0, 128, 255)), Class("sky", (0, 0, 255)), Class("vehicle", (255, 255, 0)),
    Class("object", (255, 0, 127)), Class("asphalt", (64, 64, 64)), Class("building", (255, 0, 0)),
    Class("log", (102, 0, 0)), Class("person", (204, 153, 255)), Class("fence", (102, 0, 204)),
    Class("bush", (255, 153, 204)), Class("concrete", (170, 170, 170)),
    Class("barrier", (41, 121, 255)), Class("puddle", (134, 255, 239)), Class("mud", (99, 66, 34)),
    Class("rubble", (110, 22, 138)),
)

# A puddle lies on the way; water is deep, which is why the data set tells the two apart.
RELLIS_FOREST: Classes = _forest(
    trail=("dirt", "asphalt", "concrete", "mud", "puddle"),
    grass=("grass",), vegetation=("tree", "bush"), sky=("sky",),
    obstacle=("pole", "water", "vehicle", "object", "building", "log", "person", "fence", "barrier",
              "rubble"))

# MFNet's nine, of which the first is all that has no other label: its published figures count it,
# and so it is a class here, and nothing is void. Colours as most papers draw them; theirs of the
# first is black.
MFNET_9: Classes = (
    Class("unlabeled", (80, 80, 80)), Class("car", (64, 0, 128)), Class("person", (64, 64, 0)),
    Class("bike", (0, 128, 192)), Class("curve", (0, 0, 192)), Class("car stop", (128, 128, 0)),
    Class("guardrail", (64, 64, 128)), Class("color cone", (192, 128, 128)),
    Class("bump", (192, 64, 0)),
)
