"""Several processes that train together are as one that sees the whole batch."""
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, small_run, write_configuration

from ssma_core.model_files import checkpoint
from ssma_core.training.stages import read_training
from ssma_core.training.start import starting_network

# Computes the network in 64 bits: Adam's steps are as long where a gradient is nothing but rounding
# as anywhere else, so that in 32 bits no two ways of adding up stay together for long.
IN_64_BITS = """
import runpy, sys
from ssma_core.training import trainer, loop

class Trainer(trainer.Trainer):
    def __init__(self, *given):
        super().__init__(*given)
        self.network.double()

def image_tensor(images, device, single=trainer.image_tensor):
    return single(images, device).double()

loop.Trainer, loop.image_tensor, trainer.image_tensor = Trainer, image_tensor, image_tensor
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def outputs(easy_frames, tmp_path_factory):
    """The configuration, and what one process and what two have made of it; on the CPU, since two
    on a machine with one GPU would be refused."""
    folder = tmp_path_factory.mktemp("processes")
    values = small_run(easy_frames)
    for stage in values["stages"]:
        stage |= {"steps": 4, "batch_size": 4, "dropout_keep": 1.0}
    values["stages"][2]["start"] = [str(folder / "one" / f"expert_{name}.safetensors")
                                    for name in ("rgb", "depth")]
    config = write_configuration(folder, values)
    script = folder / "in_64_bits.py"
    script.write_text(IN_64_BITS)
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, launcher in (("one", []), ("two", torchrun)):
        subprocess.run([sys.executable, *launcher, script, ROOT / "training" / "train.py",
                        "--config", config, "--output", folder / name], check=True, timeout=300,
                       env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    return read_training(config), folder / "one", folder / "two"


@pytest.mark.parametrize("number", [0, 2], ids=["expert_rgb", "fusion"])
def test_two_processes_do_as_one_with_the_same_batch(outputs, number):
    training, *folders = outputs
    stage = training.stages[number]
    one, two = (json.loads((folder / f"{stage.name}.json").read_text()) for folder in folders)
    assert (one["processes"], two["processes"]) == (1, 2)
    # The loss itself is computed in 32 bits, which have 6 to 7 digits.
    np.testing.assert_allclose(two["loss"], one["loss"], rtol=2e-6)
    torch.manual_seed(training.seed)
    start = starting_network(training, stage, folders[0]).state_dict()
    ended = [checkpoint.load(folder / f"{stage.name}.safetensors")[0].state_dict()
             for folder in folders]
    moved = distance(start, ended[0])
    # Of the way that the weights went. Without shared batch norm, or without shared gradients, two
    # processes end as far from one as from the start.
    assert distance(*ended) < 1e-4 * moved
    assert distance(*ended, statistics=True) < 1e-4 * distance(start, ended[0], statistics=True)


def distance(one, other, statistics=False):
    """Euclidean, over all weights; or over the batch norms' means and variances."""
    names = [n for n in one if "num_batches" not in n and ("running" in n) == statistics]
    return sum((one[n] - other[n]).square().sum().item() for n in names) ** 0.5


def test_the_validation_counts_every_frame_once(outputs):
    one, two = ([v["counts"] for v in json.loads((folder / "expert_rgb.json").read_text())
                 ["validation"]] for folder in outputs[1:])
    assert np.sum(two) == np.sum(one) == 6 * 48 * 64
    assert np.abs(np.subtract(one, two)).sum() < 0.01 * np.sum(one)
