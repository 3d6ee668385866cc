"""TensorRT or TensorRT for RTX: which one is installed, and what it logs."""
from __future__ import annotations

import importlib
import importlib.util
import logging
from dataclasses import dataclass
from functools import cache
from typing import Any

from ssma_core.errors import SsmaError
from ssma_core.model_files.engine_file import LIBRARY_NAMES, Library

_PACKAGES: dict[Library, str] = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx-cu13"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TensorRt:
    """An installed library.

    module: `tensorrt` or `tensorrt_rtx`; their classes have the same names.
    logger: the one for every Builder and Runtime, since a library keeps the first of a process. Its
      `errors` are those that the library logged since the list was last emptied.
    """

    library: Library
    module: Any
    logger: Any

    @property
    def name(self) -> str:
        return LIBRARY_NAMES[self.library]

    @property
    def version(self) -> str:
        return str(self.module.__version__)


def load(library: Library | None = None) -> TensorRt:
    """library: None for the installed one, TensorRT where both are installed.
    Raises SsmaError with the command that installs it."""
    if library is not None:
        return _load(library)
    for candidate in LIBRARY_NAMES:
        if importlib.util.find_spec(candidate) is not None:
            return _load(candidate)
    choices = " or ".join(f"`pip install {package}` ({LIBRARY_NAMES[name]})"
                          for name, package in _PACKAGES.items())
    raise SsmaError("engines need TensorRT or TensorRT for RTX, and neither is installed: "
                    f"{choices}")


@cache
def _load(library: Library) -> TensorRt:
    try:
        module = importlib.import_module(library)
    except ImportError as error:
        raise SsmaError(f"{LIBRARY_NAMES[library]} is not installed, or cannot be loaded "
                        f"({error}): pip install {_PACKAGES[library]}") from error
    return TensorRt(library, module, _logger(module))


@cache
def _logger(module: Any) -> Any:
    severity_of = module.ILogger.Severity
    wrong = (severity_of.INTERNAL_ERROR, severity_of.ERROR)

    class Logger(module.ILogger):
        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in wrong:
                self.errors.append(message)
            else:
                _log.debug("%s", message)

    return Logger()
