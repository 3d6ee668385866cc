"""The `ssma` command: each sub-command is one module of ssma_core.commands."""
from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from ssma_core.errors import SsmaError
from ssma_core.processes import begin_program

# name on the command line: (module in ssma_core.commands, one line of help)
COMMANDS = {
    "predict": ("predict", "label pictures, data sets and bags"),
    "import-tf": ("import_tf", "convert weights of the original TensorFlow code"),
    "export": ("export", "write a model as ONNX, with everything in the graph"),
    "build-engine": ("build_engine", "build a model's TensorRT engine"),
    "parity": ("parity", "check whether two model files give the same labels"),
    "extract": ("extract", "take frames out of bags, to be labelled"),
    "prepare": ("prepare", "convert a public data set to list files and encoded images"),
    "export-labels": ("export_labels", "write labels for an annotation tool"),
    "import-labels": ("import_labels", "read an annotation tool's masks into a data folder"),
    "register": ("register", "find how a recording's second camera fits colour"),
    "synthesize": ("synthesize", "make drives through a synthetic forest"),
    "benchmark": ("benchmark", "time the backends, as ratios of one run"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a sub-command. Returns the exit status: 0; 1 after an error, 130 when interrupted
    (Ctrl-C or SIGTERM), both with a message on standard error."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="ssma", description="Semantic segmentation from two "
                                     "images of one scene (SSMA, AdapNet++).")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, (module_name, help_line) in COMMANDS.items():
        command = commands.add_parser(name, help=help_line, description=help_line)
        # Only the requested module is imported: `predict` must run on a robot without torch.
        if name in arguments[:1]:
            module = importlib.import_module(f"ssma_core.commands.{module_name}")
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    options = parser.parse_args(arguments)
    begin_program()
    try:
        options.run(options)
    except SsmaError as error:
        print(f"ssma {options.command}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        words = (f"ssma {options.command}", error.filename, error.strerror or error)
        print(*filter(None, words), sep=": ", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"ssma {options.command}: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
