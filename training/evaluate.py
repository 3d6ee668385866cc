"""How good a model is on a configuration's data, by IoU and boundary F-score; which of two results
is better; what several seeds reach. See docs/evaluation.md.

    python training/evaluate.py --model models/forest.onnx \\
        --config config/training/forest.yaml --output runs/forest/evaluation
    python training/evaluate.py --compare runs/one/result.json runs/other/result.json
    python training/evaluate.py --mean runs/seed_*/result.json
"""
import argparse
import sys
from pathlib import Path

from ssma_core import SsmaError
from ssma_core.evaluation.comparison import compare_files
from ssma_core.evaluation.inference import Options
from ssma_core.evaluation.of_data_set import Evaluation, evaluate
from ssma_core.evaluation.report.words import in_words
from ssma_core.evaluation.seeds import over_seeds
from ssma_core.processes import begin_program
from ssma_core.training.stages import read_training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help=".safetensors or .onnx")
    parser.add_argument("--config", type=Path, help="YAML file of the training run")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE",
                        help="a value instead of the configuration's, as for train.py")
    parser.add_argument("--split", choices=("train", "validation"), default="validation")
    parser.add_argument("--resolution", choices=("label", "network"), default=Options.resolution,
                        help="the size at which labels are judged (default: %(default)s)")
    parser.add_argument("--scales", type=float, nargs="+", default=Options.scales,
                        help="average over these sizes of the network's, such as 0.75 1 1.25")
    parser.add_argument("--flip", action="store_true", help="average over mirror images, too")
    lost = parser.add_mutually_exclusive_group()
    lost.add_argument("--without", metavar="MODALITY", help="as if this one were lost: black")
    lost.add_argument("--alone", metavar="MODALITY", help="its expert instead of the fusion")
    parser.add_argument("--groups", metavar="FILE.yaml", help="join the model's classes to these")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="for the result and pictures")
    parser.add_argument("--compare", nargs=2, metavar=("A.json", "B.json"),
                        help="compare two results instead; folds of one are joined by '+'")
    parser.add_argument("--mean", nargs="+", metavar="RESULT.json", help="mean ± sd over seeds")
    arguments = parser.parse_args()
    begin_program()
    if not (arguments.compare or arguments.mean or (arguments.model and arguments.config)):
        parser.error("give --model and --config, or --compare, or --mean")
    try:
        if arguments.compare:
            print(in_words(compare_files(*arguments.compare)))
        elif arguments.mean:
            print(over_seeds(arguments.mean))
        else:
            run(arguments)
    except (SsmaError, OSError, KeyboardInterrupt) as error:
        sys.exit(f"evaluate: {str(error) or 'interrupted'}")


def run(arguments: argparse.Namespace) -> None:
    training = read_training(arguments.config, arguments.set)
    options = Options(arguments.resolution, tuple(arguments.scales), arguments.flip,
                      arguments.without, arguments.alone, arguments.groups)
    evaluation = Evaluation(arguments.model, training.model, options)
    evaluate(evaluation, training.samples(arguments.split), arguments.output,
             configuration=" ".join([str(arguments.config), *arguments.set]), split=arguments.split,
             model=str(arguments.model), show=lambda result: print(in_words(result)))


if __name__ == "__main__":
    main()
