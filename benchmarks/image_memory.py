"""Measures the CPU time for receiving images when their memory is given back to the system and when
it is kept (ssma_ros/node/memory.py), in turns.

    python benchmarks/image_memory.py

One process sends pairs over DDS with the shipped Fast DDS profile. Another one receives them and
does nothing else, so that its CPU time is that of receiving.
"""
from __future__ import annotations

import argparse
import json
import resource
import select
import subprocess
import sys
import threading
from statistics import median

from node_overhead import PATIENCE_S, Case, send

from ssma_core import SsmaError
from ssma_ros.node import memory
from ssma_ros.replay import dds

WAYS = ("given back", "kept")
FIRST = 10  # the first pairs are ignored: they need new memory in both cases


def main() -> None:
    options = _parser().parse_args()
    if options.take:
        _take(options.take)
        return
    dds.isolate()  # before anything imports rclpy
    try:
        for size in options.sizes:
            case = Case(size, options.rate, None)
            rounds = [{way: _run(case, way, options.pairs) for way in WAYS}
                      for _ in range(options.rounds)]
            for way in WAYS:
                cpu, faults = (median(one[way][of] for one in rounds) for of in ("cpu", "faults"))
                print(f"{size:>9}, {way:10}: {cpu:5.2f} ms of CPU and {faults:4.0f} page faults "
                      "a pair", flush=True)
    except SsmaError as error:
        sys.exit(f"image_memory: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", metavar="WxH",
                        default=["768x384", "1280x720", "1920x1080", "3840x2160"])
    parser.add_argument("--rate", type=float, default=15.0, help="of the camera, Hz (default: 15)")
    parser.add_argument("--pairs", type=int, default=150, help="pairs per run (default: 150)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each way (default: 3)")
    parser.add_argument("--take", choices=WAYS, help=argparse.SUPPRESS)  # in the other process
    return parser


def _run(case: Case, way: str, pairs: int) -> dict[str, float]:
    taker = subprocess.Popen([sys.executable, __file__, "--take", way],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        send(case, pairs)
        output, _ = taker.communicate("", PATIENCE_S)  # closes its standard input
    finally:
        taker.kill()
        taker.wait()
    if taker.returncode:
        raise SsmaError("the process that receives images failed")
    return dict(json.loads(output))


def _take(way: str) -> None:
    """Receives images until standard input is closed, and prints the cost of a pair (JSON): "cpu"
    in milliseconds, "faults" in page faults."""
    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import Image

    used: list[resource.struct_rusage] = []
    rclpy.init()
    node = rclpy.create_node("taker")
    for topic in ("rgb/image", "aux/image"):
        node.create_subscription(Image, topic, lambda _: used.append(
            resource.getrusage(resource.RUSAGE_SELF)), qos_profile_sensor_data)
    if way == "kept":
        memory.share()
        memory.keep()

    def spin() -> None:
        while not select.select([sys.stdin], [], [], 0)[0]:
            rclpy.spin_once(node, timeout_sec=0.1)

    taking = threading.Thread(target=spin)  # as in the node's process
    taking.start()
    taking.join()
    if len(used) <= 2 * FIRST:
        sys.exit(f"only {len(used)} images came: send more pairs")
    first, last, pairs = used[2 * FIRST], used[-1], len(used) / 2 - FIRST
    cpu_s = last.ru_utime + last.ru_stime - first.ru_utime - first.ru_stime
    print(json.dumps({"cpu": 1e3 * cpu_s / pairs,
                      "faults": (last.ru_minflt - first.ru_minflt) / pairs}))


if __name__ == "__main__":
    main()
