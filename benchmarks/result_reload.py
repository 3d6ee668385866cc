"""How long a result of many frames and classes takes to write and to read again.

    python benchmarks/result_reload.py

38 classes and 5,000 frames, once with counts as a segmenter's are (a frame has ten classes, most
pixels are right, few pairs of classes are confused) and once with all 38×38 counts above zero.
A class's boundary is a twentieth of its pixels.
"""
from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssma_core import Modality, ModelSpec
from ssma_core.evaluation.inference import Options
from ssma_core.evaluation.result_file import read_result, write_result
from ssma_core.evaluation.results import DatasetSource, DriveResult, FrameResult, Result

CLASSES, FRAMES, PRESENT = 38, 5000, 10
SPEC = ModelSpec("adapnet++", "tiny", tuple(f"class {i}" for i in range(CLASSES)),
                 ((0, 0, 0),) * CLASSES, (Modality("rgb", "image"),), (768, 384))


def sparse(rng: np.random.Generator) -> npt.NDArray[np.int64]:
    counts = np.zeros((FRAMES, CLASSES, CLASSES), np.int64)
    for frame in counts:
        present = rng.choice(CLASSES, PRESENT, replace=False)
        pairs = (PRESENT, PRESENT)
        confused = rng.integers(0, 3000, pairs) * (rng.random(pairs) < 0.4)
        frame[np.ix_(present, present)] = confused + np.diag(rng.integers(0, 60_000, PRESENT))
    return counts


def main() -> None:
    rng = np.random.default_rng(0)
    frames = tuple(FrameResult(f"scene_{i // 50:04d}/{i:06d}.png") for i in range(FRAMES))
    for name, counts in (("sparse", sparse(rng)),
                         ("dense", rng.integers(1, 1000, (FRAMES, CLASSES, CLASSES)))):
        boundary = counts.diagonal(axis1=1, axis2=2)[..., None, None] // 20
        boundaries = boundary * np.arange(1, 5) // 4 + np.zeros((2, 1), np.int64)
        result = Result("model.onnx", SPEC, DatasetSource("c.yaml", "validation", Options()), (),
                        (DriveResult(".", frames, counts, boundaries=boundaries),))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "result.json")
            begin = time.perf_counter()
            write_result(result, path)
            middle = time.perf_counter()
            found = read_result(path)
            end = time.perf_counter()
            assert found == result
            print(f"{name:<7} {path.stat().st_size / 1e6:5.1f} MB  written in {middle - begin:.2f} "
                  f"s, read in {end - middle:.2f} s")


if __name__ == "__main__":
    main()
