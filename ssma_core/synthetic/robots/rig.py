"""The cameras of one robot: how they are mounted and how each of them errs. One rig a drive."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator
KINDS = ("stereo", "active stereo", "time of flight", "lidar", "dense")
SHARES = (0.36, 0.16, 0.1, 0.24, 0.14)  # of the drives, in the order of KINDS
FARTHEST_REACH = 65.0  # metres: 16 bits of millimetres hold no more
REACH = {"stereo": (3, 60), "active stereo": (3, 10), "time of flight": (3, 8),
         "lidar": (25, 65), "dense": (15, 65)}  # metres, least and greatest


@dataclass(frozen=True)
class Mounting:
    """height: metres above the ground. pitch: radians, positive looks down. roll: radians.
    across: horizontal field of view before distortion, radians. distortion: relative displacement
    at the picture's corner; positive is barrel, negative pincushion. aside: metres to the right of
    the trail's middle. heading: radians to the right of the trail's direction."""

    height: float
    pitch: float
    roll: float
    across: float
    distortion: float
    aside: float
    heading: float


@dataclass(frozen=True)
class ColourFaults:
    """exposure: factor before the tone curve. balance: factors (blue, green, red). gamma: exponent
    after the tone curve. saturation: 0 is grey, 1 as it comes. blur: the longest motion blur, a
    share of the width. noise: factor on the weather's. quality: of the JPEG, 0–100."""

    exposure: float
    balance: tuple[float, float, float]
    gamma: float
    saturation: float
    blur: float
    noise: float
    quality: int


@dataclass(frozen=True)
class InfraredFaults:
    """gain: factor. gamma: exponent. black: grey level of black. vignette: light lost at the left
    and right border, 0–1. sky: brightness factor of the sky. shift: (right, down) misregistration,
    a share of the width. turn: radians by which the camera is turned about its axis; what its own
    picture does not cover is 0. missing: probability that about half a frame is 0."""

    gain: float
    gamma: float
    black: float
    vignette: float
    sky: float
    shift: tuple[float, float]
    turn: float
    missing: float


@dataclass(frozen=True)
class DepthCamera:
    """kind: one of KINDS. least, reach: metres; nothing comes back from nearer or farther.
    noise: standard deviation, a share of the distance (stereo: pixels of 768 across).
    speckle: share of pixels that small holes take. shift: (right, down) misregistration, a share
    of the width. scale, offset: measured = scale · true + offset (metres).

    Stereo alone. baseline: metres. steps: of disparity a pixel of 768 across. other_eye: -1 left,
    1 right of this camera. bleed: how far near things grow, a share of the width. smooth: how
    easily surfaces without texture are lost, 0–1.
    LiDAR alone. lines; lowest, highest: their elevations, radians. turn: radians between the
    points of a line. thick: height of a point, a share of the width. filled: whether the gaps
    between the lines are interpolated."""

    kind: str
    least: float
    reach: float
    noise: float
    speckle: float
    shift: tuple[float, float]
    scale: float
    offset: float
    baseline: float = 0.12
    steps: int = 16
    other_eye: int = 1
    bleed: float = 0.0
    smooth: float = 0.0
    lines: int = 64
    lowest: float = -0.4
    highest: float = 0.2
    turn: float = 0.003
    thick: float = 0.0
    filled: bool = False


@dataclass(frozen=True)
class Rig:
    mounting: Mounting
    colour: ColourFaults
    infrared: InfraredFaults
    depth: DepthCamera


def rig_of(seed: int, aspect: float = 2.0) -> Rig:
    """The robot of the drive with this seed. aspect: width / height of its pictures."""
    rng = np.random.default_rng([seed, 5])
    return Rig(_mounting(rng, aspect), _colour(rng), _infrared(rng), depth_camera(rng))


def _mounting(rng: Rng, aspect: float) -> Mounting:
    u = rng.uniform
    across = np.radians(u(50, 110))
    half_high = np.arctan(np.tan(across / 2) / aspect)
    # A camera that shows nothing but ground teaches little: the horizon stays in view.
    pitch = np.radians(u(-5, 25))
    pitch = float(np.clip(pitch, -0.4 * half_high, 0.75 * half_high))
    astray = rng.random() < 0.35
    return Mounting(
        height=float(np.exp(u(np.log(0.3), np.log(2.0)))), pitch=pitch,
        roll=float(np.radians(np.clip(rng.normal(0, 1.5), -5, 5))), across=float(across),
        distortion=float(u(-0.05, 0.12)) if rng.random() < 0.6 else 0.0,
        aside=float(u(-4, 4) if astray else rng.normal(0, 0.4)),
        heading=float(rng.normal(0, 0.22 if astray else 0.06)))


def _colour(rng: Rng) -> ColourFaults:
    u = rng.uniform
    blue, green, red = (float(v) for v in np.exp(rng.normal(0, (0.1, 0.04, 0.1))))
    return ColourFaults(
        exposure=float(2 ** np.clip(rng.normal(0.0, 0.55), -1.3, 1.2)), balance=(blue, green, red),
        gamma=float(np.exp(u(-0.35, 0.35))),
        saturation=float(u(0.25, 0.8) if rng.random() < 0.3 else u(0.8, 1.25)),
        blur=float(u(0.003, 0.018)) if rng.random() < 0.4 else 0.0,
        noise=float(np.exp(u(-0.5, 1.1))), quality=int(rng.integers(40, 96)))


def _infrared(rng: Rng) -> InfraredFaults:
    u = rng.uniform
    apart = rng.random() < 0.5
    return InfraredFaults(
        gain=float(np.exp(u(-0.4, 0.5))), gamma=float(np.exp(u(-0.8, 0.35))),
        black=float(u(0, 40)) if rng.random() < 0.4 else 0.0, vignette=float(u(0, 0.55)),
        sky=float(np.exp(u(-1.2, 0.9))), shift=_shift(rng) if apart else (0.0, 0.0),
        turn=float(np.radians(u(-9, 9))) if rng.random() < 0.25 else 0.0,
        missing=float(u(0.1, 0.5)) if rng.random() < 0.3 else 0.0)


def _shift(rng: Rng) -> tuple[float, float]:
    return float(rng.uniform(-0.01, 0.01)), float(rng.uniform(-0.005, 0.005))


def depth_camera(rng: Rng, kind: str | None = None) -> DepthCamera:
    """A depth camera of this kind, or of one that is drawn."""
    u = rng.uniform
    kind = kind or str(rng.choice(KINDS, p=SHARES))
    least, greatest = REACH[kind]
    active = kind == "active stereo"
    lines = int(rng.choice((16, 32, 64, 128)))
    return DepthCamera(
        kind=kind, least=float(u(0.1, 0.5)), reach=float(np.exp(u(*np.log((least, greatest))))),
        noise=float({"stereo": u(0.05, 0.25), "active stereo": u(0.08, 0.3),
                     "time of flight": u(0.004, 0.015), "lidar": u(0.0005, 0.003),
                     "dense": u(0, 0.004)}[kind]),
        speckle=float(u(0, 0.02) if kind == "dense" else u(0.0, 0.22)),
        shift=_shift(rng) if rng.random() < 0.4 else (0.0, 0.0),
        scale=float(u(0.97, 1.03)), offset=float(u(-0.04, 0.04)),
        baseline=float(u(0.045, 0.1) if active else u(0.06, 0.2)),
        steps=int(rng.choice((1, 2, 4, 8, 16, 32))), other_eye=int(rng.choice((-1, 1, 1))),
        bleed=float(u(0.0, 0.009)), smooth=float(u(0, 1)), lines=lines,
        lowest=float(np.radians(u(-25, -14) if lines < 64 else u(-45, -18))),
        highest=float(np.radians(u(2, 12) if lines < 64 else u(3, 40))),
        turn=float(np.radians(u(0.08, 0.4))), thick=float(u(0.001, 0.005)),
        filled=bool(rng.random() < 0.45))
