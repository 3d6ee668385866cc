"""`ssma import-tf`: the original's weights to a model file."""
from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ssma_core.commands import count_to, size
from ssma_core.errors import SsmaError, naming
from ssma_core.files import check_new
from ssma_core.model_files import checkpoint
from ssma_core.model_files.npz import read_npz
from ssma_core.model_files.tf_checkpoint import read_checkpoint
from ssma_core.model_files.tf_import import import_variables, imported_spec
from ssma_core.plain import read_yaml
from ssma_core.spec import Modality, ModelSpec

SIZE = (768, 384)
SECOND_MODALITIES = {
    "depth": Modality("depth", "jet"),
    "hha": Modality("hha", "image"),
    "evi": Modality("near_infrared", "evi"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--variables", type=Path,
                        help=".npz of arrays by the names of TensorFlow's variables")
    source.add_argument("--checkpoint", type=Path,
                        help="a TensorFlow checkpoint, such as model.ckpt-1000")
    parser.add_argument("--architecture", required=True, choices=("ssma", "adapnet++"))
    facts = parser.add_mutually_exclusive_group(required=True)
    facts.add_argument("--spec", type=Path, metavar="YAML",
                       help="the classes and modalities: a training configuration, or the "
                       "model.yaml of `ssma prepare`; adapnet++ is the first modality's expert")
    facts.add_argument("--classes", type=count_to(255), help="how many, with void, where "
                       "nothing else is known")
    parser.add_argument("--size", type=size, metavar="WIDTHxHEIGHT",
                        help="the model runs at (default: as in --spec, or 768x384)")
    parser.add_argument("--modality2", choices=sorted(SECOND_MODALITIES), default="depth",
                        help="with --classes, what ssma gets beside the colour image (default: "
                        "%(default)s)")
    parser.add_argument("--output", required=True, type=Path, help="file to write (.safetensors)")


def run(options: argparse.Namespace) -> None:
    check_new(options.output)
    spec = _given_spec(options) if options.spec else _bare_spec(options)
    variables = (read_checkpoint(options.checkpoint) if options.checkpoint
                 else read_npz(options.variables))
    with naming(options.checkpoint or options.variables):
        model = import_variables(variables, spec)
    checkpoint.save(options.output, model, spec)
    print(f"wrote {options.output} ({options.output.stat().st_size / 1e6:.1f} MB)")


def _bare_spec(options: argparse.Namespace) -> ModelSpec:
    modalities = [Modality("rgb", "image")]
    if options.architecture == "ssma":
        modalities.append(SECOND_MODALITIES[options.modality2])
    return imported_spec(options.architecture, options.classes, options.size or SIZE,
                         tuple(modalities))


def _given_spec(options: argparse.Namespace) -> ModelSpec:
    """Of the file, which describes a fusion: that, or its first expert's."""
    values = read_yaml(options.spec)
    if isinstance(values, dict):
        values = values.get("model", values)
    if isinstance(values, dict):
        values = {"architecture": "ssma", "size": "full", "input_size": SIZE} | values
    with naming(options.spec):
        spec = ModelSpec.from_dict(values)
    if (spec.size, spec.rates) != ("full", "released"):
        raise SsmaError(f"{options.spec}: the original's weights are those of size 'full' with "
                        f"rates 'released', not of size {spec.size!r} with rates {spec.rates!r}")
    if options.size:
        spec = replace(spec, input_size=options.size)
    return spec if options.architecture == spec.architecture else spec.of_expert(0)
