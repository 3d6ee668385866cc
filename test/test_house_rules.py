"""The rules of the house that one can break by an import."""
from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

HEAVY = {"torch", "onnxruntime", "onnx", "tensorrt", "tensorrt_rtx", "pycuda", "safetensors"}
ROS = {"rclpy", "sensor_msgs", "ssma_ros", "cv_bridge", "message_filters", "launch"}


def imports(file: Path) -> Iterator[str]:
    """The modules that a file names in any import, wherever it stands."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{file}: relative import"
            yield node.module


def files(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("file", files("ssma_core"), ids=lambda f: str(f.relative_to(ROOT)))
def test_the_core_knows_no_ros(file: Path) -> None:
    assert not {name.split(".")[0] for name in imports(file)} & ROS


@pytest.mark.parametrize("file", files("ssma_ros"), ids=lambda f: str(f.relative_to(ROOT)))
def test_the_ros_side_sees_only_the_front_of_the_core(file: Path) -> None:
    inner = {name for name in imports(file) if name.startswith("ssma_core.")}
    assert not inner, f"import it from ssma_core, or give it a place there: {inner}"
    assert not {name.split(".")[0] for name in imports(file)} & HEAVY


@pytest.mark.parametrize("module", [
    "ssma_core", "ssma_core.cli", "ssma_core.synthetic.forest", "ssma_core.evaluation.metrics"])
def test_importing_the_front_brings_no_heavy_library(module: str) -> None:
    program = (f"import sys, {module}\n"
               f"heavy = {HEAVY | {'rosbags'}} & set(sys.modules)\n"
               "assert not heavy, heavy\n")
    subprocess.run([sys.executable, "-c", program], check=True)


def test_training_scripts_are_a_few_lines() -> None:
    for script in (ROOT / "training").glob("*.py"):
        assert len(script.read_text().splitlines()) <= 70, script
