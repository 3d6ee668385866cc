"""Public data sets, from the published folders to list files and encoded images: one module for
each data set, and one loop for all."""
from __future__ import annotations

from ssma_core.datasets.prepare.cityscapes import CITYSCAPES
from ssma_core.datasets.prepare.data_set import DataSet
from ssma_core.datasets.prepare.freiburg_forest import FREIBURG_FOREST
from ssma_core.datasets.prepare.goose import GOOSE
from ssma_core.datasets.prepare.mfnet import MFNET
from ssma_core.datasets.prepare.nyuv2 import NYU_V2
from ssma_core.datasets.prepare.rellis3d import RELLIS_3D
from ssma_core.datasets.prepare.scannet import SCANNET
from ssma_core.datasets.prepare.sun_rgbd import SUN_RGBD
from ssma_core.datasets.prepare.synthia import SYNTHIA

# name on the command line: the data set
DATA_SETS: dict[str, DataSet] = {
    "cityscapes": CITYSCAPES,
    "synthia": SYNTHIA,
    "sun-rgbd": SUN_RGBD,
    "scannet": SCANNET,
    "freiburg-forest": FREIBURG_FOREST,
    "goose": GOOSE,
    "rellis3d": RELLIS_3D,
    "mfnet": MFNET,
    "nyuv2": NYU_V2,
}
