"""Two computers, as network namespaces of this machine, and a cable between them that loses and
delays packets: TAP devices and a relay, where the kernel has no netem. Needs root."""
from __future__ import annotations

import fcntl
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
ENDS = f"ssma_a{os.getpid()}", f"ssma_b{os.getpid()}"  # the namespaces, and the devices in them


def is_possible() -> bool:
    """Whether this machine lets us make namespaces and devices."""
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return False
    try:
        _ip("netns", "add", "ssma_probe")
    except (OSError, subprocess.CalledProcessError):
        return False
    _ip("netns", "delete", "ssma_probe")
    return True


@contextmanager
def cable(loss: float, delay_s: float) -> Iterator[threading.Event]:
    """`ip netns exec` runs programs at its two ENDS. loss: share of the packets,
    in either direction. Yields what cuts it while it is set."""
    with ExitStack() as made:
        devices = []
        for number, name in enumerate(ENDS, 1):
            device = os.open("/dev/net/tun", os.O_RDWR)
            made.callback(os.close, device)
            fcntl.ioctl(device, TUNSETIFF,
                        struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
            _ip("netns", "add", name)
            made.callback(_ip, "netns", "delete", name)
            _ip("link", "set", name, "netns", name)
            _ip("-n", name, "address", "add", f"10.77.0.{number}/24", "dev", name)
            for link in ("lo", name):
                _ip("-n", name, "link", "set", link, "up")
            _ip("-n", name, "route", "add", "default", "dev", name)  # multicast too
            devices.append(device)
        cut, ended = threading.Event(), threading.Event()
        relay = threading.Thread(target=_relay, args=(devices, loss, delay_s, cut, ended))
        relay.start()
        made.callback(relay.join)
        made.callback(ended.set)
        yield cut


def _relay(devices: list[int], loss: float, delay_s: float, cut: threading.Event,
           ended: threading.Event) -> None:
    other = dict(zip(devices, reversed(devices)))
    under_way: deque[tuple[float, int, bytes]] = deque()
    draw = random.Random(1)
    while not ended.is_set():
        for device in select.select(devices, [], [], 0.002)[0]:
            packet = os.read(device, 65536)
            if draw.random() >= loss and not cut.is_set():
                under_way.append((time.monotonic() + delay_s, other[device], packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, device, packet = under_way.popleft()
            try:
                os.write(device, packet)
            except OSError:  # full, or gone
                continue


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
