"""What computed a result."""
from __future__ import annotations

import importlib
import platform
from contextlib import suppress
from importlib import metadata

import cv2
import numpy as np


def versions(backend: str) -> tuple[str, ...]:
    """"name version" of what a figure depends on. backend: its name, which is its library's."""
    library = importlib.import_module(backend)
    found = {"python": platform.python_version(), "numpy": np.__version__,
             "opencv": cv2.__version__, backend: library.__version__}
    # Run from its folder, without an installation, it has no version.
    with suppress(metadata.PackageNotFoundError):
        found["ssma_ros"] = metadata.version("ssma_ros")
    return tuple(f"{name} {version}" for name, version in found.items())
