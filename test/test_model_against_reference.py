"""The networks compute, and learn, as the reference TensorFlow implementation does."""
from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from ssma_core import Modality, ModelSpec
from ssma_core.model import SegmentationNetwork, Ssma
from ssma_core.model_files.tf_import import import_variables, imported_spec, variable_targets
from ssma_core.training.loss import cross_entropy, poly

RGB, DEPTH = Modality("rgb", "image"), Modality("depth", "jet", 7000.0)
SSMA = imported_spec("ssma", 6, (192, 96), (RGB, DEPTH))
ADAPNET_PP = imported_spec("adapnet++", 6, (192, 96), (RGB,))

# The golden files' names of intermediate results: our modules that give them.
EXPERT = {
    "stem": "encoder.stem",
    "block1": "encoder.block1",
    "block2": "encoder.block2",
    "block3": "encoder.block3.units",
    "block4": "encoder.block4",
    "easpp": "easpp",
}
DECODER = {
    "decoder_eighth": "decoder.to_eighth.refine",
    "decoder_quarter_scores": "decoder.scores",
}
IN_ADAPNET_PP = {name: f"expert.{module}" for name, module in EXPERT.items()} | DECODER
IN_FIRST_EXPERT = {f"expert1_{name}": f"experts.0.{module}" for name, module in EXPERT.items()}
IN_SSMA = IN_FIRST_EXPERT | DECODER | {
    "expert1_pool": "experts.0.encoder.pool",
    "expert1_skip_eighth": "experts.0.encoder.skip_eighth",
    "expert1_skip_quarter": "experts.0.encoder.skip_quarter",
    "fuse_easpp": "fuse_easpp.output",
    "fuse_easpp_gate": "fuse_easpp.excite",  # before its sigmoid
    "fuse_eighth": "fuse_eighth.output",
    "fuse_quarter": "fuse_quarter.output",
}


@pytest.fixture(scope="module", params=[("ssma_6.npz", SSMA, IN_SSMA),
                                        ("adapnet_pp_6.npz", ADAPNET_PP, IN_ADAPNET_PP)],
                ids=["ssma", "adapnet++"])
def answer(request: pytest.FixtureRequest, shared: Path, seeded: ModuleType) -> Any:
    """(golden file, our logits N×H×W×6, our intermediate results by the golden file's names)."""
    file, spec, modules = request.param
    golden = np.load(shared / "golden" / file)
    network = import_variables(seeded.variables(shared / "golden" / file), spec)
    results: dict[str, npt.NDArray[np.float32]] = {}
    for name, module in modules.items():
        network.get_submodule(module).register_forward_hook(kept_in(results, name))
    with torch.no_grad():
        logits = network(*images(golden))
    return golden, channels_last(logits), results


def kept_in(results: dict[str, npt.NDArray[np.float32]], name: str) -> Callable[..., None]:
    def keep(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        output = torch.sigmoid(output) if name.endswith("_gate") else output.clone()
        results[name] = channels_last(output)  # a copy: ReLUs work in place
    return keep


def images(golden: Any) -> Iterator[Tensor]:
    for name in ("bgr", "modality2"):
        if name in golden:
            yield torch.from_numpy(golden[name].astype(np.float32)).permute(0, 3, 1, 2)


def channels_last(x: Tensor) -> npt.NDArray[np.float32]:
    return x.permute(0, 2, 3, 1).numpy()


def distance(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> float:
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def test_logits_and_labels_are_the_references(answer: Any) -> None:
    golden, logits, _ = answer
    assert distance(logits, golden["logits"]) <= 5e-4
    assert (logits.argmax(-1) == golden["logits"].argmax(-1)).mean() >= 0.999


def test_every_intermediate_result_is_the_references(answer: Any) -> None:
    golden, _, ours = answer
    theirs = {name.removeprefix("act_"): golden[name] for name in golden if name.startswith("act_")}
    assert ours.keys() == theirs.keys()
    distances = {name: distance(ours[name][:1, :, :, :16], theirs[name]) for name in theirs}
    assert max(distances.values()) <= 5e-4, distances


@pytest.fixture(scope="module")
def training(shared: Path, seeded: ModuleType) -> tuple[Any, Ssma, Tensor, list[Tensor]]:
    """(golden file, SSMA in training mode with frozen experts, label, images)."""
    golden = np.load(shared / "golden/ssma_6_training.npz")
    variables = seeded.variables(shared / "golden/ssma_6_training.npz",
                                 shared / "golden/ssma_6.npz")
    network = import_variables(variables, SSMA)
    assert isinstance(network, Ssma)
    network.freeze(network.experts)
    return golden, network.train(), torch.from_numpy(golden["label"]), list(images(golden))


def test_training_follows_the_reference(
        training: tuple[Any, Ssma, Tensor, list[Tensor]]) -> None:
    golden, network, label, inputs = training
    network = copy.deepcopy(network)
    optimizer = torch.optim.Adam((p for p in network.parameters() if p.requires_grad), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: poly(step, 100))
    losses = []
    for step in range(5):
        optimizer.zero_grad()
        loss = cross_entropy(network(*inputs), label, void_id=0)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        assert schedule.get_last_lr()[0] == pytest.approx(golden["lrs"][step], rel=1e-5)
    assert losses[0] == pytest.approx(float(golden["loss"]), rel=1e-5)
    np.testing.assert_allclose(losses, golden["losses"], rtol=0.01)


def test_gradients_are_the_references(
        training: tuple[Any, Ssma, Tensor, list[Tensor]]) -> None:
    """In float64, so that they do not depend on the order of sums, which threads change."""
    golden, network, label, inputs = training
    exact = copy.deepcopy(network).double()
    loss = cross_entropy(exact(*(image.double() for image in inputs)), label, void_id=0)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = gradients_by_variable(exact, SSMA)
    named = [name for name in golden if name.startswith("grad:")]
    assert named
    for name in named:
        # Measured: up to 2.4 %, since the reference's float32 leaves some ReLUs on the other side
        # of zero. The batch norm of conv550 is over two values, one a frame, and takes 96 % of the
        # gradient away; in the rest such differences show more: 6.8 %.
        bound = 0.1 if "conv550" in name else 0.03
        assert distance(gradients[name.removeprefix("grad:")], golden[name]) <= bound, name


def gradients_by_variable(network: Ssma, spec: ModelSpec) -> dict[str, npt.NDArray[np.float32]]:
    """The gradients of all that learns, as TensorFlow lays its variables out."""
    of_memory = {p.data_ptr(): p.grad for p in network.parameters() if p.grad is not None}
    gradients = {}
    for name, target in variable_targets(network, spec).items():
        parts = [of_memory.get(tensor.data_ptr()) for tensor in target.tensors]
        if all(part is not None for part in parts):
            whole = torch.cat([part for part in parts if part is not None]).numpy()
            # Height, width, in, out; for transposed convolutions both channels change places.
            gradients[name] = whole.transpose(2, 3, 1, 0) if whole.ndim == 4 else whole
    return gradients


def test_frozen_experts_do_not_change_in_training(
        training: tuple[Any, Ssma, Tensor, list[Tensor]]) -> None:
    _, network, _, inputs = training
    before = {name: value.clone() for name, value in network.experts.state_dict().items()}
    network.train()
    network(*inputs).sum().backward()
    assert all(torch.equal(value, before[name])
               for name, value in network.experts.state_dict().items())
    assert all(p.grad is None for p in network.experts.parameters())
    assert network.decoder.training and not network.experts.training


def test_no_batch_norm_differs_from_the_original(training: Any) -> None:
    network: SegmentationNetwork = training[1]
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-5, 0.01)}
