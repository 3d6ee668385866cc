"""Checkpoints: weights and spec in one safetensors file. Nothing in the file is executed."""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from ssma_core.errors import SsmaError, naming
from ssma_core.files import atomic_write
from ssma_core.spec import ModelSpec

if TYPE_CHECKING:
    from ssma_core.model import SegmentationNetwork

FORMAT, VERSION = "ssma", "1"


def save(path: str | Path, model: SegmentationNetwork, spec: ModelSpec, *,
         write: Callable[[Path], AbstractContextManager[Path]] = atomic_write) -> None:
    """Writes `path` with `write`, which may be atomic only or also durable. Raises SsmaError when
    `path` does not end in .safetensors or cannot be written."""
    from safetensors.torch import save as to_bytes

    if Path(path).suffix != ".safetensors":
        raise SsmaError(f"cannot write {path}: a model file's name must end in .safetensors")
    metadata = {"format": FORMAT, "version": VERSION, "spec": spec.to_json()}
    with write(Path(path)) as temporary:
        # Not by `save_file`: it writes to a temporary file of its own, which a killed run leaves.
        temporary.write_bytes(to_bytes(model.state_dict(), metadata))


def load(path: str | Path) -> tuple[SegmentationNetwork, ModelSpec]:
    """Reads a checkpoint. Returns the network, on the CPU and in evaluation mode, and its spec.

    The network has auxiliary heads and unimodal decoders if the file has them. Raises SsmaError
    when the file cannot be read, is not a model file of this project, names an expert that does
    not exist here, or does not contain the weights of its spec.
    """
    import torch

    from ssma_core.model import build

    spec = read_spec(path)
    with _opened(path, "pt") as file:
        # Copies: the file's memory is unaligned, and someone may overwrite the file while we run.
        weights = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    heads, alone = (any(name.startswith(part) for name in weights)
                    for part in ("auxiliary_heads.", "alone."))
    # Without random weights: the file's tensors replace these.
    with naming(path), torch.device("meta"):
        model = build(spec, auxiliary_heads=heads, alone=alone)
    wanted = model.state_dict()
    fault = differences({name: tuple(w.shape) for name, w in weights.items()},
                        {name: tuple(w.shape) for name, w in wanted.items()})
    if fault:
        raise SsmaError(f"{path} contains other weights than its own spec asks for; it was damaged "
                        f"or edited, write it again.\n{fault}")
    weights = {name: weight.to(wanted[name].dtype) for name, weight in weights.items()}
    model.load_state_dict(weights, assign=True)
    return model.eval(), spec


def read_spec(path: str | Path) -> ModelSpec:
    """Reads the spec only, without importing torch. Raises SsmaError as `load` does."""
    with _opened(path, "numpy") as file:
        metadata: dict[str, Any] = file.metadata() or {}
    if metadata.get("format") != FORMAT or "spec" not in metadata:
        raise SsmaError(f"{path} is a safetensors file, but not one of this project: it has no "
                        "model spec; make one by training or with `ssma import-tf`")
    if metadata.get("version") != VERSION:
        raise SsmaError(f"{path} has format version {metadata.get('version')}, this program reads "
                        f"version {VERSION}; update the program")
    with naming(path):
        return ModelSpec.from_json(metadata["spec"])


def has_unimodal(path: str | Path) -> bool:
    """Whether the experts of the model have decoders of their own. Raises SsmaError as `load`."""
    with _opened(path, "numpy") as file:
        return any(name.startswith("alone.") for name in file.keys())  # noqa: SIM118


@contextmanager
def _opened(path: str | Path, framework: str) -> Iterator[Any]:
    if Path(path).suffix in (".onnx", ".engine"):
        raise SsmaError(f"{path} is exported already: give the .safetensors that it was made of")
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise SsmaError(f"cannot read the model file {path}: it is missing, cut short, or not a "
                        f"safetensors file ({error}); fetch it again") from error


def weights_hash(model: SegmentationNetwork) -> str:
    """SHA-256 (hexadecimal) of the tensors with their names, shapes and dtypes: the same for the
    same weights, on any device and from any file."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def differences(given: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> str:
    """Lists the shapes, by name, that are missing, left over or different from `wanted`, one per
    line; "" when there are none."""
    other = [f"{name} is {_shape(given[name])} instead of {_shape(shape)}"
             for name, shape in wanted.items() if name in given and given[name] != shape]
    faults = {"missing": [name for name in wanted if name not in given],
              "left over": [name for name in given if name not in wanted],
              "of another shape": other}
    return "\n".join("\n  ".join([f"{fault} ({len(names)}):", *names])
                     for fault, names in faults.items() if names)


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(side) for side in shape) or "a single number"
