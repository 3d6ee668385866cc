"""`ssma build-engine`: a model as an engine for an NVIDIA GPU."""
from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from ssma_core.backends import tensorrt_library
from ssma_core.commands import add_bag_arguments, count, pairing_settings
from ssma_core.commands.export import add_graph_arguments, wanted_frame
from ssma_core.commands.export import write as export
from ssma_core.disk.partial import partial_folder
from ssma_core.errors import SsmaError
from ssma_core.export.engine import build_engine, gpu_at_hand
from ssma_core.files import behind_links, check_writable
from ssma_core.model_files import onnx_parts
from ssma_core.model_files.engine_file import LIBRARY_NAMES, EngineHeader, runs_on
from ssma_core.model_files.exported import Exported, export_command, size_in_words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, type=Path, help=".onnx, or .safetensors, which "
                        "is exported first (needs PyTorch)")
    parser.add_argument("--output", required=True, type=Path, help="file to write (.engine)")
    add_graph_arguments(parser)
    parser.add_argument("--library", choices=LIBRARY_NAMES, help="the library that builds the "
                        "engine and will run it (default: the installed one, TensorRT if both are)")
    parser.add_argument("--compute-capability", nargs="+", type=capability, default=(),
                        metavar="X.Y", help="with tensorrt_rtx: build only for these GPUs, not "
                        "for 8.0 and later")
    parser.add_argument("--workspace", type=count, metavar="MIB", help="memory that a layer may "
                        "use beside its tensors (default: all)")
    parser.add_argument("--timing-cache", type=Path, metavar="FILE", help="with tensorrt: keep "
                        "measurements there, so that the next build is faster")
    parser.add_argument("--data", type=Path, help="frames, as for `ssma parity`: the engine is "
                        "written only if it gives the model's labels on them (needs the GPU)")
    add_bag_arguments(parser, "--data or --calibrate")


def capability(text: str) -> tuple[int, int]:
    """For argparse: "8.6" → (8, 6)."""
    major, _, minor = text.partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise argparse.ArgumentTypeError(
            f"a compute capability is written X.Y, for example 8.6, not {text!r}")
    return int(major), int(minor)


def run(options: argparse.Namespace) -> None:
    if options.output.suffix != ".engine":
        raise SsmaError(f"cannot write {options.output}: an engine's name ends in .engine")
    for file in filter(None, (options.output, options.timing_cache)):
        check_writable(file, [options.model])
    if options.data is not None:
        gpu_at_hand("--data runs the engine on the GPU", "leave it out here, and run `ssma parity` "
                    "where the engine is to run")
    tensorrt_library.load(options.library)  # is it installed? Before the work, not after it
    # Beside the output, so that a finished engine only needs another name.
    target = behind_links(options.output)
    with partial_folder(target) as folder:
        engine = folder / options.output.name  # a link's target may have any suffix
        header = _build(options, engine)
        os.replace(engine, target)
    print(_summary(options.output, header))
    if options.data is None:
        print("its labels are not compared with the model's yet; where it is to run: "
              f"{shlex.join(['ssma', 'parity', str(options.model), str(options.output)])} "
              "--data DATA")


def _build(options: argparse.Namespace, engine: Path) -> EngineHeader:
    """Builds the engine, and the files that it needs, in the engine's folder; compares it with the
    model if there are frames."""
    onnx = _onnx(options, engine.parent)
    header = build_engine(
        onnx, engine, _command(options), library=options.library,
        capabilities=options.compute_capability, workspace=options.workspace,
        timing_cache=options.timing_cache)
    if options.data is not None:
        from ssma_core.export.gate import gate
        print(gate(options.model, engine, options.data, options.topics,
                   pairing_settings(options), built_from=onnx))
    return header


def _onnx(options: argparse.Namespace, folder: Path) -> Path:
    """The ONNX file to build: the given one, or the checkpoint exported as the options say."""
    if options.model.suffix == ".safetensors":
        onnx = folder / f"{options.model.stem}.onnx"
        export(options, onnx)
        return onnx
    if options.model.suffix == ".onnx":
        _check_options(options, onnx_parts.read(options.model)[1])
        return Path(options.model)
    raise SsmaError(f"{options.model}: an engine is built from a .safetensors or an .onnx file")


def _check_options(options: argparse.Namespace, exported: Exported) -> None:
    """Raises SsmaError where the options ask for another file than the ONNX file."""
    if options.calibrate is not None or options.agreement is not None:
        raise SsmaError(f"--calibrate and --agreement are for a .safetensors file; {options.model} "
                        f"is {_words(exported)} already")
    now = exported.frame
    frame = wanted_frame(argparse.Namespace(camera=options.camera or (now and now.size),
                                           aux=options.aux or (now and now.aux)))
    precision = options.precision or exported.precision
    if (precision, frame) != (exported.precision, now):
        command = export_command(precision, frame, output=str(options.model))
        raise SsmaError(f"{options.model} is {_words(exported)}, and an ONNX file stays what it "
                        f"was exported as; export another: {command}")


def _command(options: argparse.Namespace) -> str:
    """See EngineHeader.command. Paths are absolute, so that it works from any folder."""
    words = ["ssma", "build-engine", "--model", options.model.resolve(),
             "--output", options.output.resolve()]
    if options.camera:
        words += ["--camera", size_in_words(options.camera)]
    for name in ("aux", "precision", "agreement", "workspace"):
        if getattr(options, name) is not None:
            words += [f"--{name}", getattr(options, name)]
    if options.calibrate:
        words += ["--calibrate", options.calibrate.resolve()]
        if options.topics:
            words += ["--topics", *options.topics, "--slop", options.slop,
                      "--aux-delay", options.aux_delay]
    return shlex.join(map(str, words))


def _words(exported: Exported) -> str:
    frame = exported.frame
    if frame is None:
        return f"{exported.precision} without --camera"
    aux = "" if frame.aux is None else f" --aux {frame.aux}"
    return f"{exported.precision} with --camera {size_in_words(frame.size)}{aux}"


def _summary(output: Path, header: EngineHeader) -> str:
    return (f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB): {_words(header.exported)}, "
            f"by {LIBRARY_NAMES[header.library]} {header.version} for {runs_on(header)}")
