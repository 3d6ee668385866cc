"""A robot for tests: the node as a process of its own over real DDS, and a node beside it that
plays cameras, user and listener. Needs rclpy; the fixture `start` of conftest.py makes them."""
from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rclpy
from conftest import ROOT
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String

from ssma_core.bags.pairing import STREAMS
from ssma_ros.node import messages
from ssma_ros.replay import dds

ENVIRONMENT = {**dds.room_for_images(), **dds.own_domain()}
CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
DEACTIVATE, CLEANUP = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
SIZE = (96, 192)  # height, width
NOISE = np.random.default_rng(5)
COLOUR = NOISE.integers(0, 255, (*SIZE, 3), np.uint8)
DEPTH = NOISE.integers(0, 9000, SIZE, np.uint16)


class Robot:
    """The node's process, and the node beside it.

    arguments: ROS's own, for the node. program: of Python, instead of the node's own.
    labels, diagnostics, modes: what came. received: what came on further topics, see `listen`.
    """

    def __init__(self, output: Path, *arguments: str, namespace: str = "",
                 program: tuple[str, ...] = ("-m", "ssma_ros.node.program")) -> None:
        self.output = output
        remap = ("-r", f"__ns:=/{namespace}") if namespace else ()
        with output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, *program, "--ros-args", *remap, *arguments],
                cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = Node("robot", namespace=namespace, context=self.context, enable_rosout=False)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.cameras: dict[str, Any] = {}
        self.clients: dict[str, Any] = {}
        for stream in STREAMS:
            self.plug_in(stream)
        self.received: dict[str, list[Any]] = {}
        self.labels = self.listen(Image, "semantic/label")
        self.modes = self.listen(String, "semantic/mode", LATCHED)
        self.diagnostics: list[DiagnosticStatus] = []
        self.node.create_subscription(
            DiagnosticArray, "/diagnostics", lambda a: self.diagnostics.extend(a.status), 10)

    def listen(self, message_type: type, topic: str, qos: QoSProfile | int = 10) -> list[Any]:
        """Subscribes; returns the list of what comes from now on."""
        came = self.received.setdefault(topic, [])
        self.node.create_subscription(message_type, topic, came.append, qos)
        return came

    def plug_in(self, stream: str, topic: str = "", message_type: type = Image,
                qos: QoSProfile | int = 10) -> None:
        self.cameras[stream] = self.node.create_publisher(
            message_type, topic or f"{stream}/image", qos)

    def unplug(self, stream: str) -> None:
        """The driver dies: its publisher is gone."""
        self.node.destroy_publisher(self.cameras.pop(stream))

    def call(self, kind: type, service: str, request: Any) -> Any:
        if service not in self.clients:
            self.clients[service] = self.node.create_client(kind, f"segmentation_node/{service}")
            assert self.clients[service].wait_for_service(40), self.said()
            time.sleep(dds.MATCHED_S)
        client = self.clients[service]
        future = client.call_async(request)
        self.executor.spin_until_future_complete(future, timeout_sec=20)
        assert future.done(), self.said()
        return future.result()

    def change(self, *transitions: int) -> bool:
        """Goes through the transitions; whether the last one succeeded."""
        for transition in transitions:
            answer = self.call(ChangeState, "change_state", ChangeState.Request(
                transition=Transition(id=transition)))
        return bool(answer.success)

    def state(self) -> int:
        return int(self.call(GetState, "get_state", GetState.Request()).current_state.id)

    def set(self, name: str, value: Any) -> SetParametersResult:
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()])
        result, = self.call(SetParameters, "set_parameters", request).results
        return result

    def send(self, stream: str, pixels: npt.NDArray[Any], encoding: str, stamp: float,
             frame_id: str = "camera") -> None:
        image = messages.image(
            np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1), "mono8",
            header(stamp, frame_id))
        image.width, image.encoding = pixels.shape[1], encoding
        self.cameras[stream].publish(image)

    def send_pair(self, stamp: float, rgb: npt.NDArray[Any] = COLOUR, aux: Any = DEPTH,
                  aux_encoding: str = "16UC1") -> None:
        self.send("rgb", rgb, "bgr8", stamp)
        self.send("aux", aux, aux_encoding, stamp + 0.005)

    def until(self, condition: Callable[[], bool], *, meanwhile: Callable[[], None] | None = None,
              seconds: float = 30) -> None:
        """Spins until something is so, doing something every 0.1 s meanwhile."""
        deadline = time.monotonic() + seconds
        due = 0.0
        while not condition():
            now = time.monotonic()
            assert now < deadline, f"not within {seconds} s; {self.said()}"
            if meanwhile and now >= due:
                meanwhile()
                due = now + 0.1
            self.executor.spin_once(timeout_sec=0.05)

    def label(self, **images: Any) -> Image:
        """The label of a fresh pair: sends pairs until one comes back."""
        self.labels.clear()
        self.until(lambda: bool(self.labels),
                   meanwhile=lambda: self.send_pair(time.time(), **images))
        return self.labels[0]

    def values(self) -> dict[str, str]:
        """The newest of /diagnostics; empty before there are any."""
        newest = self.diagnostics[-1].values if self.diagnostics else ()
        return {pair.key: pair.value for pair in newest}

    def level(self) -> bytes | None:
        """The newest of /diagnostics."""
        return self.diagnostics[-1].level if self.diagnostics else None

    def mode(self) -> str | None:
        return self.modes[-1].data if self.modes else None

    def said(self) -> str:
        return self.output.read_text()

    def said_at(self, text: str) -> float:
        """When the node logged a line with that text in it, by time.time."""
        line = next(line for line in self.said().splitlines() if text in line)
        return float(line.split("[")[2].split("]")[0])  # [severity] [time] [name]: text

    def end(self, how: int = signal.SIGINT) -> int:
        """Sends the signal; returns the exit status."""
        self.process.send_signal(how)
        return self.process.wait(10)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(10)
            finally:
                self.process.kill()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def header(stamp: float, frame_id: str = "camera") -> Header:
    """stamp: seconds."""
    made = Header(frame_id=frame_id)
    made.stamp.sec, made.stamp.nanosec = divmod(round(stamp * 1e9), 10**9)
    return made


def pixels(image: Image) -> npt.NDArray[np.uint8]:
    """Of a mono8 image, H×W."""
    return np.frombuffer(image.data, np.uint8).reshape(image.height, image.width)
