"""A run that is killed continues from its last checkpoint, and ends as if nothing had happened."""
import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from conftest import ROOT, TWO_THREADS, small_run, write_configuration

from ssma_core import SsmaError
from ssma_core.model_files import checkpoint
from ssma_core.training import loop
from ssma_core.training.loop import train
from ssma_core.training.resume import StageFiles, durable_write, save_state
from ssma_core.training.stages import read_training

STAGES = ("expert_rgb", "expert_depth", "fusion")
# One process that has imported what takes long, and forks: a run starts at once.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["ssma_core.training.loop"])


@pytest.fixture(scope="module", autouse=True)
def two_threads():
    """Of every program that starts here."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in TWO_THREADS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def config(easy_frames, tmp_path_factory):
    """Short, with all that is random: dropout, changed images, dropped modalities."""
    values = small_run(easy_frames)
    values |= {"validate_every": 3, "checkpoint_every": 2}
    values["model"]["input_size"] = [64, 32]
    for stage in values["stages"]:
        stage["steps"] = 7
    values["stages"][2]["modality_dropout"] = 0.5
    return write_configuration(tmp_path_factory.mktemp("killed"), values)


@pytest.fixture(scope="module")
def training(config):
    return read_training(config)


@pytest.fixture(scope="module")
def undisturbed(training, tmp_path_factory):
    """The output of a run that was not interrupted."""
    output = tmp_path_factory.mktemp("undisturbed")
    run_in_a_process(training, output).join()
    return output


def run_in_a_process(*arguments):
    """Not in this one, whose number of threads other tests may have changed."""
    process = PROCESSES.Process(target=train_in_two_threads, args=arguments)
    process.start()
    return process


def train_in_two_threads(*arguments):
    """Also where another file's tests started the process that forks."""
    torch.set_num_threads(2)
    train(*arguments)


def checkpoints(folder):
    """Which there are, and when each was written."""
    with suppress(FileNotFoundError):  # renamed or removed meanwhile: then there is news
        return {(file.name, file.stat().st_mtime_ns) for file in folder.glob("*.state.pt")}


def wait_for_news(process, folder, known):
    """Of a checkpoint, or of the process's end. Returns those that there are then."""
    while process.is_alive() and checkpoints(folder) == known:
        time.sleep(0.01)
    return checkpoints(folder)


def assert_same_results(one, other):
    for stage in STAGES:
        logs = [json.loads((folder / f"{stage}.json").read_text()) for folder in (one, other)]
        for part in ("loss", "validation"):
            assert logs[0][part] == logs[1][part]
        for kind in ("", ".best"):
            weights = [checkpoint.load(folder / f"{stage}{kind}.safetensors")[0].state_dict()
                       for folder in (one, other)]
            for name, value in weights[0].items():
                assert torch.equal(value, weights[1][name]), f"{stage}{kind}: {name}"


def test_a_run_killed_again_and_again_ends_with_the_same_weights(training, undisturbed, tmp_path):
    killed, delays = 0, []
    for _ in range(4):
        before = checkpoints(tmp_path)
        process = run_in_a_process(training, tmp_path)
        first = wait_for_news(process, tmp_path, before)
        begun = time.monotonic()
        wait_for_news(process, tmp_path, first)
        # Anywhere on the way to the next one, of 12 in all, by the time that it took the same
        # process from one to another: how busy the machine is counts as little as it can.
        delays.append(random.uniform(0, time.monotonic() - begun))
        process.join(delays[-1])
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
    process = run_in_a_process(training, tmp_path)
    process.join()
    assert killed >= 2 and process.exitcode == 0, f"killed {delays} s after a checkpoint"
    assert_same_results(undisturbed, tmp_path)
    assert not list(tmp_path.glob(".*")) and not list(tmp_path.glob("*.state.pt"))


@pytest.mark.parametrize("kind", ["model", "best", "state", "log"])
def test_a_file_that_was_half_written_when_the_run_was_killed_is_removed(tmp_path, kind):
    files = StageFiles(tmp_path, "fusion")
    path = getattr(files, kind)
    with suppress(SsmaError), durable_write(path), files.own():
        assert [path.name for path in tmp_path.iterdir()] == [".fusion.lock"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["model", "best", "state", "log"])
def test_what_a_stage_writes_whose_name_only_begins_alike_stays(tmp_path, kind):
    with (durable_write(getattr(StageFiles(tmp_path, "fusion.2"), kind)) as temporary,
          StageFiles(tmp_path, "fusion").own()):
        assert temporary.exists()


def test_the_state_of_a_finished_stage_is_removed(tmp_path):
    """It was killed after its log was written, and before its state was removed."""
    files = StageFiles(tmp_path, "fusion")
    for file in (files.log, files.state):
        file.touch()
    with files.own():
        pass
    assert list(tmp_path.iterdir()) == [files.log]


def test_a_stage_that_another_process_trains_is_refused(training, tmp_path):
    process = run_in_a_process(training, tmp_path)
    wait_for_news(process, tmp_path, set())
    with pytest.raises(SsmaError, match=rf"another process trains the stage \w+ in {tmp_path}: "):
        train(training, tmp_path)
    process.kill()
    process.join()


@pytest.mark.parametrize("stop_by", [
    lambda process: os.killpg(process.pid, signal.SIGINT),  # as Ctrl-C
    lambda process: process.terminate()])
def test_a_stopped_run_prints_in_one_line_how_to_resume(config, training, undisturbed, tmp_path,
                                                        stop_by):
    """With the processes that read frames ahead."""
    command = [sys.executable, ROOT / "training" / "train.py", "--output", tmp_path,
               "--config", config, "--set", "workers=2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, process_group=0)
    while not checkpoints(tmp_path):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    stop_by(process)
    said = process.communicate()[1].split("\r")[-1]
    assert said.strip().splitlines()[-1] == (
        "train: stopped; the same command resumes from the last checkpoint")
    assert "Traceback" not in said and process.returncode == 1
    run_in_a_process(training, tmp_path).join()
    assert_same_results(undisturbed, tmp_path)


def test_a_state_of_another_configuration_is_refused(training, tmp_path):
    stopped_after_a_state(training, tmp_path)
    with pytest.raises(SsmaError, match=r"expert_rgb of another .*\n  stage.steps was 7, is 9\n"):
        train(replace(training, stages=(replace(training.stages[0], steps=9),)), tmp_path)


def test_a_damaged_state_is_named_and_restart_starts_again(training, undisturbed, tmp_path):
    stopped_after_a_state(training, tmp_path)
    state = tmp_path / "expert_rgb.state.pt"
    state.write_bytes(state.read_bytes()[:-1000])
    with pytest.raises(SsmaError, match=r"expert_rgb.state.pt: it is damaged; .* --restart"):
        train(training, tmp_path, only="expert_rgb")
    run_in_a_process(training, tmp_path, "expert_rgb", True).join()
    loss = [json.loads((folder / "expert_rgb.json").read_text())["loss"]
            for folder in (undisturbed, tmp_path)]
    assert loss[0] == loss[1]


@pytest.mark.parametrize(("first", "then", "file"), [
    ("checkpoint_every", "validate_every", "expert_rgb.state.pt"),
    ("validate_every", "checkpoint_every", "expert_rgb.best.safetensors")])
def test_a_full_disk_is_reported_by_the_name_of_the_file(training, tmp_path, first, then, file):
    """And nothing half-written is left. No file gets more than 100 kB: to those who write it is as
    if the disk were full."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
    try:
        with pytest.raises(SsmaError, match=rf"cannot write {tmp_path}/{file}: "):
            train(replace(training, **{first: 1, then: 7}), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
    assert [path.name for path in tmp_path.iterdir()] == ["tensorboard"]


def stopped_after_a_state(training, output):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save_state", lambda *given: (save_state(*given), stop()))
        with pytest.raises(KeyboardInterrupt):
            train(training, output, only="expert_rgb")


def stop():
    raise KeyboardInterrupt


def test_a_checkpoint_survives_a_power_loss(tmp_path, monkeypatch):
    """Its bytes are on the disk before it takes its name, and its name before anyone relies on it:
    the order that POSIX asks for."""
    calls = []
    synchronize, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (
        calls.append(("fsync", os.readlink(f"/proc/self/fd/{handle}"))), synchronize(handle)))
    monkeypatch.setattr(os, "replace", lambda old, new: (
        calls.append(("replace", str(old))), rename(old, new)))
    with durable_write(tmp_path / "state") as temporary:
        temporary.write_text("all of it")
    assert calls == [("fsync", str(temporary)), ("replace", str(temporary)),
                     ("fsync", str(tmp_path))]
