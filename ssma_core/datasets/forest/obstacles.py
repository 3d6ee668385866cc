"""Rocks, posts, signs, logs and people as heaps of stamps."""
from __future__ import annotations

import numpy as np

from ssma_core.datasets.forest.palette import Material, Palette
from ssma_core.datasets.forest.plants import Rng, directions, limb
from ssma_core.datasets.forest.sprites import Stamps, Sun, far_to_near, join, ovals

SKIN: Material = (120, 150, 200, 165)


def rock(rng: Rng, sun: Sun, palette: Palette, wide: float) -> Stamps:
    """A boulder of facets, moss on top now and then. wide: metres."""
    n = 900
    lumps = rng.normal(size=(5, 3))
    normals = directions(rng, n)
    bulge = 1 + 0.16 * np.sin(normals @ lumps.T * 2.2).sum(axis=1) / 2
    place = normals * bulge[:, None] * np.array([0.5, 0.38, 0.45]) * wide
    place[:, 1] += 0.16 * wide
    facet = np.round(normals * 2.2 + rng.normal(0, 0.12, (n, 3)))
    facet = facet / np.maximum(np.linalg.norm(facet, axis=1, keepdims=True), 1e-6)
    grey = np.array([118, 124, 130, 100]) * rng.uniform(0.6, 1.1)
    moss = (normals[:, 1] + rng.normal(0, 0.25, n)) > rng.uniform(0.4, 1.2)
    base = np.where(moss[:, None], np.multiply(palette.grass, 0.7), grey)
    shade = sun.shade(facet * 0.7 + normals * 0.3) * rng.lognormal(0, 0.1, n)
    shade *= 0.45 + 0.55 * np.clip(place[:, 1] / (0.25 * wide), 0, 1)
    size = wide * rng.uniform(0.06, 0.16, n)
    points = ovals(place[:, :2], size, size * 0.8, rng.uniform(0, np.pi, n))
    return far_to_near(Stamps(points, base * shade[:, None], place[:, 2]))


def post(rng: Rng, sun: Sun, palette: Palette, height: float) -> Stamps:
    """A post of raw wood, or painted: green ones are hard to tell from leaves."""
    paints: tuple[Material, ...] = (palette.bark[1], palette.bark[3], (58, 84, 62, 80),
                                    (170, 175, 178, 130), (40, 60, 150, 150))
    radius = rng.uniform(0.05, 0.09)
    stem = limb(rng, sun, paints[int(rng.integers(len(paints)))], np.zeros(3),
                np.array([rng.normal(0, 0.03), height, 0]), radius, radius * 0.95)
    band = limb(rng, sun, (60, 70, 190, 160), np.array([0, height * 0.8, 0.01]),
                np.array([0, height * 0.88, 0.01]), radius * 1.05, radius * 1.05)
    return join(stem, band) if rng.random() < 0.4 else stem


def sign(rng: Rng, sun: Sun, palette: Palette, height: float) -> Stamps:
    """A board on two legs."""
    legs = [limb(rng, sun, palette.bark[0], np.array([x, 0, 0]), np.array([x, height, 0]), 0.05, 0.05)
            for x in (-0.45, 0.45)]
    board = limb(rng, sun, (72, 96, 104, 110), np.array([-0.6, height * 0.72, 0.05]),
                 np.array([0.6, height * 0.72, 0.05]), 0.32, 0.32)
    sheet = limb(rng, sun, (168, 182, 186, 150), np.array([-0.48, height * 0.72, 0.06]),
                 np.array([0.48, height * 0.72, 0.06]), 0.24, 0.24)
    return join(*legs, board, sheet)


def log(rng: Rng, sun: Sun, palette: Palette, length: float) -> Stamps:
    """A fallen stem, its cut end showing."""
    bark = palette.bark[int(rng.integers(len(palette.bark)))]
    radius = rng.uniform(0.13, 0.24)
    left, right = np.array([-length / 2, radius, 0]), np.array([length / 2, radius * 0.9, 0])
    stem = limb(rng, sun, bark, left, right, radius, radius * 0.8)
    end = right[:2] - [0.02, 0]
    rings = np.linspace(1, 0.15, 6)
    points = ovals(np.repeat(end[None], 6, 0), 1.6 * radius * rings, 0.9 * radius * rings,
                   np.full(6, np.pi / 2))
    tone = np.multiply((120, 158, 188, 150), (0.75 + 0.08 * (np.arange(6) % 2))[:, None])
    cut = Stamps(points, tone * (sun.ambient + 0.5 * sun.direct), np.full(6, radius))
    stubs = [limb(rng, sun, bark, np.array([x, radius, 0.0]),
                  np.array([x + rng.normal(0, 0.15), radius + rng.uniform(0.2, 0.5), 0.0]), 0.04, 0.02)
             for x in rng.uniform(-0.4, 0.3, 2) * length]
    return join(*stubs, stem, cut)


def person(rng: Rng, sun: Sun, height: float) -> Stamps:
    """Somebody walking, seen from behind or ahead; some wear the forest's own colours."""
    coats: tuple[Material, ...] = ((52, 82, 66, 150), (48, 66, 84, 130), (160, 90, 40, 90),
                                   (40, 44, 160, 175), (50, 50, 52, 70), (60, 190, 215, 210))
    trousers: tuple[Material, ...] = ((96, 70, 52, 110), (44, 46, 50, 65), (70, 96, 110, 140))
    coat = coats[int(rng.integers(len(coats)))]
    legs = trousers[int(rng.integers(len(trousers)))]
    h, step = height, rng.uniform(0.05, 0.11)

    def part(material: Material, x0: float, y0: float, x1: float, y1: float, r0: float, r1: float,
             toward: float = 0.0) -> Stamps:
        return limb(rng, sun, material, np.array([x0, y0, toward]) * h,
                    np.array([x1, y1, toward]) * h, r0 * h, r1 * h)

    pieces = [
        part(legs, step, 0.02, 0.04, 0.27, 0.032, 0.042),
        part(legs, 0.04, 0.26, 0.035, 0.5, 0.042, 0.055),
        part(legs, -step, 0.0, -0.045, 0.26, 0.032, 0.042, 0.02),
        part(legs, -0.045, 0.25, -0.035, 0.5, 0.042, 0.055, 0.02),
        part(coat, -0.12, 0.5, -0.1, 0.8, 0.028, 0.036),
        part(coat, 0.13, 0.5, 0.1, 0.8, 0.028, 0.036),
        part(coat, 0.0, 0.46, 0.0, 0.83, 0.088, 0.105, 0.04),
        part(SKIN, 0.0, 0.83, 0.0, 0.88, 0.03, 0.03),
        part(SKIN, 0.0, 0.865, 0.0, 0.95, 0.044, 0.05, 0.03),
        part((34, 42, 56, 90), 0.0, 0.93, 0.0, 0.99, 0.052, 0.034, 0.04)]
    if rng.random() < 0.5:
        pieces.append(part(coats[int(rng.integers(len(coats)))], 0.0, 0.55, 0.0, 0.8, 0.075, 0.07, 0.1))
    return join(*pieces)
