"""Trees, bushes and tufts of grass, as polygons."""
from __future__ import annotations

import numpy as np

from ssma_core.synthetic.things.palette import Material
from ssma_core.synthetic.things.sprites import Floats, Polygons, Sun, far_to_near, join, ovals

Rng = np.random.Generator


def directions(rng: Rng, n: int) -> Floats:
    """n×3 unit vectors, uniform over the hemisphere that faces the camera, and slightly beyond."""
    v = rng.normal(size=(n, 3))
    v[:, 2] = np.abs(v[:, 2]) - 0.2
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def foliage(rng: Rng, sun: Sun, material: Material, centres: Floats, radii: Floats, *, leaves: int,
            leaf: float) -> Polygons:
    """Leaves on clumps. centres: m×3 metres (right, up, toward the camera), radii: m metres,
    leaf: metres. Dark between and beneath clumps, light where a clump faces the sun."""
    share = radii ** 2 / (radii ** 2).sum()
    clump = rng.choice(len(radii), size=leaves, p=share)
    normals = directions(rng, leaves)
    reach = radii[clump] * rng.uniform(0.55, 1.12, leaves) ** 0.6
    place = centres[clump] + normals * reach[:, None]
    middle, extent = centres.mean(axis=0), np.ptp(centres, axis=0) / 2 + radii.mean()
    outward = (place - middle) / extent
    depth_inside = np.clip(1.15 - np.linalg.norm(outward, axis=1), 0, 1)
    bent = normals * 0.65 + outward * 0.35 + rng.normal(0, 0.3, (leaves, 3))
    bent /= np.linalg.norm(bent, axis=1, keepdims=True)
    shade = sun.shade(bent, glow=0.35) * (1 - 0.55 * depth_inside)
    shade *= rng.lognormal(0, 0.16, leaves) * rng.normal(1, 0.1, len(radii))[clump]
    shade *= 0.55 + 0.45 * np.clip(reach / radii[clump], 0, 1) ** 2
    tint = 1 + rng.normal(0, 0.06, (leaves, 4)) + rng.normal(0, 0.05, (len(radii), 4))[clump]
    size = leaf * rng.lognormal(0, 0.3, leaves)
    points = ovals(place[:, :2], size, size * rng.uniform(0.35, 0.75, leaves),
                   rng.uniform(0, np.pi, leaves))
    return far_to_near(Polygons(points, np.multiply(material, tint) * shade[:, None], place[:, 2]))


def limb(rng: Rng, sun: Sun, material: Material, start: Floats, end: Floats, *, thick: float,
         thin: float, rough: float = 0.16) -> Polygons:
    """A round, tapering piece of wood from start to end (right, up, toward the camera; metres;
    thick and thin are radii), with flaky bark. rough: how different the flakes are."""
    length = float(np.linalg.norm(end - start))
    across = 14 if thick > 0.06 else 5 if thick > 0.03 else 2
    along = max(2, min(int(length / max(thick * 0.5, 0.09)), 60 if across > 2 else 5))
    u = np.sin(np.linspace(-0.5, 0.5, across + 1) * np.pi)
    t = np.linspace(0, 1, along + 1)
    axis = (end - start)[:2] / max(float(np.linalg.norm((end - start)[:2])), 1e-6)
    side = np.array([axis[1], -axis[0]])
    wobble = np.cumsum(rng.normal(0, rough / 2, along + 1)) * thin
    radius = (thick + (thin - thick) * t) * rng.normal(1, rough / 5, along + 1)
    centre = start[:2] + t[:, None] * (end - start)[:2] + wobble[:, None] * side
    shuffled = u + rng.normal(0, rough * 0.35, (along + 1, across + 1)) * (1 - u ** 2)
    grid = centre[:, None] + (radius[:, None] * shuffled)[..., None] * side
    points = np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], axis=2)
    middle = (u[:-1] + u[1:]) / 2
    normals = np.stack([middle * side[0], middle * side[1] + 0.1, np.sqrt(1 - middle ** 2)], axis=1)
    flakes = rng.lognormal(0, rough, (along + 2, across))
    flakes = (flakes[:-2] + flakes[1:-1] + flakes[2:]) / 3  # long ones, along the wood
    furrows = rng.lognormal(0, rough * 1.2, (1, across))
    shade = np.tile(sun.shade(normals), (along, 1)) * flakes * furrows
    depth = start[2] + t[:-1, None] * (end - start)[2] + radius[:-1, None] * normals[:, 2]
    colour = np.multiply(material, shade[..., None] * rng.normal(1, rough / 3, (along, across, 4)))
    return Polygons(points.reshape(-1, 4, 2), colour.reshape(-1, 4), depth.reshape(-1))


def branches(rng: Rng, sun: Sun, material: Material, start: Floats, heading: Floats, *,
             length: float, thick: float, generations: int) -> list[Polygons]:
    """A branch and the finer ones that grow from it."""
    end = start + heading * length
    grown = [limb(rng, sun, material, start, end, thick=thick, thin=thick * 0.55)]
    if generations == 0:
        return grown
    for _ in range(int(rng.integers(3, 5))):
        at = rng.uniform(0.35, 1.0)
        turned = heading + rng.normal(0, 0.5, 3) + [0, 0.18, 0]
        turned /= np.linalg.norm(turned)
        grown += branches(rng, sun, material, start + heading * length * at, turned,
                          length=length * rng.uniform(0.45, 0.7),
                          thick=thick * (1 - 0.5 * at) * 0.6,
                          generations=generations - 1)
    return grown


def trunk(rng: Rng, sun: Sun, material: Material, height: float, radius: float) -> list[Polygons]:
    """The stem, wider and darker at the foot. height, radius: metres."""
    lean = rng.normal(0, 0.03) * height
    knee = np.array([lean * 0.3, height * 0.06, 0.0])
    top = np.array([lean, height, 0.0])
    foot = limb(rng, sun, tuple(np.multiply(material, 0.7)), np.zeros(3), knee,
                thick=radius * 1.5, thin=radius * 1.08)
    return [foot, limb(rng, sun, material, knee, top, thick=radius * 1.08, thin=radius * 0.45)]


def deciduous(rng: Rng, sun: Sun, leaf_material: Material, bark: Material,
              height: float) -> Polygons:
    """A broad-leaved tree: stem, boughs and a crown of clumps with gaps of sky."""
    radius = height * rng.uniform(0.012, 0.02)
    wood = trunk(rng, sun, bark, height * 0.8, radius)
    base, wide = height * rng.uniform(0.2, 0.4), height * rng.uniform(0.2, 0.3)
    m = int(rng.integers(22, 34))
    level = rng.uniform(0, 1, m)
    bulge = np.sin(np.pi * np.clip(0.15 + 0.85 * level, 0, 1)) ** 0.6
    angle, far = rng.uniform(0, 2 * np.pi, m), np.sqrt(rng.uniform(0.1, 1, m))
    centres = np.stack([np.cos(angle) * far * wide * bulge, base + level * (height * 0.97 - base),
                        np.sin(angle) * far * wide * bulge], axis=1)
    radii = rng.uniform(0.06, 0.13, m) * height
    for centre in centres[:12]:
        start = np.array([0.0, centre[1] * rng.uniform(0.55, 0.8), 0.0])
        wood.append(limb(rng, sun, bark, start, centre, thick=radius * 0.4, thin=radius * 0.12))
    crown = foliage(rng, sun, leaf_material, centres, radii, leaves=6500,
                    leaf=0.02 * height ** 0.75)
    behind = crown.relief < -0.1 * wide
    back = Polygons(crown.points[behind], crown.colour[behind] * 0.75, crown.relief[behind])
    front = Polygons(crown.points[~behind], crown.colour[~behind], crown.relief[~behind])
    return join(back, *wood, front)


def bare(rng: Rng, sun: Sun, leaf_material: Material, bark: Material, height: float) -> Polygons:
    """A tree with only a few leaves: stem, branches, twigs."""
    radius = height * rng.uniform(0.011, 0.017)
    parts = trunk(rng, sun, bark, height * 0.85, radius)
    for _ in range(13):
        at = rng.uniform(0.25, 0.95)
        heading = np.array([rng.normal(0, 0.8), rng.uniform(0.3, 0.9), rng.normal(0, 0.4)])
        heading /= np.linalg.norm(heading)
        parts += branches(rng, sun, bark, np.array([0.0, height * 0.85 * at, 0.0]), heading,
                          length=height * 0.26 * (1.25 - at), thick=radius * (1.1 - at) * 0.7,
                          generations=2)
    n = 500
    centres = np.stack([rng.normal(0, 0.14, n), rng.uniform(0.35, 1, n), rng.normal(0, 0.1, n)], 1)
    last = foliage(rng, sun, leaf_material, centres * height, np.full(n, 0.02 * height), leaves=n,
                   leaf=0.007 * height)
    return join(last, *parts)


def conifer(rng: Rng, sun: Sun, needles: Material, bark: Material, height: float) -> Polygons:
    """A spruce: drooping boughs with hanging twigs, shorter toward the tip."""
    m, n = 110, 5200
    level = 1 - np.sqrt(rng.uniform(0, 1, m))
    length = (1.03 - level) * height * rng.uniform(0.15, 0.24) * rng.uniform(0.6, 1.1, m)
    azimuth, droop = rng.uniform(0, 2 * np.pi, m), rng.uniform(0.2, 0.6, m)
    bough = rng.choice(m, size=n, p=length / length.sum())
    along = rng.uniform(0.02, 1, n) ** 0.75
    reach = along * length[bough]
    aside = rng.normal(0, 0.14, n) * length[bough] * (1.1 - along)
    cos, sin = np.cos(azimuth)[bough], np.sin(azimuth)[bough]
    right, toward = cos * reach - sin * aside, sin * reach + cos * aside
    up = height * (0.07 + 0.91 * level[bough]) - reach * droop[bough] * (1.3 - 0.6 * along)
    up -= np.abs(rng.normal(0, 0.012, n)) * height * (1 - 0.7 * level[bough])
    normals = np.stack([cos, np.full(n, 0.5), sin], 1) + rng.normal(0, 0.3, (n, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    shade = sun.shade(normals, glow=0.1) * (0.25 + 0.75 * along) * rng.lognormal(0, 0.2, n)
    shade *= rng.normal(1, 0.12, m)[bough]
    size = rng.uniform(0.012, 0.032, n) * height * (1.05 - 0.5 * level[bough])
    points = ovals(np.stack([right, up], 1), size, size * 0.3,
                   np.where(right > 0, -0.6, np.pi + 0.6) + rng.normal(0, 0.45, n))
    colour = np.multiply(needles, shade[:, None] * rng.normal(1, 0.06, (n, 4)))
    boughs = far_to_near(Polygons(points, colour, toward))
    return join(*trunk(rng, sun, bark, height * 0.9, height * 0.014), boughs)


def bush(rng: Rng, sun: Sun, material: Material, height: float, wide: float) -> Polygons:
    """A bush, wide metres across, leafy to the ground."""
    m = int(rng.integers(14, 26))
    across = rng.normal(0, 0.22, m).clip(-0.42, 0.42) * wide
    top = 1 - (across / (0.55 * wide)) ** 2
    centres = np.stack([across, rng.uniform(0.12, 0.8, m) * top * height,
                        rng.normal(0, 0.2, m) * wide], axis=1)
    radii = rng.uniform(0.09, 0.22, m) * height
    return foliage(rng, sun, material, centres, radii, leaves=2800, leaf=0.052 * height ** 0.6)


def tuft(rng: Rng, sun: Sun, material: Material, dry: Material, height: float, *, wide: float,
         blades: int) -> Polygons:
    """Grass: bent blades from the ground, dark at the foot and dry at some tips."""
    foot = np.stack([rng.normal(0, 0.2, blades) * wide, np.zeros(blades)], 1)
    lean = rng.normal(0, 0.45, blades) + foot[:, 0] / wide
    tall = height * rng.uniform(0.35, 1.0, blades) * np.exp(-2.5 * (foot[:, 0] / wide) ** 2)
    joint = foot + np.stack([lean * tall * 0.35, tall * 0.62], 1)
    tip = foot + np.stack([lean * tall, tall * rng.uniform(0.8, 1.05, blades)], 1)
    half = np.stack([rng.uniform(0.004, 0.011, blades), np.zeros(blades)], 1)
    lower = np.stack([foot - half, foot + half, joint + half, joint - half], 1)
    upper = np.stack([joint - half, joint + half, tip, tip], 1)
    age = rng.beta(1.2, 2.5, (blades, 1))
    colour = (np.multiply(material, 1 - age) + np.multiply(dry, age)) * rng.lognormal(
        0, 0.18, (blades, 1)) * (sun.ambient + 0.6 * sun.direct)
    toward = rng.normal(0, 0.12, blades) * wide
    blade = np.stack([lower, upper], 1).reshape(-1, 4, 2)
    tones = np.stack([colour * 0.62, colour * 1.08], 1).reshape(-1, 4)
    return far_to_near(Polygons(blade, tones, np.repeat(toward, 2)))
