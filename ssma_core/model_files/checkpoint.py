"""Model files: weights and spec in one safetensors file. Nothing in it is ever executed."""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from ssma_core.errors import SsmaError
from ssma_core.files import atomic_write
from ssma_core.spec import ModelSpec

if TYPE_CHECKING:
    from ssma_core.model import SegmentationNetwork

FORMAT, VERSION = "ssma", "1"


def save(path: str | Path, model: SegmentationNetwork, spec: ModelSpec, *,
         written: Callable[[Path], AbstractContextManager[Path]] = atomic_write) -> None:
    """Writes `path` whole or not at all, in the way of `written`. Raises SsmaError when it is not
    named *.safetensors or cannot be written."""
    from safetensors.torch import save_file

    if Path(path).suffix != ".safetensors":
        raise SsmaError(f"cannot write {path}: a model file's name must end in .safetensors")
    metadata = {"format": FORMAT, "version": VERSION, "spec": spec.to_json()}
    with written(Path(path)) as temporary:
        try:
            save_file(model.state_dict(), temporary, metadata)
        except SafetensorError as error:  # such as a disk without room
            raise SsmaError(f"cannot write {path}: {error}") from error


def load(path: str | Path) -> tuple[SegmentationNetwork, ModelSpec]:
    """The network, on the CPU and in evaluation mode, and its spec.

    Auxiliary heads and decoders for the experts alone come along where the file has them. Raises
    SsmaError when the file cannot be read, is no model file of this project, asks for an expert
    that is not registered here, or holds other weights than its spec asks for.
    """
    import torch

    from ssma_core.model import build

    spec = read_spec(path)
    with safe_open(path, framework="pt") as file:
        # Copies: the file's own memory is unaligned, and may be written anew while we run.
        weights = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    heads, alone = (any(name.startswith(part) for name in weights)
                    for part in ("auxiliary_heads.", "alone."))
    try:
        with torch.device("meta"):  # nothing is drawn: the file's tensors take its own ones' place
            model = build(spec, auxiliary_heads=heads, alone=alone)
    except SsmaError as error:
        raise SsmaError(f"{path}: {error}") from error
    wanted = model.state_dict()
    fault = differences({name: tuple(w.shape) for name, w in weights.items()},
                        {name: tuple(w.shape) for name, w in wanted.items()})
    if fault:
        raise SsmaError(f"{path} holds other weights than its own spec asks for; it was damaged or "
                        f"edited, write it again.\n{fault}")
    weights = {name: weight.to(wanted[name].dtype) for name, weight in weights.items()}
    model.load_state_dict(weights, assign=True)
    return model.eval(), spec


def read_spec(path: str | Path) -> ModelSpec:
    """The spec alone; imports no torch. Raises SsmaError as `load` does."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata: dict[str, Any] = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise SsmaError(f"cannot read the model file {path}: it is missing, cut short, or no "
                        f"safetensors file ({error}); fetch it again") from error
    if metadata.get("format") != FORMAT or "spec" not in metadata:
        raise SsmaError(f"{path} is a safetensors file, but not one of this project: it has no "
                        "model spec; make one by training or with `ssma import-tf`")
    if metadata.get("version") != VERSION:
        raise SsmaError(f"{path} has format version {metadata.get('version')}, this program reads "
                        f"version {VERSION}; update the program")
    try:
        return ModelSpec.from_json(metadata["spec"])
    except SsmaError as error:
        raise SsmaError(f"{path}: {error}") from error


def weights_hash(model: SegmentationNetwork) -> str:
    """SHA-256 of the tensors, their names and shapes: the same for the same weights, wherever they
    are and whichever file they came from."""
    digest = hashlib.sha256()
    for name, weight in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def differences(given: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> str:
    """Which shapes, by name, are missing, left over or other than wanted, one a line; "" when none
    is."""
    other = [f"{name} is {_shape(given[name])} instead of {_shape(shape)}"
             for name, shape in wanted.items() if name in given and given[name] != shape]
    faults = {"missing": [name for name in wanted if name not in given],
              "left over": [name for name in given if name not in wanted],
              "of another shape": other}
    return "\n".join("\n  ".join([f"{fault} ({len(names)}):", *names])
                     for fault, names in faults.items() if names)


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(str(side) for side in shape) or "a single number"
