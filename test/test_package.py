"""colcon builds the package, and ros2 finds node, launch file, configuration and models in it."""
from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from conftest import ROOT

COLCON = Path(sys.executable).parent / "colcon"


@pytest.fixture(scope="module")
def install(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `colcon build` put the package."""
    if not COLCON.exists() and not shutil.which("colcon"):
        pytest.skip("colcon is not installed (pip install colcon-common-extensions)")
    colcon = str(COLCON) if COLCON.exists() else "colcon"
    workspace = tmp_path_factory.mktemp("workspace")
    tracked = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT,
                             capture_output=True, text=True, check=True).stdout.splitlines()
    for name in tracked:
        if (ROOT / name).is_file():
            target = workspace / "src" / "ssma_ros" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
    listed = subprocess.run([colcon, "list"], cwd=workspace, capture_output=True, text=True,
                            check=True).stdout
    assert "(ros.ament_python)" in listed
    built = subprocess.run([colcon, "build"], cwd=workspace, capture_output=True, text=True,
                           check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return workspace / "install" / "ssma_ros"


@pytest.mark.parametrize("name", [
    "lib/ssma_ros/segmentation_node",
    "lib/ssma_ros/replay",
    "lib/ssma_ros/evaluate_bag",
    "lib/ssma_ros/ssma",
    "share/ament_index/resource_index/packages/ssma_ros",
    "share/ssma_ros/package.xml",
    "share/ssma_ros/launch/forest_robot.launch.py",
    "share/ssma_ros/config/forest_robot.yaml",
    "share/ssma_ros/config/fastdds_images.xml",
    "share/ssma_ros/config/fastdds_network.xml",
    "share/ssma_ros/config/sros2_policy.xml",
    "share/ssma_ros/config/nav2_semantic_costmap.yaml",
    "share/ssma_ros/models/tiny_forest.onnx",
    "share/ssma_ros/models/road.onnx",
])
def test_ros2_finds(install: Path, name: str) -> None:
    assert (install / name).is_file()


def test_the_report_finds_its_style_and_script(install: Path) -> None:
    report = next(install.glob("lib/python*/site-packages/ssma_core/evaluation/report"))
    assert {path.name for path in report.rglob("*.*")
            } >= {"page.css", "page.js", "report.html", "comparison.html"}


def test_training_is_no_global_package(install: Path) -> None:
    packages = next(install.glob("lib/python*/site-packages"))
    assert {p.name for p in packages.iterdir() if (p / "__init__.py").exists()} == {
        "ssma_core", "ssma_ros"}


def test_the_versions_agree() -> None:
    version = ElementTree.parse(ROOT / "package.xml").findtext("version")
    assert f'version="{version}"' in (ROOT / "setup.py").read_text()


def test_what_the_launch_files_start_comes_with_the_package() -> None:
    started = {package for file in (ROOT / "launch").glob("*.py")
               for package in re.findall(r'package="(\w+)"', file.read_text())}
    assert started >= {"ssma_ros", "image_transport"}
    depends = {each.text for each in ElementTree.parse(ROOT / "package.xml").iter("exec_depend")}
    assert started - {"ssma_ros"} <= depends
