"""Fine-tunes the shipped model with 40 labelled frames of a robot whose cameras it has never seen,
and with all frames of the same drives, and judges both and itself on other drives of this robot.

    OMP_NUM_THREADS=1 python benchmarks/fine_tuning.py --output runs/fine_tuning 0 1 2

The numbers are seeds. The same command continues a run that was stopped.
"""
from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core import SsmaError
from ssma_core.disk.partial import partial_folder
from ssma_core.evaluation.result_file import read_result
from ssma_core.files import read_colour, read_sensor, write_picture

ROOT = Path(__file__).resolve().parent.parent
CONFIG, SHIPPED = ROOT / "config/training/fine_tune.yaml", ROOT / "models/tiny_forest.safetensors"
DRIVES, FRAMES, EVERY = 10, 24, 6  # 40 of 240 frames
JUDGED = 4  # frames of each drive that judges
GAINS = np.array([0.55, 0.85, 1.15])  # of blue, green, red
RANGE_MM, LOST = 6000, 0.3  # of depth: the farthest, and the share that is lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="+", metavar="SEED")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    arguments = parser.parse_args()
    try:
        print(table(arguments.output.resolve(), arguments.seeds, arguments.steps))
    except (SsmaError, subprocess.CalledProcessError) as error:
        sys.exit(f"fine_tuning: {error}")


def table(output: Path, seeds: list[int], steps: int) -> str:
    """Markdown: mIoU in percent on the drives that judge."""
    every = drives(output / "all", 7000, FRAMES)
    judge = drives(output / "judge", 7100, JUDGED)
    rows = [f"| shipped | {judged(SHIPPED, judge, output / 'shipped'):.1f} | |"]
    for name, data in (("some", fewer(every, output / "some")), ("all", every)):
        found = [judged(trained(data, judge, output / f"{name}_{seed}", (seed, steps)), judge,
                        output / f"{name}_{seed}" / "judged") for seed in seeds]
        count = len(list(data.glob("*/label/*")))
        rows.append(f"| {count} frames | {np.mean(found):.1f} | "
                    f"{' '.join(f'{each:.1f}' for each in found)} |")
    return "\n".join(["| trained on | mIoU % | seeds |", "| --- | --- | --- |", *rows])


def drives(folder: Path, seed: int, frames: int) -> Path:
    """Drives of one robot, with the poor cameras of `dim` and `near`."""
    if folder.exists():
        return folder
    made = folder.with_name(f"{folder.name}_as_rendered")
    call("-m", "ssma_core.cli", "synthesize", "--output", str(made), "--drives", str(DRIVES),
         "--frames", str(frames), "--fps", "1", "--seed", str(seed))
    with partial_folder(folder) as unfinished:
        for path in sorted(made.glob("*/rgb/*")):
            drive, depth = path.parent.parent, path.parent.parent / "depth" / f"{path.stem}.png"
            random = np.random.default_rng((seed, int(path.stem)))
            for of, picture in (("rgb", dim(read_colour(path), random)),
                                ("depth", near(read_sensor(depth), random))):
                (unfinished / drive.name / of).mkdir(parents=True, exist_ok=True)
                write_picture(unfinished / drive.name / of / f"{path.stem}.png", picture)
        for label in made.glob("*/label"):
            shutil.copytree(label, unfinished / label.relative_to(made))
        os.rename(unfinished, folder)
    return folder


def dim(rgb: npt.NDArray[np.uint8], random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A dark, warm, soft and noisy picture."""
    soft = cv2.GaussianBlur(rgb, (0, 0), 1.5)
    noise = random.normal(0, 6, rgb.shape)
    return (255 * (soft / 255.0) ** 1.5 * GAINS + noise).clip(0, 255).astype(np.uint8)


def near(depth: npt.NDArray[np.uint16], random: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Depth of a camera of short range that loses many pixels."""
    lost = random.random(depth.shape) < LOST
    return np.where(lost | (depth > RANGE_MM), 0, depth).astype(np.uint16)


def fewer(data: Path, folder: Path) -> Path:
    """The same drives with a label for one of EVERY frames only."""
    for drive in sorted(data.iterdir()):
        (folder / drive.name / "label").mkdir(parents=True, exist_ok=True)
        for source in (drive / "rgb", drive / "depth",
                       *sorted((drive / "label").iterdir())[EVERY // 2::EVERY]):
            link = folder / source.relative_to(data)
            if not link.exists():
                link.symlink_to(source)
    return folder


def trained(data: Path, judge: Path, output: Path, seed_and_steps: tuple[int, int]) -> Path:
    seed, steps = seed_and_steps
    settings = [*source("train", data), *source("validation", judge), f"seed={seed}",
                f"stages.fusion.steps={steps}",
                f"stages.fusion.start=[{SHIPPED}]", "validate_every=1000"]
    call(str(ROOT / "training/train.py"), "--config", str(CONFIG), "--output", str(output),
         "--stage", "fusion", *(word for each in settings for word in ("--set", each)))
    return output / "fusion.safetensors"


def judged(model: Path, judge: Path, output: Path) -> float:
    """mIoU in percent."""
    if not (output / "result.json").exists():
        settings = source("validation", judge)
        call(str(ROOT / "training/evaluate.py"), "--model", str(model), "--config", str(CONFIG),
             "--output", str(output), *(word for each in settings for word in ("--set", each)))
    return 100 * read_result(output / "result.json").total().mean_iou()


def source(split: str, data: Path) -> list[str]:
    """Settings that make all labelled frames of a folder a configuration's data set."""
    return [f"data.{split}={{root: {data}, rgb: '*/rgb/*', aux: depth, label: label}}"]


def call(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True)


if __name__ == "__main__":
    main()
