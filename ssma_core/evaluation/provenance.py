"""What computed a result."""
from __future__ import annotations

import importlib
import os
import platform
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np

from ssma_core.errors import SsmaError


def versions(backend: str) -> tuple[str, ...]:
    """"name version" of what a figure depends on. backend: its name, which is its library's."""
    library = importlib.import_module(backend)
    found = {"python": platform.python_version(), "numpy": np.__version__,
             "opencv": cv2.__version__, backend: library.__version__}
    # Run from its folder, without an installation, it has no version.
    with suppress(metadata.PackageNotFoundError):
        found["ssma_ros"] = metadata.version("ssma_ros")
    return tuple(f"{name} {version}" for name, version in found.items())


def cpu() -> str:
    """The processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpu() -> str | None:
    """The name of the one that torch or TensorRT would use; None where there is none."""
    with suppress(ModuleNotFoundError):
        import torch
        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    with suppress(ModuleNotFoundError, SsmaError):
        from ssma_core.backends import cuda
        return cuda.gpu().name
    return None


def machine(backend: str) -> str:
    """The processors that a backend may use, in words."""
    cores = len(os.sched_getaffinity(0))
    words = f"{cpu()}, {cores} core{'s' * (cores > 1)}"
    card = None if backend == "onnxruntime" else gpu()
    return f"{words}; {card}" if card else words
