"""`make demo`: replays a bag over real DDS into the node and receives its labels. Shows the result
of every frame, a picture, and the report of evaluate_bag.

It uses a synthetic forest drive and, if the road data set is present, also a real drive.
"""
from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from ssma_core import Segmenter, SsmaError, begin_program
from ssma_core.files import own_folder
from ssma_ros.replay import dds

ROOT = Path(__file__).resolve().parent.parent
ROAD = ROOT.parent / "shared" / "data" / "road"
MODELS = {"forest": "tiny_forest", "road": "road"}  # of the scenes


def main() -> int:
    """Returns the exit status: 0, or 1 after a message on standard error."""
    options = _parser().parse_args()
    dds.isolate()  # before anything imports rclpy
    begin_program()
    try:
        with own_folder(options.output):
            _run_scenes(options)
    except SsmaError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Replays drives through the node and shows the "
                                     "result of every frame.")
    parser.add_argument("--output", type=Path, required=True,
                        help="folder for bags, logs and pictures")
    parser.add_argument("--scenes", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--frames", type=int, default=150,
                        help="number of frames of each drive (default: 150)")
    parser.add_argument("--model", type=Path, help="default: the one that is shipped for the scene")
    return parser


def _run_scenes(options: argparse.Namespace) -> None:
    for scene in options.scenes:
        if scene == "road" and not ROAD.is_dir():
            print(f"road: skipped, its data is not at {ROAD}")
            continue
        model = options.model or ROOT / "models" / f"{MODELS[scene]}.onnx"
        _run(scene, model, options.frames, options.output)


def _run(scene: str, model: Path, frames: int, output: Path) -> None:
    import recordings
    import report

    segmenter = Segmenter(model)  # raises for a model that cannot be used, before the work begins
    bag = output / f"{scene}_bag"
    shutil.rmtree(bag, ignore_errors=True)
    if scene == "forest":
        recordings.write_forest(bag, frames)
    else:
        recordings.write_road(bag, frames, ROAD)
    collected, labels = report.through_node(bag, model, output / scene)
    report.show(f"{scene}: {bag} through {model} ({segmenter.backend})", bag, segmenter.spec,
                collected, labels=labels, picture=output / f"{scene}.png")
    report.write_page(bag, model, output / f"{scene}.html")


if __name__ == "__main__":
    sys.exit(main())
