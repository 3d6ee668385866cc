"""Seasons: the colour and the near-infrared brightness of each material."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Material = tuple[float, float, float, float]  # blue, green, red, near infrared; 0–255


@dataclass(frozen=True)
class Palette:
    """The materials of one drive. leaves: several kinds, from which trees and bushes choose.
    bare: share of the deciduous trees without leaves."""

    leaves: tuple[Material, ...]
    conifer: Material
    bark: tuple[Material, ...]
    grass: Material
    dry_grass: Material
    soil: Material
    gravel: Material
    litter: tuple[Material, ...]
    bare: float
    litter_cover: float


BARK = ((48, 58, 70, 88), (66, 74, 82, 96), (38, 44, 52, 74), (110, 118, 122, 120))

SEASONS = {
    "summer": Palette(
        leaves=((38, 96, 66, 222), (34, 84, 60, 208), (46, 112, 88, 232), (32, 76, 66, 200)),
        conifer=(42, 66, 50, 172), bark=BARK, grass=(52, 118, 92, 215),
        dry_grass=(86, 138, 142, 170), soil=(82, 104, 128, 72), gravel=(136, 148, 158, 86),
        litter=((58, 82, 112, 120), (70, 96, 108, 130)), bare=0.03, litter_cover=0.25),
    "autumn": Palette(
        leaves=((28, 104, 150, 190), (26, 84, 156, 178), (36, 112, 122, 200), (34, 66, 118, 165)),
        conifer=(40, 62, 50, 165), bark=BARK, grass=(52, 108, 98, 190),
        dry_grass=(74, 116, 136, 150), soil=(64, 84, 108, 68), gravel=(118, 128, 140, 82),
        litter=((34, 92, 156, 165), (38, 70, 128, 150), (44, 112, 168, 170)), bare=0.2,
        litter_cover=0.9),
    "spring": Palette(
        leaves=((52, 100, 104, 168), (58, 88, 98, 150), (50, 116, 106, 185), (60, 82, 90, 140)),
        conifer=(40, 60, 48, 160), bark=BARK, grass=(62, 106, 102, 168),
        dry_grass=(84, 116, 132, 150), soil=(88, 102, 122, 74), gravel=(142, 148, 156, 88),
        litter=((66, 86, 110, 125), (78, 96, 116, 130)), bare=0.6, litter_cover=0.5),
}


def draw(rng: np.random.Generator) -> Palette:
    """A random season with slightly varied colours, because no two forests are alike."""
    base = SEASONS[str(rng.choice(list(SEASONS), p=[0.5, 0.25, 0.25]))]

    def vary(material: Material) -> Material:
        tint = rng.normal(1.0, [0.07, 0.05, 0.07, 0.05]) * rng.normal(1.0, 0.06)
        return tuple(float(v) for v in np.clip(np.multiply(material, tint), 8, 250))  # type: ignore

    return Palette(
        leaves=tuple(vary(m) for m in base.leaves), conifer=vary(base.conifer),
        bark=tuple(vary(m) for m in base.bark), grass=vary(base.grass),
        dry_grass=vary(base.dry_grass), soil=vary(base.soil), gravel=vary(base.gravel),
        litter=tuple(vary(m) for m in base.litter), bare=base.bare,
        litter_cover=base.litter_cover * float(rng.uniform(0.5, 1.2)))
