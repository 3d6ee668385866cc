"""The memory of images that come and go.

glibc gives what an image took back to the system when the image is freed, and asks for other memory
for the next one, page by page as it is written. rclpy copies every image more than once on its way
in, and takes these page faults with Python's lock held, while the model's thread waits for it.

Elsewhere than on glibc nothing is done.
"""
from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # mallopt's names, of <malloc.h>
_LARGEST = 32 << 20  # bytes; glibc takes no more. Colour images of 4K have 25 MB
_DEFAULT = 128 << 10  # bytes, of both: see mallopt(3)


def share() -> None:
    """Threads that begin from now on take memory where the first one does. Else each would have
    pieces of 64 MB of its own, too small for a queue of large images, and an empty piece is given
    back whatever is to be kept."""
    if libc := _glibc():
        libc.mallopt(_ARENA_MAX, 1)


def keep() -> None:
    """From now on what is freed stays here, for what comes next; what is free already goes back.
    In other threads than the first only as far as they `share`."""
    _give_back()
    _set(_LARGEST, -1)  # -1: never give back


def give_back() -> None:
    """What is free now goes back to the system, and so does what is freed from now on."""
    _set(_DEFAULT, _DEFAULT)
    _give_back()


def _set(mmap_threshold: int, trim_threshold: int) -> None:
    if libc := _glibc():
        libc.mallopt(_MMAP_THRESHOLD, mmap_threshold)
        libc.mallopt(_TRIM_THRESHOLD, trim_threshold)


def _give_back() -> None:
    if libc := _glibc():
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
