"""Measures what the registration of the second camera costs, on one thread, and how near a found
homography is to a known one.

    OMP_NUM_THREADS=1 python benchmarks/registration.py [FOLDER]

FOLDER: real pairs in rgb/ and nir/, to find a known homography in, too. Times are those of the
thread: what other programs take of the core does not count.
"""
from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ssma_core.files import read_colour, read_sensor
from ssma_core.registration import Displacement
from ssma_core.registration.cameras import CalibratedCamera, Transform
from ssma_core.registration.depth import DepthRegistration
from ssma_core.registration.find import Pair, find
from ssma_core.registration.homography import HomographyRegistration, corners, moved
from ssma_core.synthetic.forest import drive

SIZE = (1280, 720)
COLOUR = CalibratedCamera(910, 910, 639.5, 359.5, SIZE)
LENS = (-0.05, 0.06, 0.0005, -0.0003, -0.02)
SAME = CalibratedCamera(890, 890, 641.0, 362.0, SIZE)
COARSER = CalibratedCamera(425, 425, 423.5, 239.5, (848, 480))
MOUNTED = Transform((0.05, 0.001, 0.002), (0.005, 0.01, 0.0025, 0.99993))
SHARE = 0.03  # of the width, by which each corner of a known homography is elsewhere
REPEATS = 40


def main() -> None:
    cv2.setNumThreads(1)
    frame = next(drive(5000, 1, SIZE, "clear"))
    for title, colour, depth in (
            ("depth 1280x720 to 1280x720", COLOUR, SAME),
            ("depth 848x480 to 1280x720", COLOUR, COARSER),
            ("depth 1280x720 to 1280x720 behind a lens",
             CalibratedCamera(910, 910, 639.5, 359.5, SIZE, LENS), SAME)):
        image = cv2.resize(frame.depth, depth.size, interpolation=cv2.INTER_NEAREST)
        registration = DepthRegistration(colour, depth, MOUNTED)
        _print(title, lambda r=registration, i=image: r.aligned(i))
    bent = HomographyRegistration(((1.02, 0.01, 5.0), (-0.01, 1.02, -3.0), (1e-6, 1e-6, 1.0)), SIZE,
                                  SIZE)
    _print("near infrared 1280x720 by a homography", lambda: bent.aligned(frame.near_infrared))
    watch, now = Displacement(), iter(range(10**6))
    _print("a look at a pair for displacement, once a second",
           lambda: watch.look(frame.rgb, frame.depth, float(next(now))) and watch.pixels())
    pairs = [(f.rgb, f.near_infrared) for seed in (11, 5000) for f in drive(seed, 8, (768, 384),
                                                                            fps=1)]
    _find("synthetic near infrared", pairs)
    if sys.argv[1:]:
        _find(sys.argv[1], _real(Path(sys.argv[1])))


def _print(what: str, call: Callable[[], Any]) -> None:
    begin = time.thread_time()
    call()
    first = time.thread_time() - begin
    times = []
    for _ in range(REPEATS):
        begin = time.thread_time()
        call()
        times.append(time.thread_time() - begin)
    print(f"{what}: {1000 * min(times):.1f} ms at best, {1000 * np.median(times):.1f} ms p50; the "
          f"first one {1000 * first:.0f} ms", flush=True)


def _real(folder: Path) -> list[Pair]:
    """At the size that all have."""
    pairs = [(read_colour(path), read_sensor(folder / "nir" / f"{path.stem}.png"))
             for path in sorted((folder / "rgb").iterdir())]
    height, width = np.min([rgb.shape[:2] for rgb, _ in pairs], axis=0)
    return [(rgb[:height, :width], aux[:height, :width]) for rgb, aux in pairs]


def _find(what: str, pairs: list[Pair]) -> None:
    height, width = pairs[0][0].shape[:2]
    ends = corners((width, height))
    for seed in range(4):
        there = ends + np.random.default_rng(seed).uniform(-SHARE, SHARE, (4, 2)) * width
        true = cv2.getPerspectiveTransform(ends.astype(np.float32), there.astype(np.float32))
        seen = [(rgb, cv2.warpPerspective(aux, true, (width, height), flags=cv2.INTER_LINEAR
                                          | cv2.WARP_INVERSE_MAP)) for rgb, aux in pairs]
        begin = time.thread_time()
        found = find(seen)
        off = np.linalg.norm(moved(found.matrix, ends) - moved(true, ends), axis=1).max()
        print(f"{what}, {len(pairs)} pairs of {width}x{height}: the worst corner is {off:.2f} "
              f"pixels off, spread {found.spread:.2f}, {time.thread_time() - begin:.1f} s",
              flush=True)


if __name__ == "__main__":
    main()
