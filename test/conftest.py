"""What tests share: the reference files where there are any, and a small untrained model."""
from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import cv2
import kinds
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, settings

from ssma_core import Modality, ModelSpec
from ssma_core.registration.homography import HomographyRegistration
from ssma_core.synthetic.forest import CLASS_COLOURS, CLASS_NAMES

if TYPE_CHECKING:
    from pipeline_rig import Clock, Rig
    from robot import Robot

ROOT = Path(__file__).resolve().parent.parent

# How fast an example runs says more about the machine than about the code.
settings.register_profile("ours", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")


@pytest.hookimpl(tryfirst=True)  # before -m chooses by the markers
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for kind in kinds.of(item):
            item.add_marker(kind)
    if hasattr(config, "workerinput"):  # one of several processes that run tests
        turns: dict[str, int] = {}
        for item in items:
            group = kinds.group(item.path)
            turns[group] = min(kinds.turn(item), turns.get(group, 99))
        items.sort(key=lambda item: turns[kinds.group(item.path)])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives each process whole groups. xdist's own groups (3.8) have no effect with pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return kinds.group(ROOT / nodeid.partition("::")[0])

    return Groups(config, log)


TINY_SPEC = ModelSpec(
    architecture="ssma", size="tiny",
    class_names=CLASS_NAMES, class_colours=CLASS_COLOURS,
    modalities=(Modality("rgb", "image"), Modality("depth", "jet", 20000.0)),
    input_size=(384, 192))
SMALL_SPEC = ModelSpec(
    architecture="ssma", size="tiny", class_names=("void", "ground", "sky"),
    class_colours=((0, 0, 0), (9, 9, 9), (0, 0, 9)), input_size=(64, 48),
    modalities=(Modality("rgb", "image"), Modality("depth", "jet", 8000.0)))
SMALL_EXPERT = replace(SMALL_SPEC, architecture="adapnet++", modalities=SMALL_SPEC.modalities[:1])


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden files and real images beside the checkout."""
    folder = ROOT.parent / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip(f"the reference files are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def cases(shared: Path) -> Path:
    """Files that broke us: bags, pictures and lists, each with what a user expects."""
    if not (shared / "cases").is_dir():
        pytest.skip(f"the files that broke us are not at {shared / 'cases'}")
    return shared / "cases"


@pytest.fixture(scope="session")
def seeded(shared: Path) -> ModuleType:
    """The reference's own script that makes the golden files' weights again."""
    spec = importlib.util.spec_from_file_location("seeded", shared / "golden/seeded_weights.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tiny_spec() -> ModelSpec:
    return TINY_SPEC


def half_as_large(size: tuple[int, int]) -> HomographyRegistration:
    """Of second images of half the colour images' size (width, height), each pixel of which shows
    what 2×2 of colour show."""
    return HomographyRegistration(((2.0, 0.0, 0.5), (0.0, 2.0, 0.5), (0.0, 0.0, 1.0)),
                                  (size[0] // 2, size[1] // 2), size, "nearest")


def save_untrained(path: Path, spec: ModelSpec) -> None:
    """A model with random weights and the batch-norm statistics that belong to them, so that it
    gives more than one class."""
    import torch

    from ssma_core.model import build
    from ssma_core.model_files import checkpoint

    torch.manual_seed(0)
    network = build(spec)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(*(torch.nn.functional.interpolate(256 * torch.rand(2, 3, 6, 12), (96, 192))
                  for _ in spec.modalities))
    checkpoint.save(path, network, spec)


@pytest.fixture(scope="session")
def tiny_model_safetensors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny SSMA for colour and depth, 6 classes, untrained."""
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    save_untrained(path, TINY_SPEC)
    return path


@pytest.fixture(scope="session")
def tiny_model(tiny_model_safetensors: Path) -> Path:
    """The same as ONNX."""
    from ssma_core.export.onnx import export
    from ssma_core.model_files import checkpoint

    path = tiny_model_safetensors.with_suffix(".onnx")
    network, spec = checkpoint.load(tiny_model_safetensors)
    export(network, spec, path)
    return path


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Robot]]:
    """Starts a `Robot`, whose arguments it takes, and ends those before it; with beside=True it
    leaves them."""
    robot = pytest.importorskip("robot", reason="needs rclpy")
    started: list[Robot] = []

    def start(*arguments: str, beside: bool = False, **options: Any) -> Robot:
        while started and not beside:
            started.pop().close()
        started.append(robot.Robot(tmp_path_factory.mktemp("node") / "output.txt", *arguments,
                                   **options))
        return started[-1]

    with pytest.MonkeyPatch.context() as patch:
        for name, value in robot.ENVIRONMENT.items():
            patch.setenv(name, value)
        yield start
        for each in started:
            each.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of the pipelines on the bench: it stands until a test moves it."""
    clock: Clock = pytest.importorskip("pipeline_rig", reason="needs ROS's messages").Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture
def new_rig(tiny_spec: ModelSpec, clock: Clock) -> Iterator[Callable[..., Rig]]:
    """Makes a `Rig`, whose arguments it takes."""
    from pipeline_rig import Rig

    rigs: list[Rig] = []

    def new_rig(**given: Any) -> Rig:
        rigs.append(Rig(tiny_spec, **given))
        return rigs[-1]

    yield new_rig
    for rig in rigs:
        rig.pipeline.worker.stop()


@pytest.fixture
def rig(new_rig: Callable[..., Rig]) -> Rig:
    return new_rig()


VOID, GROUND, SKY = range(3)


@pytest.fixture(scope="session")
def easy_frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("easy")
    write_easy_frames(root)
    return root


def write_easy_frames(root: Path) -> None:
    """Six frames, two drives: bright sky without depth above dark ground that comes closer."""
    rng = np.random.default_rng(0)
    for index in range(6):
        drive = root / f"drive_{index % 2:03d}"
        horizon = int(rng.integers(15, 35))
        label = np.full((48, 64), GROUND, np.uint8)
        label[:horizon] = SKY
        label[:, :4] = VOID
        depth = np.where(label == SKY, 0, 7000 - 100 * np.arange(48)[:, None]).astype(np.uint16)
        rgb = np.where(label == SKY, 200, 70)[..., None] + rng.integers(-20, 20, (48, 64, 3))
        pictures = {"rgb": rgb.astype(np.uint8), "depth": depth, "label": label}
        for folder, picture in pictures.items():
            (drive / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(drive / folder / f"{index:06d}.png"), picture)


def small_run(root: Path) -> dict[str, Any]:
    """The plain values of a configuration that trains the tiny networks on `easy_frames`."""
    folders = {"root": str(root), "rgb": "drive_*/rgb/*", "aux": "depth", "label": "label"}
    stage = {"steps": 20, "batch_size": 2, "learning_rate": 0.003, "dropout_keep": 0.9}
    return {
        "model": {"architecture": "ssma", "size": "tiny", "class_names": ["void", "ground", "sky"],
                  "class_colours": [[0, 0, 0], [9, 9, 9], [0, 0, 9]], "input_size": [64, 48],
                  "modalities": [{"name": "rgb", "encoding": "image"},
                                 {"name": "depth", "encoding": "jet", "range": 8000}]},
        "data": {"train": folders, "validation": folders, "in_memory": True},
        "augmentation": {"probability": 0.5, "rotation": 5, "skew": [0, 0.05], "scale": [0.8, 1.3],
                         "crop": [0.9, 1], "vignetting": [0.4, 0.5], "contrast": [0.8, 1.2],
                         "brightness": 10},
        "stages": [
            stage | {"name": "expert_rgb", "trains": "rgb", "auxiliary_weights": [0.6, 0.5]},
            stage | {"name": "expert_depth", "trains": "depth", "auxiliary_weights": [0.6, 0.5]},
            stage | {"name": "fusion", "trains": "fusion", "start": ["expert_rgb", "expert_depth"],
                     "encoder_learning_rate": 0.0003}],
        "seed": 0, "validate_every": 15, "checkpoint_every": 10, "precision": "fp32", "workers": 0}


# For a program whose results must not depend on its threads: it has several, also where a test run
# gives each of its processes one.
TWO_THREADS = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}


def write_configuration(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(values))
    return path
