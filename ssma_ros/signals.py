"""SIGINT and SIGTERM, by which Ctrl-C, `ros2 launch` and systemd end a program."""
from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM)


def handle(handler: Callable[..., object] | signal.Handlers) -> None:
    """Sets one handler for both. handler: as for signal.signal."""
    for number in ENDING:
        signal.signal(number, handler)


@contextmanager
def wait() -> Iterator[None]:
    """A signal that comes inside the block is handled after it."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in ENDING}
    handle(lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
