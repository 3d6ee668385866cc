"""Whether frames that `ssma extract --select` takes train a better model than evenly spaced ones.

    OMP_NUM_THREADS=1 nice python benchmarks/selection.py --output runs/selection

For each seed: bags of drives of one robot, with a camera that the shipped model has never seen
(that of benchmarks/fine_tuning.py). 40 frames of them are taken: evenly spaced; selected by looks;
selected with the shipped model's doubts. The shipped model is fine-tuned on each 40, with the same
steps, and judged on other drives of this robot.
The command, given again, goes on where it stopped.
"""
from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import numpy.typing as npt
from fine_tuning import dim, near

from ssma_core.bags import rosbag2
from ssma_core.evaluation.result_file import read_result
from ssma_core.extraction.drives import Source
from ssma_core.extraction.extract import Wanted, extract
from ssma_core.extraction.pictures import Colour
from ssma_core.files import read_colour, read_sensor, write_picture

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "tiny_forest.safetensors"
CONFIG = ROOT / "config" / "training" / "tiny_forest.yaml"
DRIVES, FRAMES, FPS, SIZE, WANTED = 4, 100, 2.0, "384x192", 40
JUDGED_DRIVES, JUDGED_FRAMES, JUDGED_SEED = 12, 8, 9000
FIRST_SEED = 5000  # training and validation drives have lower ones
SOURCE = Source("/rgb", "/depth")
CANDIDATES_EVERY = 1.0  # seconds, which are metres
START_NS = 1_760_000_000 * 10**9
WAYS = {
    "evenly spaced": Wanted(every=DRIVES * FRAMES / FPS / WANTED),
    "selected": Wanted(every=CANDIDATES_EVERY, select=WANTED),
    "selected, with a model": Wanted(every=CANDIDATES_EVERY, select=WANTED,
                                     model=MODEL.with_suffix(".onnx")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    output = options.output.absolute()
    rendered = output / "judged_as_rendered"
    call("-m", "ssma_core.cli", "synthesize", "--size", SIZE, "--fps", "0.5",
         "--seed", str(JUDGED_SEED), "--drives", str(JUDGED_DRIVES), "--frames",
         str(JUDGED_FRAMES), "--output", str(rendered))
    judged = as_seen(rendered, output / "judged")
    before = judge(MODEL, judged, output / "before")
    print(f"{'before':<24} mIoU {before:.1f}", flush=True)
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in options.seeds:
        bags = list(recordings(output / f"seed_{seed}", FIRST_SEED + DRIVES * seed))
        for way, wanted in WAYS.items():
            folder = output / f"seed_{seed}" / way.replace(", ", "_").replace(" ", "_")
            prepare(bags, folder / "data", wanted)
            model = train(folder, judged, seed, options.steps)
            found[way].append(judge(model, judged, folder / "judged"))
            print(f"{way:<24} mIoU {found[way][-1]:.1f}  seed {seed}", flush=True)
    for way, values in found.items():
        spread = f" ± {stdev(values):.1f}" if len(values) > 1 else ""
        print(f"{way:<24} mIoU {mean(values):.1f}{spread}")


def recordings(folder: Path, seed: int) -> Iterator[Path]:
    """The bags of the seed's drives, beside the pictures that they are made of."""
    call("-m", "ssma_core.cli", "synthesize", "--size", SIZE, "--fps",
         str(FPS), "--seed", str(seed), "--drives", str(DRIVES), "--frames", str(FRAMES),
         "--output", str(folder / "drives"))
    for drive in sorted((folder / "drives").glob("drive_*")):
        bag = folder / "bags" / drive.name
        if not bag.exists():
            bag.parent.mkdir(exist_ok=True)
            rosbag2.write(bag, messages(drive))
        yield bag


def messages(drive: Path) -> Iterator[rosbag2.Recorded]:
    for i, (rgb, depth) in enumerate(seen(drive)):
        stamp = stamp_of(i)
        yield rosbag2.image(SOURCE.rgb, stamp, stamp, rgb, "bgr8")
        yield rosbag2.image(SOURCE.aux, stamp, stamp, depth, "16UC1")


def seen(drive: Path) -> Iterator[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]]:
    """The drive's pictures by the unseen camera."""
    for path in sorted((drive / "rgb").iterdir()):
        random = np.random.default_rng(int(path.stem))
        yield (dim(read_colour(path), random),
               near(read_sensor(drive / "depth" / f"{path.stem}.png"), random))


def as_seen(drives: Path, folder: Path) -> Path:
    """A copy of drives, by the unseen camera."""
    for drive in sorted(drives.glob("drive_*")):
        shutil.copytree(drive / "label", folder / drive.name / "label", dirs_exist_ok=True)
        for name in ("rgb", "depth"):
            (folder / drive.name / name).mkdir(exist_ok=True)
        for i, (rgb, depth) in enumerate(seen(drive)):
            write_picture(folder / drive.name / "rgb" / f"{i:06d}.png", rgb)
            write_picture(folder / drive.name / "depth" / f"{i:06d}.png", depth)
    return folder


def stamp_of(frame: int) -> int:
    return START_NS + round(frame * 1e9 / FPS)


def prepare(bags: list[Path], data: Path, wanted: Wanted) -> None:
    """The frames, each with the label of its drive."""
    done = extract(bags, data, SOURCE, wanted, Colour(), jobs=1)
    if done.new + done.there != WANTED:
        sys.exit(f"selection: {done.new + done.there} frames in {data}, and not {WANTED}")
    numbers = {stamp_of(i): i for i in range(FRAMES)}
    for bag in bags:
        (data / bag.name / "label").mkdir(exist_ok=True)
        labels = bag.parent.parent / "drives" / bag.name / "label"
        rgb = data / bag.name / "rgb"
        for path in rgb.iterdir() if rgb.is_dir() else ():
            shutil.copy(labels / f"{numbers[int(path.stem)]:06d}.png",
                        data / bag.name / "label" / f"{path.stem}.png")


def train(folder: Path, judged: Path, seed: int, steps: int) -> Path:
    """Fine-tunes the shipped model, experts and all. Returns the model's file."""
    stage = {"start": f"[{MODEL}]", "starts_as_first": "false", "steps": steps, "warm_up": 5,
             "batch_size": 4, "learning_rate": 0.0003, "encoder_learning_rate": 0.0001,
             "average": 0.9, "keep_statistics": "true"}
    settings = {"seed": seed, "data.train.root": folder / "data", "data.train.rgb": "'*/rgb/*'",
                "data.validation.root": judged, "data.validation.rgb": "'*/rgb/*'",
                "validate_every": steps, "checkpoint_every": 10,
                **{f"stages.fusion.{name}": value for name, value in stage.items()}}
    call(str(ROOT / "training/train.py"), "--config", str(CONFIG), "--stage", "fusion",
         "--output", str(folder / "run"), *(word for name, value in settings.items()
                                            for word in ("--set", f"{name}={value}")))
    return folder / "run" / "fusion.safetensors"


def judge(model: Path, judged: Path, folder: Path) -> float:
    """The mIoU on the judged drives, in percent."""
    if not (folder / "result.json").exists():
        call(str(ROOT / "training/evaluate.py"), "--model", str(model), "--config", str(CONFIG),
             "--output", str(folder), "--set", f"data.validation.root={judged}",
             "--set", "data.validation.rgb='*/rgb/*'")
    return 100 * float(read_result(folder / "result.json").total().mean_iou())


def call(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
