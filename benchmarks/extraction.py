"""How fast `ssma extract` is, as a multiple of the recorded pace, beside a plain loop.

    python benchmarks/extraction.py

A bag of 1280x720 colour and depth at 30 Hz, once with raw images and once with compressed ones
(JPEG, compressedDepth). The plain loop decodes every pair in turn and writes it by cv2.imwrite.
Each way runs in turn with the others, ROUNDS times; the figures are medians. The processor's time
is that of all threads: a busy machine changes it less.
"""
from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import cv2
import numpy as np
from rosbags.typesys import Stores, get_typestore

from ssma_core.bags import rosbag2
from ssma_core.bags.rosbag2 import Recorded
from ssma_core.extraction import drives, frames
from ssma_core.extraction.drives import Source
from ssma_core.extraction.extract import Wanted, extract
from ssma_core.extraction.pictures import Colour
from ssma_core.synthetic.forest import drive

SIZE, RATE_HZ, FRAMES, PICTURES, ROUNDS = (1280, 720), 30, 300, 6, 3
SOURCE = Source("/rgb", "/depth")
START_NS = 1_700_000_000 * 10**9
STORE = get_typestore(Stores.ROS2_JAZZY)


def raw() -> Iterator[Recorded]:
    scenes = list(drive(0, PICTURES, SIZE, "clear"))
    for i in range(FRAMES):
        stamp = START_NS + i * 10**9 // RATE_HZ
        scene = scenes[i % PICTURES]
        yield rosbag2.image(SOURCE.rgb, stamp, stamp, scene.rgb, "bgr8")
        yield rosbag2.image(SOURCE.aux, stamp, stamp, scene.depth, "16UC1")


def compressed() -> Iterator[Recorded]:
    kind = rosbag2.COMPRESSED_IMAGE
    for each in raw():
        image = SimpleNamespace(**vars(rosbag2.decode(each)))
        pixels = image.data.view("u1" if image.encoding == "bgr8" else "<u2").reshape(
            image.height, image.width, -1)
        is_colour = image.encoding == "bgr8"
        data = cv2.imencode(".jpg" if is_colour else ".png", pixels)[1].tobytes()
        text = "bgr8; jpeg compressed bgr8" if is_colour else "16UC1; compressedDepth png"
        body = memoryview(data if is_colour else bytes(12) + data)
        message = STORE.types[kind](image.header, text, np.frombuffer(body, np.uint8))
        yield Recorded(each.topic, kind, each.time_ns, bytes(STORE.serialize_cdr(message, kind)))


def plain_loop(bag: Path, output: Path) -> None:
    (found,) = drives.find([bag], output, SOURCE)
    output.mkdir()
    for pair in frames.pairs(found, SOURCE, lambda _: True, lambda: None):
        frame = frames.Frame(pair, SOURCE)
        cv2.imwrite(str(output / f"{frame.stamp_ns}.jpg"), frame.rgb)
        cv2.imwrite(str(output / f"{frame.stamp_ns}.png"), frame.aux)


def extraction(wanted: Wanted, bag: Path, output: Path) -> None:
    extract([bag], output, SOURCE, wanted, Colour())


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "plain loop, every frame": plain_loop,
    "every frame": partial(extraction, Wanted()),
    "--every 0.5": partial(extraction, Wanted(every=0.5)),
    "--select 3": partial(extraction, Wanted(every=0.5, select=3)),
}


def main() -> None:
    print(f"{FRAMES} frames of {SIZE[0]}x{SIZE[1]} at {RATE_HZ} Hz; medians of {ROUNDS} rounds")
    for name, messages in (("raw", raw), ("compressed", compressed)):
        with tempfile.TemporaryDirectory() as folder:
            bag = Path(folder, "bag")
            rosbag2.write(bag, messages())
            _measure(name, bag, Path(folder, "data"))


def _measure(name: str, bag: Path, output: Path) -> None:
    spent: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way, run in WAYS.items():
            begin, processor = time.perf_counter(), time.process_time()
            run(bag, output)
            spent[way].append((time.perf_counter() - begin, time.process_time() - processor))
            shutil.rmtree(output)
    recorded = FRAMES / RATE_HZ
    plain = median(wall for wall, _ in spent["plain loop, every frame"])
    for way, times in spent.items():
        wall, processor = (median(values) for values in zip(*times))
        print(f"{name:<10} {way:<24} {recorded / wall:5.1f} x the recorded pace, "
              f"{plain / wall:5.1f} x the plain loop's; {1000 * processor / FRAMES:5.1f} ms of "
              "processor a recorded frame")


if __name__ == "__main__":
    main()
