"""What a model file of any kind says of its model, without opening the model."""
from __future__ import annotations

from pathlib import Path

from ssma_core.errors import SsmaError, needing
from ssma_core.model_files import engine_file, onnx_parts
from ssma_core.model_files.exported import Exported
from ssma_core.spec import ModelSpec

EXPORTED = (".onnx", ".engine")
MODELS = (".safetensors", *EXPORTED)


def spec_of(path: Path) -> ModelSpec:
    """Raises SsmaError where the file is none of MODELS, or cannot be read."""
    if path.suffix in EXPORTED:
        return exported_of(path).spec
    if path.suffix not in MODELS:
        raise SsmaError(f"{path} is no model file: give {', '.join(MODELS)}")
    with needing(path, ", or give its .onnx file"):  # a robot has no safetensors
        from ssma_core.model_files import checkpoint
        return checkpoint.read_spec(path)


def exported_of(path: Path) -> Exported:
    """path: one of EXPORTED. Raises SsmaError where it cannot be read."""
    is_engine = path.suffix == ".engine"
    return engine_file.read(path)[0].exported if is_engine else onnx_parts.read(path)[1]
