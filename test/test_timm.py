"""timm's backbones as experts: the maps that timm gives, from any machine's file, or one line."""
from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import TINY_SPEC, save_untrained, small_run, write_configuration
from safetensors.torch import save_file
from torch import Tensor, nn

from ssma_core import ModelSpec, Segmenter, SsmaError
from ssma_core.benchmark.work import gflop
from ssma_core.export.int8 import calibrate, quantize
from ssma_core.export.onnx import export, exported_as, to_onnx
from ssma_core.export.quantizers import convolutions, prepared
from ssma_core.model import AdapNetPP, Expert
from ssma_core.model.experts import new_expert
from ssma_core.model.experts.efficientnet_lite import EfficientNetLite
from ssma_core.model_files import checkpoint
from ssma_core.model_files.imagenet import load_imagenet
from ssma_core.spec import Modality
from ssma_core.training.loop import train
from ssma_core.training.resume import configuration
from ssma_core.training.stages import Training, read_training
from ssma_core.training.start import starting_network

try:
    import timm
    missing = ""
except Exception as error:  # also a torchvision that does not fit: RuntimeError
    timm, missing = None, f"timm cannot be imported: {error}"
needs_timm = pytest.mark.skipif(bool(missing), reason=missing)

# Of different kinds: the wrappers that timm has for its features, batch norms with an activation
# inside, layer norms, squeeze-and-excitation, hard swish, groups.
NAMES = ["resnet18", "mobilenetv3_small_050", "convnext_atto", "efficientnet_lite0", "regnetx_002"]
WIDTH, HEIGHT = 96, 64


def spec_of(*names: str) -> ModelSpec:
    modalities = tuple(replace(modality, expert=f"timm/{name}")
                       for modality, name in zip(TINY_SPEC.modalities, names))
    return replace(TINY_SPEC, architecture="ssma" if len(names) == 2 else "adapnet++",
                   modalities=modalities, input_size=(WIDTH, HEIGHT))


def expert(name: str) -> Expert:
    return new_expert(Modality("rgb", "image", expert=f"timm/{name}"), TINY_SPEC)


def whole_model(name: str) -> Any:
    """timm's, classifier and all, with random weights and statistics that say something."""
    torch.manual_seed(0)
    model = timm.create_model(name)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def started(name: str, model: Any, folder: Path, ending: str = "safetensors") -> Expert:
    """The expert with the weights of timm's whole model, by way of a file."""
    file = folder / f"weights.{ending}"
    if ending == "pth":
        torch.save(model.state_dict(), file)
    else:
        save_file(model.state_dict(), file)
    found = expert(name).eval()
    load_imagenet(found, f"timm/{name}", file)
    return found


# Its maps

@needs_timm
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_the_maps_are_those_that_timm_computes_of_the_normalized_image(
        name: str, tmp_path: Path) -> None:
    model = whole_model(name)
    image = torch.rand(2, 3, HEIGHT, WIDTH) * 255
    normalized = torch.stack([
        (image[:, 2 - i] / 255 - mean) / std for i, (mean, std) in enumerate(
            zip(model.pretrained_cfg["mean"], model.pretrained_cfg["std"]))], 1)
    theirs = {each.shape[2]: each for each in model.forward_intermediates(
        normalized, intermediates_only=True)}
    ours = started(name, model, tmp_path)
    context, eighth, quarter = ours(image)
    torch.testing.assert_close(quarter, theirs[HEIGHT // 4], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(eighth, theirs[HEIGHT // 8], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(context, ours.get_submodule("context")(theirs[HEIGHT // 16]),
                               rtol=1e-4, atol=1e-4)
    assert [m.shape[1] for m in (context, eighth, quarter)] == [*vars(ours.channels).values()]


@needs_timm
@torch.no_grad()
def test_efficientnet_lite_is_the_same_network_as_our_own() -> None:
    """timm's weights in ours, in their order; and nothing behind 1/16."""
    theirs = expert("tf_efficientnet_lite0").get_submodule("backbone").eval()
    ours = EfficientNetLite("efficientnet-lite0").eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    image = torch.rand(1, 3, HEIGHT, WIDTH) * 255
    maps = ours(image)
    for own, wanted in zip((maps[1], maps[2], maps[4]), theirs((image.flip(1) - 127) / 128)):
        torch.testing.assert_close(own, wanted, rtol=1e-4, atol=1e-4)


@needs_timm
@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "regnetx_002"])
@torch.no_grad()
def test_batch_norms_can_be_synchronized_between_processes(name: str) -> None:
    network = expert(name).eval()
    image = torch.rand(1, 3, HEIGHT, WIDTH) * 255
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all(type(norm) is nn.BatchNorm2d for norm in norms)
    synchronized = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(network))
    for own, wanted in zip(synchronized(image), network(image)):
        assert torch.equal(own, wanted)


# As an expert like the others

@needs_timm
@pytest.mark.parametrize("names", [["mobilenetv3_small_050"], ["convnext_atto", "resnet18"]],
                         ids="+".join)
def test_what_is_saved_comes_back_and_its_work_is_counted(
        tmp_path: Path, names: list[str]) -> None:
    spec = spec_of(*names)
    save_untrained(tmp_path / "m.safetensors", spec)
    network, loaded = checkpoint.load(tmp_path / "m.safetensors")
    checkpoint.save(tmp_path / "again.safetensors", network, spec)
    again, _ = checkpoint.load(tmp_path / "again.safetensors")
    images = [torch.rand(1, 3, HEIGHT, WIDTH) * 255 for _ in spec.modalities]
    assert loaded == spec
    with torch.no_grad():
        assert torch.equal(again(*images), network(*images))
    assert gflop(spec) > 0


@pytest.fixture(scope="module", params=NAMES)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp(request.param) / "m.safetensors"
    save_untrained(path, spec_of(request.param))
    return path


def pictures() -> Iterator[npt.NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    for _ in range(4):
        yield np.kron(random.integers(0, 256, (4, 6, 3)), np.ones((16, 16, 1))).astype(np.uint8)


@needs_timm
def test_onnx_gives_the_output_of_torch(file: Path) -> None:
    export(*checkpoint.load(file), file.with_suffix(".onnx"))
    by_torch, by_onnx = (
        Segmenter(file.with_suffix(ending), threads=1).segment(next(pictures()), confidence=True)
        for ending in (".safetensors", ".onnx"))
    assert by_torch.confidence is not None and by_onnx.confidence is not None
    assert len(np.unique(by_torch.labels)) > 1
    assert (by_onnx.labels == by_torch.labels).mean() >= 0.999
    np.testing.assert_allclose(by_onnx.confidence.astype(int), by_torch.confidence, atol=1)


@needs_timm
def test_the_backbones_batch_norms_are_folded_and_its_convolutions_can_be_int8(file: Path) -> None:
    network, spec = checkpoint.load(file)
    model = to_onnx(network, exported_as(network, spec, None, "fp32"))
    assert "BatchNormalization" not in [node.op_type for node in model.graph.node]
    calibration = calibrate(model, [{"rgb": picture} for picture in pictures()], agreement=0)
    quantized = quantize(model, calibration)
    inside = [name for name in calibration.names if name.startswith("expert/backbone/")]
    assert len(inside) > 10 or "convnext" in spec.modalities[0].expert
    assert sum(node.op_type == "QuantizeLinear" for node in quantized.graph.node) > len(inside)


@needs_timm
def test_convolutions_with_computed_weights_stay_in_float(tmp_path: Path) -> None:
    """Those of networks without batch norms, which standardize their weights."""
    spec = spec_of("nf_regnet_b0")
    save_untrained(tmp_path / "m.safetensors", spec)
    network, _ = checkpoint.load(tmp_path / "m.safetensors")
    model = prepared(to_onnx(network, exported_as(network, spec, None, "fp32")))
    stored = {weight.name for weight in model.graph.initializer}
    computed = {node.name for node in model.graph.node
                if node.op_type == "Conv" and node.input[1] not in stored}
    assert computed and not computed & {candidate.name for candidate in convolutions(model)}


# What cannot be an expert

@needs_timm
@pytest.mark.parametrize(("name", "message"), [
    ("vit_tiny_patch16_224", "at 1/4, 1/8 and 1/16 of the image, and timm's .* at 1/16$"),
    ("swin_tiny_patch4_window7_224", "does not take an image of 80x48"),
    ("inception_v3", r"gives maps of \[\(2, 192, 8, 16\).* for an image of 80x48"),
    ("resnet17", "has no backbone 'resnet17'; close names are resnet1"),
    ("resnet18.nobody", r"has no backbone 'resnet18\.nobody'; close names are resnet18"),
    ("", "has no backbone ''"),
    ("hf-hub:someone/resnet18", "has no backbone 'hf-hub:someone/resnet18'"),
    ("local-dir:/tmp", "has no backbone 'local-dir:/tmp'"),
    ("resnet\n\x1b[31m" + 100_000 * "x", r"has no backbone 'resnet\\n\\x1b"),
])
def test_what_cannot_be_an_expert_is_said_in_one_line(name: str, message: str) -> None:
    with pytest.raises(SsmaError, match=message) as caught:
        expert(name)
    assert str(caught.value).startswith("modality 'rgb': ")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


@pytest.mark.parametrize("program", ["import there_is_no_such_module",
                                     "raise RuntimeError('operator nms\\ndoes not exist')"])
def test_a_timm_that_cannot_be_imported_is_named_with_the_command(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    (tmp_path / "timm.py").write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    with pytest.raises(SsmaError, match=r"timm cannot be imported \(.*\): pip install timm") as e:
        expert("resnet18")
    assert str(e.value).isprintable()


# A start from ImageNet

def configured(folder: Path, frames: Path, start: str) -> Training:
    values = small_run(frames)
    for modality in values["model"]["modalities"]:
        modality["expert"] = "timm/regnetx_002"
    for stage in values["stages"]:
        stage["steps"] = 2
    for stage in values["stages"][:2]:
        stage["start"] = [start]
    return read_training(write_configuration(folder, values))


@needs_timm
@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_a_stage_starts_from_a_file(tmp_path: Path, easy_frames: Path, ending: str) -> None:
    model = whole_model("regnetx_002")
    wanted = started("regnetx_002", model, tmp_path, ending).get_submodule("backbone")
    training = configured(tmp_path, easy_frames, f"imagenet:weights.{ending}")
    network = starting_network(training, training.stages[0], tmp_path)
    assert isinstance(network, AdapNetPP)
    found = network.expert.get_submodule("backbone").state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.state_dict().items())
    assert any(torch.equal(tensor, model.stem.conv.weight) for tensor in found.values())


@needs_timm
def test_another_file_is_another_configuration(tmp_path: Path, easy_frames: Path) -> None:
    training = configured(tmp_path, easy_frames, "imagenet:weights.safetensors")
    records = []
    for value in (0.0, 1.0):
        save_file({"a": torch.full((2,), value)}, tmp_path / "weights.safetensors")
        records.append(configuration(training, training.stages[0], tmp_path)["start"])
    assert len(records[0]) == len(records[1]) == 1 and records[0] != records[1]


@dataclass
class Code:
    """Unpickled, it makes a file."""

    file: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def write_nothing(file: Path) -> None:
    """No file."""


def write_code(file: Path) -> None:
    torch.save({"stem.conv.weight": Code(file.with_name("executed"))}, file)


def write_damaged(file: Path) -> None:
    file.write_bytes(b"damaged")


def write_an_opcode(file: Path) -> None:
    """That a pickle's reader takes, and whose operand is not there."""
    file.write_bytes(b"K")


def write_numbered(file: Path) -> None:
    torch.save({0: torch.zeros(3)}, file)


def write_others(file: Path) -> None:
    tensors: dict[str, Tensor] = timm.create_model("resnet18").state_dict()
    (save_file if file.suffix == ".safetensors" else torch.save)(tensors, file)


@needs_timm
@pytest.mark.parametrize(("name", "write", "message"), [
    ("w.safetensors", write_nothing, r"cannot read .*w.safetensors: No such file"),
    ("w.safetensors", write_damaged, "damaged, or contains more than tensors"),
    ("w.pth", write_damaged, "damaged, or contains more than tensors"),
    ("w.pth", write_an_opcode, "damaged, or contains more than tensors"),
    ("w.pth", write_numbered, r"has not the weights of .* the first is stem"),
    ("w.pth", write_code, "damaged, or contains more than tensors"),
    ("w.pth", write_others, r"has not the weights of timm's regnetx_002: \d+ of \d+ tensors"),
    ("w.safetensors", write_others, r"has not the weights of .* the first is stem"),
])
def test_a_file_that_is_no_start_is_named_before_the_work(
        tmp_path: Path, easy_frames: Path, name: str, write: Any, message: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    write(run / name)
    with pytest.raises(SsmaError, match=message) as caught:
        train(configured(tmp_path, easy_frames, f"imagenet:{name}"), run)
    assert str(caught.value).isprintable()
    assert not (run / "executed").exists()


@needs_timm
def test_a_download_that_fails_says_how_to_give_a_file(
        tmp_path: Path, easy_frames: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def offline(*arguments: Any, pretrained: bool = False, **others: Any) -> Any:
        if pretrained:
            raise OSError("no route\nto host")
        return create(*arguments, **others)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(SsmaError, match="timm does not get the ImageNet weights of timm/regnetx_002"
                       r" \(no route to host\); .*imagenet:FILE"):
        train(configured(tmp_path, easy_frames, "imagenet"), tmp_path / "run")


@needs_timm
@pytest.mark.training
def test_a_run_of_such_experts_ends_resumes_and_exports(
        tmp_path: Path, easy_frames: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    run.mkdir()
    save_file(whole_model("regnetx_002").state_dict(), run / "weights.safetensors")
    training = configured(tmp_path, easy_frames, "imagenet:weights.safetensors")
    train(training, run)
    train(training, run)
    assert capsys.readouterr().out.count("finished already") == 3
    network, spec = checkpoint.load(run / "fusion.safetensors")
    export(network, spec, tmp_path / "fusion.onnx")
    random = np.random.default_rng(0)
    rgb = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    depth = random.integers(500, 7000, (48, 64)).astype(np.uint16)
    by_torch, by_onnx = (Segmenter(file, threads=1).segment(rgb, depth).labels
                         for file in (run / "fusion.safetensors", tmp_path / "fusion.onnx"))
    assert (by_torch == by_onnx).mean() >= 0.999
