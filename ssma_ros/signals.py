"""SIGINT and SIGTERM, with which Ctrl-C, `ros2 launch` and systemd end a program."""
from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM)


def handle(handler: Callable[..., object] | signal.Handlers) -> None:
    """Both alike. handler: as of signal.signal."""
    for number in ENDING:
        signal.signal(number, handler)


@contextmanager
def wait() -> Iterator[None]:
    """They come after the block."""
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
