"""Files are written whole, where the user said, with the user's modes, and by one process at a
time; what a killed process left is gone after the next."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT

from ssma_core import SsmaError
from ssma_core.cli import main
from ssma_core.disk.partial import lock, partial_folder
from ssma_core.files import atomic_write, check_new, check_writable, own_folder, write_text
from ssma_core.model_files.onnx_parts import is_exported
from ssma_core.registration import is_registration, write
from ssma_core.registration.homography import HomographyRegistration


def in_another_process(program: str, *arguments: Path | str) -> subprocess.Popen[str]:
    """It has run `program` up to `hold()`, where it waits until it is killed or gets a line."""
    head = ("import sys, time\nfrom pathlib import Path\nfrom ssma_core import files\n"
            "from ssma_core.disk import partial\n"
            "def hold():\n    print('now', flush=True)\n    sys.stdin.readline()\n")
    process = subprocess.Popen([sys.executable, "-c", head + program, *arguments], text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n", process.communicate()[1]
    return process


WRITES = "with files.atomic_write(sys.argv[1]) as t:\n    t.write_text('half'); hold()"
IN_A_FOLDER = ("with partial.partial_folder(Path(sys.argv[1])) as t:\n"
               "    (t / 'half').write_text('half'); hold()")
OWNS = "with files.own_folder(Path(sys.argv[1])):\n    hold()"


# Where it is written

def test_a_device_gets_the_bytes_and_stays_a_device(tmp_path: Path) -> None:
    null = tmp_path / "null"
    null.symlink_to("/dev/null")
    for path in (null, Path("/dev/null")):
        check_writable(path)
        write_text(path, "words")
        assert path.is_char_device()
    assert null.is_symlink()


def test_a_pipe_gets_the_bytes(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "words")
    reader.join()
    assert read == ["words"] and pipe.is_fifo()


def test_standard_output_is_not_replaced_where_it_is_a_file(tmp_path: Path) -> None:
    program = "from ssma_core.files import write_text; write_text('/dev/stdout', 'words')"
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", program], stdout=out, check=True, cwd=ROOT)
    assert (tmp_path / "out").read_text() == "words"


@pytest.mark.parametrize("exists", [True, False])
def test_the_file_behind_a_symbolic_link_is_written(tmp_path: Path, exists: bool) -> None:
    (tmp_path / "disk").mkdir()
    target, link = tmp_path / "disk" / "result.json", tmp_path / "latest.json"
    if exists:
        target.write_text("old")
    link.symlink_to("disk/result.json")
    check_writable(link)
    write_text(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("mask", [0o077, 0o002])
def test_a_file_has_the_mode_that_the_umask_allows(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "file", "words")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~mask


# Several processes

def test_two_processes_that_write_one_file_do_not_spoil_each_other(tmp_path: Path) -> None:
    """The last one that ends is there, whole."""
    path = tmp_path / "m.onnx"
    process = in_another_process(f"{WRITES}; t.write_text('all of theirs')", str(path))
    with atomic_write(path) as temporary:
        temporary.write_text("all of ours")
    assert path.read_text() == "all of ours"
    assert process.communicate("\n")[1] == ""
    assert path.read_text() == "all of theirs" and list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for _ in range(2):
        process = in_another_process(WRITES, str(path))
        process.kill()
        process.wait()
        assert len(list(tmp_path.iterdir())) == 1
    write_text(path, "ours")
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_in_a_folder_is_removed_by_the_next(tmp_path: Path) -> None:
    process = in_another_process(IN_A_FOLDER, str(tmp_path / "drive"))
    with partial_folder(tmp_path / "drive") as folder:
        assert not list(folder.iterdir()) and len(list(tmp_path.iterdir())) == 2
    process.kill()
    process.wait()
    assert len(list(tmp_path.iterdir())) == 1
    with partial_folder(tmp_path / "drive") as folder:
        assert not list(folder.iterdir())
    assert not list(tmp_path.iterdir())


def test_a_folder_has_one_process_at_a_time(tmp_path: Path) -> None:
    process = in_another_process(OWNS, str(tmp_path))
    with (pytest.raises(SsmaError, match=rf"^another process writes into {tmp_path}: wait until "),
          own_folder(tmp_path)):
        pass
    process.kill()
    process.wait()
    with own_folder(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_process_that_was_forked_and_goes_on_keeps_no_one_out(tmp_path: Path) -> None:
    program = ("import os\nwith files.own_folder(Path(sys.argv[1])):\n"
               "    child = os.fork()\n    if child == 0: time.sleep(60)\n"
               "    (Path(sys.argv[1]) / 'child').write_text(str(child)); hold()")
    process = in_another_process(program, str(tmp_path))
    process.kill()
    process.wait()
    try:
        with lock(tmp_path / ".lock", "works"):
            pass
    finally:
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


# What goes wrong

def test_a_folder_that_cannot_be_written_is_named_before_the_work(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "file", Path("/proc/file"), Path("/sys/file")):
        with pytest.raises(SsmaError, match=rf"^cannot write {path}: .*; give "):
            check_writable(path)


@pytest.mark.parametrize("arguments", [
    ["predict", "walk.mcap", "--model", "m.onnx", "--topics", "/a", "/b", "--video"],
    ["predict", "walk.mcap", "--model", "m.onnx", "--topics", "/a", "/b", "--into"],
    ["register", "walk.mcap", "--rgb", "/a", "--aux", "/b", "--output"],
    ["export", "--model", "m.safetensors", "--output"],
    ["import-tf", "--variables", "v.npz", "--architecture", "ssma", "--classes", "3", "--output"],
], ids=lambda arguments: f"{arguments[0]} {arguments[-1]}")
def test_a_file_that_is_there_is_kept_and_told_before_the_work(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        arguments: list[str]) -> None:
    """None of what the command reads is there, and so it can have done nothing."""
    monkeypatch.chdir(tmp_path)
    suffix = {"--video": ".mp4", "--into": ".mcap"}.get(arguments[-1], ".yaml")
    there = tmp_path / f"there{suffix}"
    there.write_text("frame_id: base_link")
    assert main([*arguments, there.name]) == 1
    assert f"{there.name} is there already; delete it or choose another name" in (
        capsys.readouterr().err)
    assert there.read_text() == "frame_id: base_link" and list(tmp_path.iterdir()) == [there]


def test_what_the_command_wrote_itself_or_is_empty_is_made_anew(tmp_path: Path) -> None:
    """A file of mktemp, a model beside its weights, a registration; and a device holds no work."""
    for path in (ROOT / "models/tiny_forest.onnx", tmp_path / "r.yaml", tmp_path / "old.onnx"):
        if path.name == "r.yaml":
            write(path, HomographyRegistration(
                ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), (9, 9), (9, 9), "nearest"), "")
        if path.name == "old.onnx":  # metadata of the last program: a spec, and nothing else
            path.write_bytes(b"\x72\x0a\x0a\x04spec\x12\x02{}")
        check_new(path, is_registration if path.suffix == ".yaml" else is_exported)
    (tmp_path / "empty").touch()
    for path in (tmp_path / "empty", tmp_path / "new", Path("/dev/null")):
        check_new(path)
    with pytest.raises(SsmaError, match=r"r\.yaml is there already"):
        check_new(tmp_path / "r.yaml", is_exported)


def test_a_full_device_is_named() -> None:
    with pytest.raises(SsmaError, match=r"^cannot write /dev/full: No space left on device; "):
        write_text("/dev/full", "words" * 10_000)


def test_an_error_about_another_file_stays_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="other"), atomic_write(tmp_path / "file"):
        (tmp_path / "other").read_text()


def test_text_and_paths_that_are_not_utf8_are_written(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"r\xe9sultat.json")
    write_text(path, path.name)
    assert path.read_text() == r"r\udce9sultat.json"
    assert list(tmp_path.iterdir()) == [path]


# Programs

def test_a_name_that_is_not_utf8_is_printed(tmp_path: Path) -> None:
    program = ("import sys; from ssma_core.processes import begin_program; begin_program(); "
               "print('wrote', sys.argv[1])")
    told = subprocess.run([sys.executable, "-c", program, b"r\xe9sultat"], check=True,
                          capture_output=True, cwd=ROOT,
                          env={**os.environ, "PYTHONIOENCODING": "utf-8", "LC_ALL": "C.UTF-8"})
    assert told.stdout == b"wrote r\\udce9sultat\n"


def test_sigterm_cleans_up_as_ctrl_c_does(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ssma_core.cli", "synthesize", "--output", tmp_path, "--frames",
         "1000"], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    while not list(tmp_path.glob(".drive_000.partial/rgb/*")):
        assert process.poll() is None
        time.sleep(0.02)
    process.terminate()
    told = process.communicate()[1]
    assert process.returncode == 130 and told.endswith("ssma synthesize: interrupted\n")
    assert "Traceback" not in told and not list(tmp_path.iterdir())
