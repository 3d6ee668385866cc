"""What kind of place a drive leads through: its grounds, and what stands along the trail."""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ssma_core.synthetic.things import palette
from ssma_core.synthetic.things.palette import Material, Palette

# Soil and the stones on it; None leaves the season's own.
TRAILS: dict[str, tuple[Material, Material] | None] = {
    "earth": None,
    "gravel": ((128, 138, 146, 92), (160, 168, 174, 104)),
    "limestone": ((172, 186, 194, 138), (188, 200, 206, 148)),
    "sand": ((118, 158, 188, 134), (140, 178, 204, 146)),
    "litter": ((46, 68, 96, 96), (56, 80, 108, 110)),
    "mud": ((44, 56, 70, 46), (62, 72, 84, 56)),
    "asphalt": ((94, 93, 92, 66), (112, 112, 110, 78)),
    "snow": ((226, 220, 216, 176), (208, 202, 198, 160))}
TRAIL_SHARES = (0.26, 0.17, 0.1, 0.1, 0.1, 0.07, 0.15, 0.05)
# Grass and its dry tips. The floor of a wood is no class of its own: who labels it leaves it void.
BESIDE: dict[str, tuple[Material, Material] | None] = {
    "grass": None,
    "meadow": ((70, 126, 122, 190), (96, 152, 164, 172)),
    "straw": ((84, 134, 146, 168), (104, 158, 176, 176)),
    "floor": ((44, 70, 100, 112), (62, 94, 128, 132)),
    "snow": ((204, 206, 200, 190), (226, 220, 214, 182))}
BESIDE_SHARES = (0.56, 0.16, 0.13, 0.15)  # without snow, which lies on both or on none
ROWS = ("hedge", "herbage", "wall", "shrubs")


@dataclass(frozen=True)
class Row:
    """Things of a kind along one side (-1 left, 1 right) of the trail, `aside` metres from its
    edge, in a share of its pieces."""

    kind: str
    side: int
    aside: float
    share: float


@dataclass(frozen=True)
class Surroundings:
    """trail, beside: keys of TRAILS and BESIDE. width: of the trail, metres. clearing: metres to
    the first trees. trees, bushes, tufts: factors on their number. strip: half the width in metres
    of grass between the wheels, 0 for none. ragged: of the trail's edge, 0–1. rows: along the
    trail. built: mean number of buildings, cars and lamp posts in a piece of trail. crowd: mean
    number of people beyond the forest's own. dapples: share of the light that crowns take."""

    trail: str
    beside: str
    width: float
    clearing: float
    trees: float
    bushes: float
    tufts: float
    strip: float
    ragged: float
    rows: tuple[Row, ...]
    built: float
    crowd: float
    dapples: float


def surroundings_of(seed: int) -> Surroundings:
    """The place of the drive with this seed."""
    rng = np.random.default_rng([seed, 6])
    u = rng.uniform
    trail = str(rng.choice(list(TRAILS), p=TRAIL_SHARES))
    beside = "snow" if trail == "snow" else str(rng.choice(list(BESIDE)[:-1], p=BESIDE_SHARES))
    built = float(u(0.5, 1.6)) if rng.random() < (0.8 if trail == "asphalt" else 0.3) else 0.0
    open_land, closed = (rng.random(2) < (0.3, 0.35)).tolist()
    closed = closed and not built and not open_land
    width = float(u(2.5, 6.5) if trail == "asphalt" else np.exp(u(np.log(1.0), np.log(5.0))))
    two_wheels = width > 2.2 and trail != "asphalt" and rng.random() < 0.4
    return Surroundings(
        trail=trail, beside=beside, width=width,
        clearing=float(u(0.3, 3) if closed else u(0.5, 14)),
        trees=float(u(1.5, 2.6) if closed else u(0.05, 0.4) if open_land or built
                    else u(0.4, 1.5)),
        bushes=float(u(0.1, 0.6) if beside == "floor" else u(0.3, 1.6)),
        tufts=float({"floor": u(0.0, 0.2), "snow": u(0.1, 0.4)}.get(beside, u(0.15, 1.3))),
        strip=float(u(0.2, 0.45)) if two_wheels else 0.0,
        ragged=float(u(0.0, 0.25) if trail == "asphalt" else u(0.4, 1.0)),
        rows=tuple(_row(rng, side, bool(built)) for side in (-1, 1) if rng.random() < 0.42),
        built=built, crowd=float(u(0, 1.2) if rng.random() < 0.5 else 0.0),
        dapples=float(u(0.3, 0.75) if rng.random() < 0.4 else 0.0))


def _row(rng: np.random.Generator, side: int, built: bool) -> Row:
    shares = (0.2, 0.2, 0.5, 0.1) if built else (0.2, 0.5, 0.05, 0.25)
    return Row(str(rng.choice(ROWS, p=shares)), side, float(0.2 + rng.exponential(1.2)),
               float(rng.uniform(0.5, 1)))


def coloured(rng: np.random.Generator, place: Surroundings) -> Palette:
    """A season's colours, with the place's own ground."""
    season = palette.draw(rng)

    def vary(material: Material) -> Material:
        tint = rng.normal(1, [0.06, 0.03, 0.06, 0.06]) * rng.normal(1, 0.1)
        return tuple(float(v) for v in np.clip(np.multiply(material, tint), 8, 250))  # type: ignore

    trail, beside = TRAILS[place.trail], BESIDE[place.beside]
    if trail is not None:
        season = replace(season, soil=vary(trail[0]), gravel=vary(trail[1]))
    if beside is not None:
        season = replace(season, grass=vary(beside[0]), dry_grass=vary(beside[1]))
    covered = {"litter": 4.0, "floor": 3.0, "snow": 0.1}
    return replace(season, litter_cover=season.litter_cover * max(
        covered.get(place.trail, 0.4), covered.get(place.beside, 0.4)))
