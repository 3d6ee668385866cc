"""`replay`: a rosbag2 onto topics, at the pace at which it was recorded.

The recorded bytes are published as they are, never decoded, so that replaying costs little beside
the node under test.
"""
from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

try:
    import rclpy
    from rclpy.duration import Duration
    from rclpy.node import Node
    from rclpy.publisher import Publisher
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
    from rclpy.signals import SignalHandlerOptions
    from rclpy.utilities import remove_ros_args
    from rosgraph_msgs.msg import Clock
    from std_msgs.msg import String
except ImportError as error:
    sys.exit(f"replay: ROS 2 is not here ({error}): source the setup.bash of a ROS distribution, "
             "or install ROS's Python packages with this one's extra 'ros' (pip)")

from rosbags.interfaces import QosDurability, QosReliability
from tqdm import tqdm

from ssma_core import SsmaError, rosbag2
from ssma_ros import signals

CLOCK = "/clock"
MOST_DEPTH = 1000  # messages of a history: a bag's metadata may say any number
TICK_S = 0.025  # /clock at 40 Hz, as `ros2 bag play --clock` has it


def paced(recorded: Iterable[rosbag2.Recorded], rate: float,
          tick: Callable[[int], None]) -> Iterator[rosbag2.Recorded]:
    """Yields each message when its turn comes, `rate` times as fast as they were recorded.

    tick is called with the bag's time in nanoseconds, at once and then at 40 Hz. A consumer that
    takes too long delays messages but loses none, and the pace is caught up with.
    """
    begin_s, begin_ns, next_tick_s = 0.0, None, 0.0
    for message in recorded:
        if begin_ns is None:
            begin_s, begin_ns = time.monotonic(), message.time_ns
        due_s = begin_s + (message.time_ns - begin_ns) / 1e9 / rate
        while True:
            now_s = time.monotonic()
            if now_s >= next_tick_s:
                tick(begin_ns + round((now_s - begin_s) * rate * 1e9))
                next_tick_s = now_s + TICK_S
            if now_s >= due_s:
                break
            time.sleep(max(0.0, min(due_s, next_tick_s) - time.monotonic()))
        yield message


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit status: 0 (also when interrupted), or 1 after a message
    on standard error."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # As Python's handler, so that a sleep ends at once and the publishers end in order.
    signals.handle(_interrupt)
    try:
        _replay(_parser().parse_args(_without_ros_arguments(arguments)), arguments)
    except SsmaError as error:
        print(f"replay: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("replay: interrupted", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="replay", description="Replays a rosbag2 onto topics.",
        epilog="ROS's own arguments work too: --ros-args -r FROM:=TO publishes under another name.")
    parser.add_argument("bag", help="rosbag2 folder, .mcap or .db3 file")
    parser.add_argument("--rate", type=float, default=1.0, metavar="R",
                        help="times as fast as recorded (default: 1)")
    parser.add_argument("--loop", action="store_true",
                        help="begin again at the end; stamps jump back, as with `ros2 bag play`")
    parser.add_argument("--clock", action="store_true", help="publish the bag's time on /clock")
    parser.add_argument("--topics", nargs="+", metavar="TOPIC", help="only these (default: all)")
    parser.add_argument("--wait-for-subscribers", type=float, default=0.0, metavar="SECONDS",
                        help="begin when every topic, /clock too, has a subscriber; give up after "
                             "SECONDS (default: begin at once)")
    parser.add_argument("--clock-subscribers", type=int, default=1, metavar="N",
                        help="how many /clock must have then (default: 1)")
    parser.add_argument("--wait-for-mode", metavar="TOPIC",
                        help="begin when a segmentation node is active, which it says on TOPIC, "
                             "its semantic/mode")
    return parser


def _interrupt(*_: object) -> None:
    """Once: under `ros2 launch` Ctrl-C comes twice, and the second would be told as a crash."""
    signals.handle(signal.SIG_IGN)
    raise KeyboardInterrupt


def _without_ros_arguments(arguments: list[str]) -> list[str]:
    try:
        return list(remove_ros_args(arguments))
    except RuntimeError as error:
        raise SsmaError(f"ROS does not take these arguments: {error}") from error


def _replay(options: argparse.Namespace, arguments: list[str]) -> None:
    if not 0 < options.rate < float("inf"):
        raise SsmaError(f"--rate must be positive, got {options.rate:g}")
    if not 0 <= options.wait_for_subscribers < float("inf"):
        raise SsmaError("--wait-for-subscribers must be a number of seconds, got "
                        f"{options.wait_for_subscribers:g}")
    chosen = _chosen_topics(options)
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = Node("replay", enable_rosout=False, start_parameter_services=False)
        publishers = {name: node.create_publisher(_message_class(topic.type), name, _qos(topic))
                      for name, topic in chosen.items()}
        clock = node.create_publisher(Clock, CLOCK, 10) if options.clock else None
        if options.wait_for_subscribers:
            wanted = [(publisher, 1) for publisher in publishers.values()]
            if clock:
                wanted.append((clock, options.clock_subscribers))
            _wait_for_subscribers(wanted, options.wait_for_subscribers)
        if options.wait_for_mode:
            _wait_for_mode(node, options.wait_for_mode)
        _publish(options, publishers, sum(t.messages for t in chosen.values()), _ticking(clock))
        for publisher in publishers.values():  # or the last ones would die with this process
            publisher.wait_for_all_acked(Duration(seconds=2))
    finally:
        rclpy.try_shutdown()


def _publish(options: argparse.Namespace, publishers: Mapping[str, Publisher], total: int,
             tick: Callable[[int], None]) -> None:
    while True:
        recorded = rosbag2.messages(options.bag, list(publishers))
        sent = 0
        with tqdm(total=total, desc="replay", unit="message", disable=None) as progress:
            for message in paced(recorded, options.rate, tick):
                publishers[message.topic].publish(message.data)
                sent += 1
                progress.update()
        if not options.loop:
            print(f"replayed {sent} messages of {len(publishers)} topics")
            return


def _chosen_topics(options: argparse.Namespace) -> dict[str, rosbag2.Topic]:
    """What to replay: the topics asked for, or all whose type is installed and that our own
    /clock does not replace."""
    found = rosbag2.topics(options.bag)
    if options.topics:
        rosbag2.check(options.bag, found, options.topics)
        return {name: found[name] for name in options.topics}
    chosen = {}
    for name, topic in found.items():
        try:
            if reason := rosbag2.unreadable(topic):
                raise SsmaError(f"it has {reason}")
            _message_class(topic.type)
        except SsmaError as error:
            print(f"replay: leaving out {name}: {error}", file=sys.stderr)
            continue
        if not (options.clock and name == CLOCK):
            chosen[name] = topic
    if not any(topic.messages for topic in chosen.values()):
        raise SsmaError(f"{options.bag} has nothing to replay")
    return chosen


def _message_class(type_name: str) -> type:
    """Raises SsmaError where its package is not installed. No other module is imported because a
    bag names it."""
    package, _, name = type_name.partition("/msg/")
    try:
        if not _is_of_messages(package):
            raise ImportError(package)
        found: type = getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise SsmaError(f"the message type {type_name} is not installed") from error
    return found


def _is_of_messages(package: str) -> bool:
    """By the library that rosidl puts into each such package, before any of it runs."""
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    places = (found and found.submodule_search_locations) or ()
    return any(next(Path(place).glob(f"{package}_s__rosidl_typesupport_c.*"), None)
               for place in places)


def _qos(topic: rosbag2.Topic) -> QoSProfile:
    """As recorded where all who published it agreed; otherwise reliable, which every subscriber
    takes."""
    offered = topic.offered_qos
    best_effort = {qos.reliability for qos in offered} == {QosReliability.BEST_EFFORT}
    latched = {qos.durability for qos in offered} == {QosDurability.TRANSIENT_LOCAL}
    return QoSProfile(
        depth=min(MOST_DEPTH, max([10, *(qos.depth for qos in offered)])),
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE)


def _ticking(clock: Publisher | None) -> Callable[[int], None]:
    def tick(time_ns: int) -> None:
        if clock:
            message = Clock()
            message.clock.sec, message.clock.nanosec = divmod(time_ns, 10**9)
            clock.publish(message)

    return tick


def _wait_for_mode(node: Node, topic: str) -> None:
    """Waits for the latched word of a node that is active."""
    heard: list[String] = []
    subscription = node.create_subscription(
        String, topic, heard.append,
        QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    while not heard:
        rclpy.spin_once(node, timeout_sec=0.1)
    node.destroy_subscription(subscription)


def _wait_for_subscribers(wanted: Sequence[tuple[Publisher, int]], seconds: float) -> None:
    """For so many of each, at least."""
    deadline = time.monotonic() + seconds
    while waiting := [publisher.topic_name for publisher, least in wanted
                      if publisher.get_subscription_count() < least]:
        if time.monotonic() > deadline:
            raise SsmaError(f"no one subscribed to {' and '.join(waiting)} within {seconds:g} s, "
                            "or fewer than were to")
        time.sleep(0.05)
    time.sleep(0.5)  # the other side may find us later than we found it


if __name__ == "__main__":
    sys.exit(main())
