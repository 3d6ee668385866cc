"""`ssma benchmark`: the same frames through every way to run a model, in one process."""
from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core.commands import count, size
from ssma_core.modalities import network_images
from ssma_core.segmenter import Segmenter

Frame = tuple[npt.NDArray[Any], ...]
Way = Callable[..., object]
TURN = 10
WARM_UP = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, type=Path,
                        help="an .onnx model; the .safetensors beside it is timed too")
    parser.add_argument("--size", default=(768, 384), type=size, metavar="WIDTHxHEIGHT",
                        help="of the camera images (default 768x384)")
    parser.add_argument("--frames", default=100, type=count, help="timed frames (default 100)")
    parser.add_argument("--threads", default=os.cpu_count(), type=count,
                        help="CPU threads, for every way alike (default: all)")


def run(options: argparse.Namespace) -> None:
    """The ways take turns, so that a slow moment of the machine hits them alike; the ratios are of
    the medians."""
    fast = Segmenter(options.model, options.threads)
    ways: dict[str, Way] = {
        f"{fast.backend}, whole segment call": fast.segment,
        "  of which preprocessing": lambda *frame: network_images(fast.spec, *frame),
    }
    checkpoint = options.model.with_suffix(".safetensors")
    if checkpoint.is_file():
        ways |= eager(checkpoint, options.threads)
    frames = camera_frames(len(fast.spec.modalities), *options.size)
    milliseconds = time_in_turn(ways, frames, options.frames)

    first = np.median(milliseconds[next(iter(ways))])
    network, camera = ("x".join(map(str, s)) for s in (fast.spec.input_size, options.size))
    print(f"{options.model.name}, network {network}, camera {camera}, "
          f"{options.threads} thread(s), {options.frames} frames each")
    print(f"{'':36}{'p50 ms':>9}{'p90 ms':>9}{'frames/s':>10}{'ratio':>8}")
    for name, times in milliseconds.items():
        p50, p90 = np.percentile(times, [50, 90])
        print(f"{name:36}{p50:9.1f}{p90:9.1f}{1000 / p50:10.1f}{p50 / first:8.2f}")


def eager(checkpoint: Path, threads: int) -> dict[str, Way]:
    """The usual ways in torch: OpenCV preprocessing, eager float32, argmax on the CPU; the same
    labels. Tensors lie in memory as the images do (channels last), or as torch has them unless
    told otherwise, which is slower on CPUs."""
    import torch

    from ssma_core.checkpoint import load

    torch.set_num_threads(threads)
    network, spec = load(checkpoint)

    @torch.no_grad()
    def segment(memory_format: torch.memory_format, *frame: npt.NDArray[Any]) -> object:
        batches = [torch.from_numpy(image).permute(2, 0, 1)[None].float()
                   .contiguous(memory_format=memory_format)
                   for image in network_images(spec, *frame)]
        labels = network(*batches)[0].argmax(0).numpy().astype(np.uint8)
        height, width = frame[0].shape[:2]
        return cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)

    return {"torch eager": partial(segment, torch.contiguous_format),
            "torch eager, channels last": partial(segment, torch.channels_last)}


def camera_frames(modalities: int, width: int, height: int) -> list[Frame]:
    """A few frames of smooth random colour and depth; what is in them changes no timing."""
    random = np.random.default_rng(0)
    colour = [cv2.resize(random.integers(0, 256, (12, 24, 3), np.uint8), (width, height))
              for _ in range(4)]
    depth = [cv2.resize(random.integers(0, 20000, (12, 24)).astype(np.uint16), (width, height))
             for _ in range(4)]
    return [(c, d)[:modalities] for c, d in zip(colour, depth)]


def time_in_turn(ways: dict[str, Way], frames: list[Frame],
                 number: int) -> dict[str, list[float]]:
    """Milliseconds of each of `number` calls of every way.

    The ways take turns of TURN calls. The calls before each turn are not counted: the threads of
    the way before it still spin on the cores, waiting for work, and caches hold its weights.
    """
    milliseconds: dict[str, list[float]] = {name: [] for name in ways}
    for first in tqdm(range(0, number, TURN), desc="timing", leave=False):
        for name, way in ways.items():
            for i in range(first - WARM_UP, min(first + TURN, number)):
                start = time.perf_counter()
                way(*frames[i % len(frames)])
                if i >= first:
                    milliseconds[name].append(1000 * (time.perf_counter() - start))
    return milliseconds
