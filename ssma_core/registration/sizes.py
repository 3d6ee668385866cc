"""The sizes of images that a registration is for."""
from __future__ import annotations

from typing import Any, Protocol

import numpy.typing as npt

from ssma_core.errors import SsmaError

Size = tuple[int, int]


class Sized(Protocol):
    """Sizes are (width, height). file: None where it was not read from one."""

    @property
    def file(self) -> str | None: ...

    @property
    def colour_size(self) -> Size: ...

    @property
    def aux_size(self) -> Size: ...


def check_sizes(registration: Sized, aux: npt.NDArray[Any], colour_size: Size | None) -> None:
    """Raises SsmaError where the images are of other sizes than the registration."""
    given = [("the second sensor's", (aux.shape[1], aux.shape[0]), registration.aux_size)]
    if colour_size:
        given.append(("colour", colour_size, registration.colour_size))
    for whose, found, wanted in given:
        if found != wanted:
            raise SsmaError(f"{begin(registration)}the registration is of {whose} images of "
                            f"{as_text(wanted)}, and they are {as_text(found)} (width x height): "
                            "make one of these with `ssma register`")


def begin(registration: Sized) -> str:
    """Of an error: the file, if there is one."""
    return f"{registration.file}: " if registration.file else ""


def as_text(size: Size) -> str:
    """Such as "640x480"."""
    return f"{size[0]}x{size[1]}"
