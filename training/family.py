"""Trains and evaluates the models of docs/results.md, for the given seeds.

    python training/family.py 0 1 2

Finished runs are skipped and stopped ones are resumed. On a machine with several cores, start one
process per seed, with OMP_NUM_THREADS=1.
"""
import argparse
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from ssma_core.training.stages import read_training

Run = tuple[str, str, list[str]]  # configuration, folder, settings


def runs(seed: int) -> Iterator[Run]:
    """All runs of one seed."""
    for name in ("forest", "tiny_forest", "forest_evi"):  # the last takes the first's colour expert
        yield name, f"family/{seed}/{name}", []
    yield "road", f"road/{seed}/from_2", []
    yield "road", f"road/{seed}/from_1", ["data.train.rgb=rgb/1_*",
                                          "data.validation.rgb=rgb/2_*"]
    for fold in range(3):
        others = [other for other in range(3) if other != fold]
        yield "tiny_field", f"field/{seed}/fold_{fold}", [
            f"data.train.take={others}", f"data.validation.take=[{fold}]"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="+", metavar="SEED")
    for seed in parser.parse_args().seeds:
        for name, folder, settings in runs(seed):
            config, output = f"config/training/{name}.yaml", Path("runs") / folder
            common = ["--config", config, *(word for setting in [f"seed={seed}", *settings]
                                            for word in ("--set", setting))]
            call("train.py", *common, "--output", str(output))
            training = read_training(config)
            for stage in training.stages:
                evaluate(common, output / stage.name)
            last = training.stages[-1]
            options = ["--without", "--alone"] if last.trains == "alone" else ["--without"]
            for modality, option in product(training.model.modalities, options):
                evaluate(common, output / last.name, option, modality.name)


def evaluate(common: list[str], model: Path, *options: str) -> None:
    """Evaluates a model file into a folder named after it and the options, unless done before."""
    folder = model.with_name("_".join([model.name, *options]).replace("--", ""))
    if not (folder / "result.json").exists():
        call("evaluate.py", *common, "--model", f"{model}.safetensors", *options,
             "--output", str(folder))


def call(script: str, *arguments: str) -> None:
    subprocess.run([sys.executable, str(Path(__file__).with_name(script)), *arguments], check=True)


if __name__ == "__main__":
    main()
