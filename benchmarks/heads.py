"""Compares the decoder's last steps, from a quarter of the size to the whole: on the features of
one trained expert, which does not change, decoders learn from random weights. They differ in
nothing else.

    OMP_NUM_THREADS=1 python benchmarks/heads.py 0 1 2

Prints a table in Markdown: mIoU and boundary F-score at the labels' own size, mean (and standard
deviation) over the seeds; and how long the decoder takes beside the first one's, on one thread.
"""
from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from ssma_core.datasets.frames import preload
from ssma_core.datasets.samples import Sample
from ssma_core.evaluation import boundary
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.model.decoder import Decoder
from ssma_core.model.experts.expert import Channels
from ssma_core.model.layers import initialize
from ssma_core.model_files import checkpoint
from ssma_core.pictures import resize_nearest
from ssma_core.spec import ModelSpec, Upsampling
from ssma_core.training.loss import cross_entropy, learning_rate
from ssma_core.training.stages import read_training

CONFIG = "config/training/forest.yaml"
BATCH, FIRST_RATE = 8, 0.002
Features = tuple[Tensor, Tensor, Tensor]


HEADS: dict[str, Upsampling] = {
    "transposed convolution (the paper's)": "transposed", "bilinear": "bilinear",
    "convex": "convex"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="+", metavar="SEED")
    parser.add_argument("--model", type=Path, default=Path("models/forest.safetensors"),
                        help="whose colour expert gives the features (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--frames", type=int, default=320, help="of training; about 0.7 MB each")
    options = parser.parse_args()
    network, spec = checkpoint.load(options.model)
    expert = network.get_submodule("experts.0").eval()
    data = read_training(CONFIG).data
    training = spread(data.train.samples(), options.frames)
    judged = spread(data.validation.samples(), 72)
    frames = preload(training, spec, "reading frames")
    features = features_of(expert, frames.images[0])
    labels = torch.from_numpy(frames.labels)
    judges = features_of(expert, preload(judged, spec, "reading frames").images[0])
    milliseconds = durations([decoder_of(features, spec, head) for head in HEADS.values()], judges)
    print("| last step | mIoU | F at 1 px | 2 px | 4 px | time |\n| --- " + "| --- " * 5 + "|")
    for (name, head), ms in zip(HEADS.items(), milliseconds):
        results = []
        for seed in options.seeds:
            torch.manual_seed(seed)
            decoder = decoder_of(features, spec, head)
            train(decoder, features, labels, spec.void_id, options.steps)
            results.append(evaluate(decoder, judges, judged, spec))
        cells = (mean_and_deviation(column) for column in zip(*results))
        print(f"| {name} | {' | '.join(cells)} | {ms / milliseconds[0]:.2f} |", flush=True)


def decoder_of(features: Features, spec: ModelSpec, upsampling: Upsampling) -> Decoder:
    context, eighth, quarter = (feature.shape[1] for feature in features)
    return Decoder(Channels(context=context, eighth=eighth, quarter=quarter),
                   replace(spec, upsampling=upsampling), weigh_skips=False)


def spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    return [samples[i] for i in np.linspace(0, len(samples) - 1, count).astype(int)]


@torch.inference_mode()
def features_of(expert: nn.Module, images: np.ndarray) -> Features:
    parts = [expert(torch.from_numpy(part).permute(0, 3, 1, 2).float())
             for part in tqdm(np.array_split(images, len(images) // BATCH), "features",
                              leave=False)]
    context, eighth, quarter = (torch.cat(each).clone() for each in zip(*parts))
    return context, eighth, quarter


def train(decoder: Decoder, features: Features, labels: Tensor, void_id: int, steps: int) -> None:
    initialize(decoder)
    decoder.train()
    optimizer = torch.optim.Adam(decoder.parameters())
    for step in tqdm(range(steps), "training", leave=False):
        chosen = torch.randint(len(labels), (BATCH,))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(FIRST_RATE, step, steps, 20)
        loss = cross_entropy(decoder(*(feature[chosen] for feature in features))[0],
                             labels[chosen], void_id)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    take_statistics(decoder, features)


@torch.no_grad()
def take_statistics(decoder: Decoder, features: Features) -> None:
    """Sets batch norm's means and variances from the data. Moving averages of 200 steps at a decay
    of 0.99 still hold an eighth of their first values, which would judge heads with more batch
    norms worse."""
    for module in decoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over all batches
    for first in range(0, len(features[0]), BATCH):
        decoder(*(feature[first:first + BATCH] for feature in features))


@torch.no_grad()
def evaluate(decoder: Decoder, features: Features, samples: Sequence[Sample],
             spec: ModelSpec) -> list[float]:
    """In percent: mIoU, the boundary F-score at 1, 2 and 4 pixels."""
    decoder.eval()
    matrix = ConfusionMatrix(spec.classes, spec.void_id)
    boundaries = np.zeros((spec.classes, 2, boundary.COUNTED), np.int64)
    for i, sample in enumerate(tqdm(samples, "judging", leave=False)):
        truth = sample.read(spec.classes)[2]
        logits = decoder(*(feature[i:i + 1] for feature in features))[0]
        labels = resize_nearest(logits[0].argmax(0).numpy().astype(np.uint8), truth.shape[::-1])
        matrix.add(truth, labels)
        boundaries += boundary.count(truth, labels, spec.classes, spec.void_id)
    scores = boundary.mean(boundary.f_score(boundaries))
    return [100 * matrix.mean_iou(), *(100 * scores).tolist()]


@torch.inference_mode()
def durations(decoders: Sequence[Decoder], features: Features) -> list[float]:
    """Each decoder's median for one frame, run by turns."""
    one = [feature[:1] for feature in features]
    times: list[list[float]] = [[] for _ in decoders]
    for _ in range(60):
        for decoder, own in zip(decoders, times):
            begin = time.perf_counter()
            decoder.eval()(*one)
            own.append(1000 * (time.perf_counter() - begin))
    return [statistics.median(own[10:]) for own in times]


def mean_and_deviation(values: Sequence[float]) -> str:
    deviation = f" ({statistics.stdev(values):.1f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"


if __name__ == "__main__":
    main()
