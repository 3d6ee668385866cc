"""What the programs send to nobody, and what the node may do in a secured graph."""
from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from conftest import ROOT

POLICY = ROOT / "config" / "sros2_policy.xml"
# What the policy allows beside what a node has here: see the comments in it.
ELSEWHERE = {("subscribe", "/clock"), ("publish", "/semantic/label_info"), ("publish", "/bond")}
SINCE_JAZZY = ("reply", "/segmentation_node/get_type_description")


def test_onnxruntime_leaves_no_identifier_and_sends_nothing(
        tiny_model: Path, tmp_path: Path) -> None:
    """Since 1.29 its wheels report every start to their maker, and write an identifier of the
    machine into the home folder; not where CI is set."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in {"CI", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}}
    program = "import sys; from ssma_core import Segmenter; Segmenter(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, tiny_model], cwd=ROOT, check=True,
                   env={**environment, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", [
    "backends.onnxruntime", "export.layers", "export.quantizers"])
def test_it_is_switched_off_before_onnxruntime_begins(module: str) -> None:
    """By the environment: its function comes too late for the first report."""
    pytest.importorskip("onnx", reason="needs onnx")
    program = f"""
import os, sys
class Watch:
    def find_spec(self, name, *_):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))
sys.meta_path.insert(0, Watch())
import ssma_core.{module}
"""
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, text=True,
                          stdout=subprocess.PIPE, env=environment).stdout
    assert said.splitlines() == ["1"]


@pytest.fixture(scope="module")
def graph(tiny_model: Path) -> Iterator[set[tuple[str, str]]]:
    """What an active node publishes, subscribes, serves and requests, by its name in the graph."""
    rclpy = pytest.importorskip("rclpy", reason="needs rclpy")
    from pipeline_rig import node_in_process

    # A domain of its own: nodes of this name that other tests killed are listed for a while.
    with pytest.MonkeyPatch.context() as patch, node_in_process(
            patch, random.randrange(60, 100), model=str(tiny_model), autostart=True) as node:
        node.start()
        deadline = time.monotonic() + 20
        # The graph is of all processes, so a node appears in it a little later.
        while ("publish", "/semantic/label") not in (found := _in_the_graph(node)):
            assert time.monotonic() < deadline, found
            rclpy.spin_once(node, timeout_sec=0.1)
        yield found


def _in_the_graph(node: Any) -> set[tuple[str, str]]:
    return {(verb, name) for verb, kind in (
        ("publish", "publisher"), ("subscribe", "subscriber"), ("reply", "service"),
        ("request", "client")) for name, _ in getattr(
            node, f"get_{kind}_names_and_types_by_node")("segmentation_node", "/")}


def allowed() -> set[tuple[str, str]]:
    profile, = ElementTree.parse(POLICY).iter("profile")
    assert (profile.get("ns"), profile.get("node")) == ("/", "segmentation_node")
    found = set()
    for group in profile:
        verb, = group.attrib
        assert group.attrib[verb] == "ALLOW"
        for one in group:
            name = (one.text or "").replace("~/", "/segmentation_node/")
            found.add((verb, name if name.startswith("/") else f"/{name}"))
    return found


@pytest.mark.ros
def test_the_policy_allows_all_that_the_node_does_and_nothing_else(
        graph: set[tuple[str, str]]) -> None:
    from ssma_ros import distro

    here = {("publish", "/semantic/label_info")} if distro.LabelInfo else set()
    here |= {("publish", "/bond")} if distro.BondStatus else set()
    assert not graph - allowed(), "the node does more than it may"
    assert allowed() - graph - {SINCE_JAZZY} == ELSEWHERE - here, "it may do more than it does"
