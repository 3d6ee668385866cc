"""Rocks, fallen trunks and people, as polygons."""
from __future__ import annotations

import numpy as np

from ssma_core.synthetic.things.palette import Material, Palette
from ssma_core.synthetic.things.plants import Rng, directions, limb
from ssma_core.synthetic.things.sprites import Floats, Polygons, Sun, far_to_near, join, ovals

SKIN: Material = (120, 150, 200, 165)


def rock(rng: Rng, sun: Sun, palette: Palette, wide: float) -> Polygons:
    """A boulder of facets, sometimes with moss on top. wide: metres."""
    n = 900
    lumps = rng.normal(size=(5, 3))
    normals = directions(rng, n)
    bulge = 1 + 0.16 * np.sin(normals @ lumps.T * 2.2).sum(axis=1) / 2
    place = normals * bulge[:, None] * np.array([0.5, 0.38, 0.45]) * wide
    place[:, 1] += 0.16 * wide
    facet = np.round(normals * 2.2 + rng.normal(0, 0.12, (n, 3)))
    facet = facet / np.maximum(np.linalg.norm(facet, axis=1, keepdims=True), 1e-6)
    grey = np.array([136, 142, 146, 108]) * rng.uniform(0.7, 1.15)
    moss = (normals[:, 1] + rng.normal(0, 0.25, n)) > rng.uniform(0.6, 1.4)
    base = np.where(moss[:, None], np.multiply(palette.grass, 0.7), grey)
    shade = sun.shade(facet * 0.7 + normals * 0.3) * rng.lognormal(0, 0.1, n)
    shade *= 0.45 + 0.55 * np.clip(place[:, 1] / (0.25 * wide), 0, 1)
    size = wide * rng.uniform(0.06, 0.16, n)
    points = ovals(place[:, :2], size, size * 0.8, rng.uniform(0, np.pi, n))
    return far_to_near(Polygons(points, base * shade[:, None], place[:, 2]))


def log(rng: Rng, sun: Sun, palette: Palette, length: float) -> Polygons:
    """A fallen stem with a visible cut end; about half of them have no bark. length: metres."""
    bare: Material = (104, 138, 162, 140)
    kinds = (*palette.bark, bare, bare, bare)
    bark = kinds[int(rng.integers(len(kinds)))]
    radius = rng.uniform(0.16, 0.34)
    left, right = np.array([-length / 2, radius, 0]), np.array([length / 2, radius * 0.9, 0])
    stem = limb(rng, sun, bark, left, right, thick=radius, thin=radius * 0.8)
    end = right[:2] - [0.02, 0]
    cut = cut_end(sun, bark, end, (0.45 * radius, 0.8 * radius), toward=radius, bright=0.8)
    stubs = [limb(rng, sun, bark, np.array([x, radius, 0.0]),
                  np.array([x + rng.normal(0, 0.15), radius + rng.uniform(0.2, 0.5), 0.0]),
                  thick=0.04, thin=0.02)
             for x in rng.uniform(-0.4, 0.3, 2) * length]
    return join(*stubs, stem, cut)


def cut_end(sun: Sun, bark: Material, centre: Floats, radii: tuple[float, float], *, toward: float,
            bright: float) -> Polygons:
    """The end of a sawn stem: bark around rings of pale wood. centre, radii: right, up; metres."""
    rings = np.linspace(1, 0.15, 6)
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1) * radii
    points = centre + rings[:, None, None] * circle
    tone = np.multiply((120, 158, 188, 150), (0.95 + 0.1 * (np.arange(6) % 2))[:, None])
    tone[0] = bark
    return Polygons(points, tone * bright * (sun.ambient + 0.5 * sun.direct), np.full(6, toward))


def ball(rng: Rng, sun: Sun, material: Material, centre: Floats,
         radii: tuple[float, float, float]) -> Polygons:
    """A rounded body in patches. centre, radii: right, up, toward the camera; metres."""
    n = 420
    normals = directions(rng, n)
    place = centre + normals * radii
    size = max(radii) * rng.uniform(0.2, 0.4, n)
    points = ovals(place[:, :2], size * radii[1] / max(radii), size * radii[0] / max(radii),
                   np.full(n, np.pi / 2) + rng.normal(0, 0.3, n))
    shade = sun.shade(normals) * rng.lognormal(0, 0.05, n)
    return far_to_near(Polygons(points, np.multiply(material, shade[:, None]), place[:, 2]))


def person(rng: Rng, sun: Sun, height: float) -> Polygons:
    """A walking person, seen from behind or ahead; some wear colours of the forest. height: metres.
    """
    coats: tuple[Material, ...] = (
        (52, 82, 66, 150), (48, 66, 84, 130), (130, 76, 44, 90), (44, 46, 130, 175),
        (50, 50, 52, 70), (56, 160, 185, 210), (36, 118, 232, 190), (190, 148, 84, 120))
    trousers: tuple[Material, ...] = ((84, 64, 52, 110), (44, 46, 50, 65), (70, 92, 104, 140))
    coat = coats[int(rng.integers(len(coats)))]
    legs = trousers[int(rng.integers(len(trousers)))]
    step, swing = rng.uniform(0.0, 0.05), rng.uniform(-0.04, 0.04)

    def part(material: Material, x0: float, y0: float, x1: float, y1: float, *, r0: float,
             r1: float, toward: float = 0.0) -> Polygons:
        return limb(rng, sun, material, np.array([x0, y0, toward]) * height,
                    np.array([x1, y1, toward]) * height, thick=r0 * height, thin=r1 * height,
                    rough=0.045)

    def body(material: Material, x: float, y: float, toward: float,
             *radii: float) -> Polygons:
        return ball(rng, sun, material, np.array([x, y, toward]) * height,
                    tuple(r * height for r in radii))  # type: ignore[arg-type]

    shoe: Material = (34, 40, 48, 60)
    far_leg = [part(legs, 0.05 + step / 2, 0.04 + step, 0.047, 0.28, r0=0.026, r1=0.038),
               part(legs, 0.047, 0.26, 0.042, 0.5, r0=0.038, r1=0.052),
               body(shoe, 0.052 + step / 2, 0.03 + step, 0.0, 0.03, 0.022, 0.05)]
    near_leg = [part(legs, -0.052, 0.03, -0.048, 0.27, r0=0.027, r1=0.039, toward=0.03),
                part(legs, -0.048, 0.26, -0.04, 0.5, r0=0.039, r1=0.053, toward=0.03),
                body(shoe, -0.054, 0.02, 0.04, 0.031, 0.023, 0.05)]
    arms = [piece for side in (-1, 1) for piece in (
        part(coat, side * 0.135 + swing, 0.47, side * 0.14, 0.63, r0=0.022, r1=0.029),
        part(coat, side * 0.14, 0.62, side * 0.108, 0.79, r0=0.029, r1=0.036),
        body(SKIN, side * 0.135 + swing, 0.45, 0.01, 0.018, 0.03, 0.02))]
    trunk = [part(SKIN, 0, 0.8, 0, 0.88, r0=0.03, r1=0.03),
             body(coat, 0, 0.55, 0.01, 0.1, 0.11, 0.07),
             body(coat, 0, 0.67, 0.02, 0.112, 0.165, 0.07)]
    head = [body(SKIN, 0, 0.915, 0.02, 0.043, 0.06, 0.05),
            body((34, 42, 56, 90), 0, 0.945, 0.022, 0.047, 0.045, 0.05)]
    pack = [body(coats[int(rng.integers(len(coats)))], 0, 0.68, 0.09, 0.085, 0.115, 0.06)]
    return join(*far_leg, *near_leg, *arms, *trunk, *head, *(pack if rng.random() < 0.5 else []))
