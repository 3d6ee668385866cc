"""The rules of the house: what may import what, and how large its parts are."""
from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from types import ModuleType

import kinds
import pytest
from conftest import ROOT

import ssma_core

HEAVY = {"torch", "onnxruntime", "onnx", "tensorrt", "tensorrt_rtx", "pycuda", "safetensors",
         "timm", "torchvision"}
ROS = {"rclpy", "rcl_interfaces", "sensor_msgs", "std_msgs", "diagnostic_msgs", "lifecycle_msgs",
       "rosgraph_msgs", "vision_msgs", "builtin_interfaces", "cv_bridge", "message_filters",
       "launch", "launch_ros", "ament_index_python", "ssma_ros"}


def imports(source: str) -> Iterator[str]:
    """The names in all imports of a source, wherever they stand: "a.b" for `import a.b` and for
    `from a import b`; and "a.b." for a string that names a module, or its beginning, in any
    function: `import_module("a.b")`, `__import__("a")`, `sys.modules["a"]`, `"a." + name`."""
    tree = ast.parse(source)
    given = {argument for node in ast.walk(tree) if isinstance(node, ast.Call)
             and ast.unparse(node.func) != "metadata.version"  # of a distribution, not a module
             for argument in node.args}
    given |= {node.slice for node in ast.walk(tree) if isinstance(node, ast.Subscript)
              and isinstance(node.ctx, ast.Load)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            root, dot, _ = node.value.partition(".")
            if (root in ROS | {"ssma_core"} and (dot or node in given)
                    and re.fullmatch(r"\w+(\.\w*)*", node.value)):
                yield f"{node.value}."


def beyond_the_front(source: str) -> set[str]:
    """What a source takes of the core that its front does not name."""
    named = {f"ssma_core.{name}" for name in ssma_core.__all__}
    taken = {name for name in imports(source) if name.startswith("ssma_core.")}
    return (taken | set(_attributes(source))) - named


def _attributes(source: str) -> Iterator[str]:
    """"ssma_core.x" for core.x, where core is ssma_core under any name; and the modules that are
    reached through a module of the front, as in image_messages.compressed_images."""
    tree = ast.parse(source)
    bound = {alias.asname or alias.name: alias.name for node in ast.walk(tree)
             if isinstance(node, ast.Import) for alias in node.names if alias.name == "ssma_core"}
    bound |= {alias.asname or alias.name: f"ssma_core.{alias.name}" for node in ast.walk(tree)
              if isinstance(node, ast.ImportFrom) and node.module == "ssma_core"
              for alias in node.names
              if isinstance(getattr(ssma_core, alias.name, None), ModuleType)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = bound.get(node.value.id)
            if owner == "ssma_core":
                yield f"ssma_core.{node.attr}"
            elif owner and isinstance(getattr(getattr(ssma_core, owner.partition(".")[2]),
                                              node.attr, None), ModuleType):
                yield f"{owner}.{node.attr}"


def files(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("file", files("ssma_core"), ids=lambda f: str(f.relative_to(ROOT)))
def test_the_core_knows_no_ros(file: Path) -> None:
    assert not {name.split(".")[0] for name in imports(file.read_text())} & ROS


@pytest.mark.parametrize("source", [
    "import rclpy", "from std_msgs.msg import Header", "def f():\n    import cv_bridge",
    "from importlib import import_module\nimport_module('rclpy')",
    "__import__('ssma_ros.node')", "from ssma_ros import distro"])
def test_ros_in_the_core_is_seen_however_it_is_written(source: str) -> None:
    assert {name.split(".")[0] for name in imports(source)} & ROS


@pytest.mark.parametrize("file", files("ssma_ros"), ids=lambda f: str(f.relative_to(ROOT)))
def test_the_ros_side_sees_only_the_front_of_the_core(file: Path) -> None:
    inner = beyond_the_front(file.read_text())
    assert not inner, f"import it from ssma_core, or give it a place there: {inner}"
    assert not {name.split(".")[0] for name in imports(file.read_text())} & HEAVY


@pytest.mark.parametrize("source", [
    "from ssma_core import plain",
    "from ssma_core import Segmenter, files as f",
    "from ssma_core.files import atomic_write",
    "from ssma_core import *",
    "import ssma_core.files",
    "import ssma_core.files as files",
    "import ssma_core\nssma_core.files.read_json('x')",
    "def f():\n    from ssma_core.bags import rosbag2",
    "from importlib import import_module\nimport_module('ssma_core.bags.rosbag2')",
    "__import__('ssma_core.files')",
    "import ssma_core as core\ncore.files.read_json('x')",
    "from importlib import import_module\nimport_module('.files', 'ssma_core')",
    "from importlib import import_module\nimport_module('ssma_core.' + 'files')",
    "import sys\nsys.modules['ssma_core'].files",
    "from ssma_core import image_messages\nimage_messages.compressed_images.decode(1)",
])
def test_a_way_around_the_front_is_seen_however_it_is_written(source: str) -> None:
    assert beyond_the_front(source)


@pytest.mark.parametrize("source", [
    "from ssma_core import Segmenter, SsmaError",
    "import ssma_core\nssma_core.Segmenter('x')",
    "print('see ssma_core for more')",
])
def test_what_the_front_names_is_for_all(source: str) -> None:
    assert not beyond_the_front(source)


def test_every_name_of_the_front_is_there() -> None:
    assert all(getattr(ssma_core, name) is not None for name in ssma_core.__all__)


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


# From the ground up: a room imports from its own floor and from those below it.
FLOORS: tuple[set[str], ...] = (
    {"errors"}, {"disk"}, {"spec", "plain", "image_files", "files", "pictures", "processes"},
    {"modalities"}, {"registration"}, {"model"}, {"model_files"}, {"end_to_end"}, {"backends"},
    {"segmenter"}, {"bags"}, {"datasets"}, {"extraction", "prediction"}, {"synthetic"},
    {"evaluation"}, {"export"}, {"training"},
    {"benchmark"}, {"commands"}, {"cli"})
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
CORE = ROOT / "ssma_core"
# All code except the tests.
CODE = [file for folder in ("ssma_core", "ssma_ros", "training", "demo", "benchmarks", "launch")
        for file in files(folder)]


def room_of(file: Path) -> str:
    """The folder directly below ssma_core, or the loose module."""
    return file.relative_to(CORE).parts[0].removesuffix(".py")


def imports_from_higher_floors(room: str, source: str) -> set[str]:
    """The imports in a source of this room which come from a higher floor, or from a room that
    has no floor. The front stands above all floors."""
    return {name for name in imports(source) if name.split(".")[0] == "ssma_core"
            and FLOOR_OF.get((name + ".").split(".")[1], len(FLOORS)) > FLOOR_OF[room]}


@pytest.mark.parametrize("file", [file for file in files("ssma_core") if file.parent != CORE
                                  or file.name != "__init__.py"],
                         ids=lambda f: str(f.relative_to(ROOT)))
def test_no_room_imports_from_a_higher_floor(file: Path) -> None:
    room = room_of(file)
    assert room in FLOOR_OF, f"give {room} a place in FLOORS"
    assert not imports_from_higher_floors(room, file.read_text())


@pytest.mark.parametrize("source", [
    "from ssma_core.evaluation.metrics import check_ids",
    "from ssma_core import cli",
    "def f():\n    from ssma_core.training import loop",
    "if TYPE_CHECKING:\n    from ssma_core.commands import export",
    "from importlib import import_module\nimport_module('ssma_core.synthetic.forest')",
    "import ssma_core",
    "from ssma_core import Segmenter",
    "import ssma_core.a_new_room",
])
def test_an_import_from_a_higher_floor_is_found_however_it_is_written(source: str) -> None:
    assert imports_from_higher_floors("datasets", source)


@pytest.mark.parametrize("source", [
    "from ssma_core.errors import SsmaError",
    "from ssma_core.datasets import folders",
    "from ssma_core import files",
    "import numpy",
])
def test_an_import_from_the_same_or_a_lower_floor_is_allowed(source: str) -> None:
    assert not imports_from_higher_floors("datasets", source)


def test_at_most_8_modules_lie_loose_in_the_core() -> None:
    loose = sorted(file.name for file in CORE.glob("*.py") if file.name != "__init__.py")
    assert len(loose) <= 8, loose


def test_no_folder_has_more_than_14_files() -> None:
    counted = Counter(str(file.parent.relative_to(ROOT)) for package in ("ssma_core", "ssma_ros")
                      for file in (ROOT / package).rglob("*")
                      if file.is_file() and file.suffix != ".pyc")
    assert not {folder: number for folder, number in counted.items() if number > 14}


def test_no_file_is_longer_than_300_lines_and_half_of_them_have_at_most_150() -> None:
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in CODE}
    assert not {file: length for file, length in lengths.items() if length > 300}
    assert median(lengths.values()) <= 150


def test_what_is_marked_by_name_is_there() -> None:
    """A test that has been renamed must not become a fast one by that."""
    for file in kinds.TRAINING | kinds.SLOW.keys() | kinds.ALONE.keys():
        tree = ast.parse((ROOT / "test" / file).read_text())
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        named = kinds.SLOW.get(file, set()) | kinds.ALONE.get(file, set())
        assert named <= defined | {"*"}, f"{file} in test/kinds.py"
