"""Weather: its effects on the light, the air and the lens."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ssma_core.synthetic.things.sprites import Sun

WEATHERS = ("clear", "glare", "shadows", "dusk", "fog", "smeared")
SHARES = (0.4, 0.14, 0.14, 0.12, 0.12, 0.08)


@dataclass(frozen=True)
class Weather:
    """azimuth, elevation: of the sun, radians, azimuth from straight ahead to the right.
    direct, ambient: strengths of sun and sky. shadow: how dark cast shadows are, 0–1; soft: their
    blur in metres. haze: share of light lost per metre; haze_colour: (blue, green, red).
    cloud: cover, 0–1. gain: exposure; cast: (blue, green, red) factors; noise: grey levels.
    glare: strength of the sun's bloom; grease: share of the lens that is smeared."""

    name: str
    azimuth: float
    elevation: float
    direct: float
    ambient: float
    shadow: float
    soft: float
    haze: float
    haze_colour: tuple[float, float, float]
    cloud: float
    gain: float
    cast: tuple[float, float, float]
    noise: float
    glare: float
    grease: float

    @property
    def sun(self) -> Sun:
        """The sun in the coordinates of billboards that face the start of the trail."""
        level = np.cos(self.elevation)
        return Sun((float(np.sin(self.azimuth) * level), float(np.sin(self.elevation)),
                    float(-np.cos(self.azimuth) * level)), self.direct, self.ambient)


def draw(rng: np.random.Generator, name: str) -> Weather:
    """The weather of one drive; name: one of WEATHERS."""
    side = float(rng.choice((-1, 1)))
    u = rng.uniform
    clear: dict[str, Any] = dict(
        azimuth=u(-np.pi, np.pi), elevation=u(0.5, 1.1), direct=u(0.5, 0.8), ambient=u(0.42, 0.6),
        shadow=u(0.25, 0.55), soft=u(0.1, 0.5), haze=u(0.002, 0.007), haze_colour=(208, 200, 190),
        cloud=u(0.1, 1.0), gain=u(0.95, 1.6), cast=tuple(rng.normal(1, 0.035, 3)),
        noise=u(1.0, 2.5), glare=0.0, grease=0.0)
    change: dict[str, dict[str, Any]] = {
        "clear": {},
        "glare": dict(azimuth=u(-0.45, 0.45), elevation=u(0.16, 0.42), direct=u(0.5, 0.75),
                      ambient=u(0.26, 0.4), shadow=u(0.45, 0.7), soft=0.12, haze=u(0.005, 0.012),
                      haze_colour=(205, 222, 235), cloud=u(0.1, 0.8), gain=u(0.45, 0.85),
                      cast=(0.9, 0.98, 1.06), noise=u(1.5, 3), glare=u(0.8, 1.3)),
        "shadows": dict(azimuth=side * u(1.0, 2.2), elevation=u(0.2, 0.5), direct=u(0.8, 1.05),
                        ambient=u(0.24, 0.34), shadow=u(0.62, 0.8), soft=0.06, cloud=u(0.0, 0.4),
                        cast=(0.92, 1.0, 1.06), gain=u(1.0, 1.5)),
        "dusk": dict(elevation=0.08, direct=u(0.05, 0.15), ambient=u(0.5, 0.6), shadow=0.1,
                     soft=0.8, haze_colour=(150, 130, 140), cloud=u(0.2, 1.0), gain=u(0.22, 0.42),
                     cast=(u(0.95, 1.3), 0.95, u(0.85, 1.15)), noise=u(6, 12)),
        "fog": dict(direct=u(0.05, 0.15), ambient=u(0.6, 0.75), shadow=0.05, soft=1.0,
                    haze=u(0.11, 0.21), haze_colour=(205, 206, 204), cloud=1.0, gain=u(0.65, 0.95),
                    noise=u(1.5, 3)),
        "smeared": dict(grease=u(0.25, 0.6)),
    }
    return Weather(name=name, **(clear | change[name]))
