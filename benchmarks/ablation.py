"""Trains the colour expert of config/training/forest.yaml with each loss and schedule that a stage
offers, and other experts in its place, small and briefly, and prints a table.

    python benchmarks/ablation.py 0 1 2

It has the mean over the seeds and, in brackets, their standard deviation. Finished runs are
skipped. EfficientNet-Lite starts from ImageNet, the other experts from random weights.
"""
from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

STAGE = "expert_rgb"
MODALITIES = ("model.modalities=[{name: rgb, encoding: image, expert: %s}, "
              "{name: depth, encoding: jet, range: 20000}]")
SMALL = ["model.input_size=[256, 128]", "model.upsampling=convex",
         MODALITIES % "efficientnet-lite0", "validate_every=100", "precision=fp32"]
PAPER = ["steps=100", "lovasz=0", "warm_up=0", "average=0"]
VARIANTS = {
    "as the paper": [],
    "class weights": ["class_weights=median_frequency"],
    "Lovász": ["lovasz=1.0"],
    "label smoothing 0.1": ["label_smoothing=0.1"],
    "warm-up and average": ["warm_up=20", "average=0.97"],
    "bilinear upsampling": ["model.upsampling=bilinear"],
    "transposed upsampling": ["model.upsampling=transposed"],
    "efficientnet-lite0 from random weights": ["start=[]"],
    "efficientnet-lite1": [MODALITIES % "efficientnet-lite1"],
    "efficientnet-lite2": [MODALITIES % "efficientnet-lite2"],
    "light": [MODALITIES % "light", "start=[]"],
    "adapnet++": [MODALITIES % "adapnet++", "start=[]"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="+", metavar="SEED")
    seeds = parser.parse_args().seeds
    for seed in seeds:
        for variant in VARIANTS:
            train(variant, seed)
    print("| | mIoU | obstacle |\n| --- | --- | --- |")
    for variant in VARIANTS:
        results = [last_validation(variant, seed) for seed in seeds]
        print(f"| {variant} | {mean_and_deviation([r['miou'] for r in results])} | "
              f"{mean_and_deviation([r['iou']['obstacle'] for r in results])} |")


def train(variant: str, seed: int) -> None:
    settings = [*SMALL, f"seed={seed}", *(
        setting if setting.startswith("model.") else f"stages.{STAGE}.{setting}"
        for setting in [*PAPER, *VARIANTS[variant]])]
    subprocess.run([
        sys.executable, "training/train.py", "--config", "config/training/forest.yaml",
        "--stage", STAGE, "--output", str(folder(variant, seed)),
        *(word for each in settings for word in ("--set", each))], check=True)


def folder(variant: str, seed: int) -> Path:
    return Path("runs/ablation") / variant.replace(" ", "_") / str(seed)


def last_validation(variant: str, seed: int) -> dict[str, Any]:
    log = folder(variant, seed) / f"{STAGE}.json"
    return json.loads(log.read_text(encoding="utf-8"))["validation"][-1]


def mean_and_deviation(values: list[float]) -> str:
    """In percent."""
    deviation = f" ({100 * statistics.stdev(values):.1f})" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{deviation}"


if __name__ == "__main__":
    main()
