"""The memory of images that come and go.

When an image is freed, glibc returns its memory to the system, and takes new memory for the next
one, with a page fault for every page that is written. rclpy copies every incoming image more than
once, and has these page faults while it holds Python's lock and the model's thread waits for it.

Without glibc nothing is done.
"""
from __future__ import annotations

from ssma_core import glibc, return_free_memory

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # mallopt's names, of <malloc.h>
_LARGEST = 32 << 20  # bytes, glibc's limit. Colour images of 4K have 25 MB
_DEFAULT = 128 << 10  # bytes, of both: see mallopt(3)


def share() -> None:
    """Threads that start from now on take memory from the first thread's arena. Otherwise each has
    its own pieces of 64 MB: too small for a queue of large images, and an empty piece is returned
    in spite of `keep`."""
    if libc := glibc():
        libc.mallopt(_ARENA_MAX, 1)


def keep() -> None:
    """From now on the process keeps freed memory for the next images; memory that is free already
    is returned. In other threads than the first this needs `share`."""
    return_free_memory()
    _set(_LARGEST, -1)  # -1: never return memory


def give_back() -> None:
    """Memory that is free now, or is freed from now on, returns to the system."""
    _set(_DEFAULT, _DEFAULT)
    return_free_memory()


def _set(mmap_threshold: int, trim_threshold: int) -> None:
    if libc := glibc():
        libc.mallopt(_MMAP_THRESHOLD, mmap_threshold)
        libc.mallopt(_TRIM_THRESHOLD, trim_threshold)
