"""Prints a model's IoU per class on a configuration's data, at the labels' own size.

    python training/evaluate.py --model models/tiny_forest.onnx \\
        --config config/training/tiny_forest.yaml --json result.json
"""
import argparse
import json
import sys
from pathlib import Path

from ssma_core import Segmenter, SsmaError
from ssma_core.files import written_whole
from ssma_core.training.evaluation import check_same_classes, evaluate, total
from ssma_core.training.stages import read_training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help=".safetensors or .onnx")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the training run")
    parser.add_argument("--split", choices=("train", "validation"), default="validation")
    parser.add_argument("--json", type=Path, help="write the result there, too")
    options = parser.parse_args()
    try:
        run(options)
    except SsmaError as error:
        sys.exit(f"evaluate: {error}")


def run(options: argparse.Namespace) -> None:
    training = read_training(options.config)
    segmenter = Segmenter(options.model)
    check_same_classes(segmenter.spec, training.model)
    drives = evaluate(segmenter, getattr(training.data, options.split).samples())
    matrix = total(drives, segmenter.spec)
    names = segmenter.spec.class_names
    print(matrix.table(names))
    if len(drives) > 1:
        print("\n".join(f"{drive}: mIoU {100 * counted.mean_iou():.1f}"
                        for drive, counted in drives.items()))
    if options.json:
        result = {"model": str(options.model), "split": options.split, **matrix.to_dict(names),
                  "drives": {drive: counted.to_dict(names) for drive, counted in drives.items()}}
        with written_whole(options.json) as temporary:
            temporary.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
