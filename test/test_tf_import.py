"""The original's weights come in whole, or not at all and with their names."""
from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from protobuf_messages import field, varint

from ssma_core import ModelSpec, SsmaError
from ssma_core.cli import main
from ssma_core.model import build
from ssma_core.model_files import checkpoint
from ssma_core.model_files.tf_checkpoint import masked_crc32c, read_checkpoint
from ssma_core.model_files.tf_import import import_variables, imported_spec, variable_targets

Arrays = dict[str, npt.NDArray[Any]]


@pytest.fixture(scope="module")
def adapnet_variables(shared: Path, seeded: ModuleType) -> Arrays:
    """Every variable of AdapNet++ for 6 classes."""
    return seeded.variables(shared / "golden/adapnet_pp_6.npz")


def import_tf(*arguments: object) -> int:
    return main(["import-tf", *map(str, arguments)])


def spec_of(architecture: Any, classes: int) -> ModelSpec:
    from ssma_core.commands.import_tf import SECOND_MODALITIES
    from ssma_core.spec import Modality

    modalities = [Modality("rgb", "image"), SECOND_MODALITIES["depth"]]
    return imported_spec(architecture, classes, (768, 384),
                         tuple(modalities[:2 if architecture == "ssma" else 1]))


def test_the_names_and_shapes_are_the_original_graphs(shared: Path) -> None:
    lines = (shared / "golden/ssma_variables.txt").read_text().split("\n")
    listed = dict(line.split(" ") for line in lines if line)
    with torch.device("meta"):
        targets = variable_targets(build(spec_of("ssma", 6)), spec_of("ssma", 6))
    assert {name: "x".join(map(str, t.shape)) for name, t in targets.items()} == listed


def test_an_npz_becomes_a_model_file(tmp_path: Path, adapnet_variables: Arrays) -> None:
    np.savez(tmp_path / "v.npz", **adapnet_variables)
    output = tmp_path / "m.safetensors"
    assert import_tf("--variables", tmp_path / "v.npz", "--architecture", "adapnet++",
                     "--classes", 6, "--size", "192x96", "--output", output) == 0
    loaded, spec = checkpoint.load(output)
    assert (spec.size, spec.classes, spec.input_size) == ("full", 6, (192, 96))
    assert spec.class_names[0] == "void" and len(set(spec.class_colours)) == 6
    expected = import_variables(adapnet_variables, spec).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())


def test_a_published_checkpoint_becomes_the_same_model(
        tmp_path: Path, adapnet_variables: Arrays) -> None:
    """As the training script of the original leaves it: with heads, Adam's slots and counters."""
    random = np.random.default_rng(0)
    heads = {f"resnet_v2_50/conv{number}/{leaf}": random.random(shape, np.float32)
             for number in (911, 912)
             for leaf, shape in {"weights": (1, 1, 256, 6), "BatchNorm/gamma": 6,
                                 "BatchNorm/beta": 6, "BatchNorm/moving_mean": 6,
                                 "BatchNorm/moving_variance": 6}.items()}
    optimizer = {"resnet_v2_50/conv1/weights/Adam": np.ones((7, 7, 3, 64), np.float32),
                 "resnet_v2_50/conv1/weights/Adam_1": np.ones((7, 7, 3, 64), np.float32),
                 "beta1_power": np.float32(0.5), "beta2_power": np.float32(0.5),
                 "Global_Step": np.int32(1000)}
    variables: Arrays = adapnet_variables | heads | optimizer
    write_checkpoint(tmp_path / "model.ckpt-1000", variables, shards=3, entries_a_block=50)
    output = tmp_path / "m.safetensors"
    assert import_tf("--checkpoint", tmp_path / "model.ckpt-1000", "--architecture", "adapnet++",
                     "--classes", 6, "--output", output) == 0
    loaded, spec = checkpoint.load(output)
    expected = import_variables(adapnet_variables | heads, spec).state_dict()
    assert expected.keys() == loaded.state_dict().keys()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())
    head = loaded.get_submodule("auxiliary_heads.quarter.convolution").weight
    np.testing.assert_array_equal(head.detach().numpy()[:, :, 0, 0].T,
                                  heads["resnet_v2_50/conv911/weights"][0, 0])


def without(name: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {n: a for n, a in arrays.items() if n != name}


def holding(name: str, number: float) -> Callable[[Arrays], Arrays]:
    def change(arrays: Arrays) -> Arrays:
        value = arrays[name].copy()
        value.flat[-1] = number
        return arrays | {name: value}
    return change


@pytest.mark.parametrize(("change", "message"), [
    (without("resnet_v2_50/conv5/weights"), "missing (1):\n  resnet_v2_50/conv5/weights\n"),
    (lambda arrays: arrays | {"conv7/w": np.zeros(3)}, "left over (1):\n  conv7/w\n"),
    (lambda arrays: arrays | {"resnet_v2_50/conv32/weights": np.zeros((1, 1, 24, 256))},
     "of another shape (1):\n"
     "  resnet_v2_50/conv32/weights is 1×1×24×256 instead of 1×1×256×24\n"),
    (holding("resnet_v2_50/conv32/weights", np.nan),
     "weights of another training step.\n  resnet_v2_50/conv32/weights\n"),
    (holding("resnet_v2_50/conv5/weights", -np.inf),
     "weights of another training step.\n  resnet_v2_50/conv5/weights\n"),
])
def test_variables_that_do_not_fit_are_named_and_nothing_is_written(
        tmp_path: Path, adapnet_variables: Arrays, capsys: pytest.CaptureFixture[str],
        change: Callable[[Arrays], Arrays], message: str) -> None:
    np.savez(tmp_path / "v.npz", **change(adapnet_variables))
    assert import_tf("--variables", tmp_path / "v.npz", "--architecture", "adapnet++",
                     "--classes", 6, "--output", tmp_path / "m.safetensors") == 1
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["v.npz"]


def test_all_that_is_missing_is_named(adapnet_variables: Arrays) -> None:
    with pytest.raises(SsmaError) as raised:
        import_variables({}, spec_of("adapnet++", 6))
    _, missing, *names = str(raised.value).split("\n")
    assert missing == "missing (378):"
    assert {name.removeprefix("  ") for name in names} == adapnet_variables.keys()


def test_a_part_of_a_checkpoint_is_no_model(
        shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The golden checkpoint lacks every variable of more than 2,400 values."""
    assert import_tf("--checkpoint", shared / "golden/checkpoint/model.ckpt-1000",
                     "--architecture", "ssma", "--classes", 6,
                     "--output", tmp_path / "m.safetensors") == 1
    error = capsys.readouterr().err
    assert "missing (157):\n" in error and "\n  rgb/resnet_v2_50/conv1/weights\n" in error
    assert "left over" not in error and "another shape" not in error
    assert not list(tmp_path.iterdir())


def test_tensorflows_own_checkpoint_is_read(shared: Path, seeded: ModuleType) -> None:
    variables = read_checkpoint(shared / "golden/checkpoint/model.ckpt-1000")
    listed = (shared / "golden/ssma_variables.txt").read_text()
    assert len(variables) == 590
    for name, value in variables.items():
        assert f"{name} {'x'.join(map(str, value.shape))}\n" in listed
        assert value.dtype == np.float32
        if "/moving_" not in name:
            expected = seeded.variable(name, list(value.shape), "forest")
            np.testing.assert_array_equal(value, expected)


@given(st.dictionaries(st.text(min_size=1, max_size=30),
                       st.tuples(st.sampled_from(["f4", "f8", "i4", "i8", "u1"]),
                                 st.lists(st.integers(0, 4), max_size=4)), max_size=30),
       st.integers(1, 4), st.integers(1, 10))
def test_any_table_of_any_shards_is_read(
        tmp_path_factory: pytest.TempPathFactory, kinds: dict[str, tuple[str, list[int]]],
        shards: int, entries_a_block: int) -> None:
    random = np.random.default_rng(0)
    variables = {name: (random.random(shape) * 100).astype(dtype)
                 for name, (dtype, shape) in kinds.items()}
    prefix = tmp_path_factory.mktemp("checkpoint") / "model.ckpt"
    write_checkpoint(prefix, variables, shards, entries_a_block)
    read = read_checkpoint(prefix)
    assert read.keys() == variables.keys()
    for name, value in variables.items():
        assert read[name].dtype == value.dtype
        np.testing.assert_array_equal(read[name], value)


def cut(name: str, length: int) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:length])


def flip(name: str, at: int) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[at] ^= 1
        (folder / name).write_bytes(data)
    return change


@pytest.mark.parametrize(("harm", "message"), [
    (lambda folder: (folder / "m.index").unlink(), r"m.index: No such file.*without the endings"),
    (lambda folder: (folder / "m.data-00000-of-00001").unlink(), r"m.data-00000-of-00001: No such"),
    (cut("m.data-00000-of-00001", 11), "data file of variable b is cut short"),
    (cut("m.data-00000-of-00001", 0), "data file of variable a is cut short"),
    (cut("m.index", 0), "m.index is not the index of a TensorFlow checkpoint"),
    (cut("m.index", 60), "m.index is not the index of a TensorFlow checkpoint"),
    (flip("m.data-00000-of-00001", 3), "data file of variable a is damaged: its checksum"),
    (flip("m.data-00000-of-00001", -1), "data file of variable b is damaged: its checksum"),
    (flip("m.index", 3), "damaged.*checksum"),
    (flip("m.index", -46), "m.index is not the index"),
    (lambda folder: (folder / "m.index").write_bytes(b"PK\3\4" * 100), "m.index is not the index"),
])
def test_a_bad_checkpoint_is_named_with_what_to_do(
        tmp_path: Path, harm: Callable[[Path], object], message: str) -> None:
    write_checkpoint(tmp_path / "m", {"a": np.zeros(2, np.float32), "b": np.ones(1, np.float32)})
    harm(tmp_path)
    with pytest.raises(SsmaError, match=f"(?s){message}"):
        read_checkpoint(tmp_path / "m")


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4 cut short", b"import this"])
def test_what_is_no_npz_is_named(tmp_path: Path, content: bytes | None,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        (tmp_path / "v.npz").write_bytes(content)
    assert import_tf("--variables", tmp_path / "v.npz", "--architecture", "ssma", "--classes", 6,
                     "--output", tmp_path / "m.safetensors") == 1
    assert f"cannot read {tmp_path / 'v.npz'}" in capsys.readouterr().err


# A writer of the same format, by the book and without prefix compression.

TYPES = {"f4": 1, "f8": 2, "i4": 3, "u1": 4, "i8": 9}


def write_checkpoint(prefix: Path, variables: Mapping[str, npt.NDArray[Any]], shards: int = 1,
                     entries_a_block: int = 1000) -> None:
    data = [bytearray() for _ in range(shards)]
    entries = [(b"", field(1, shards))]
    for count, name in enumerate(sorted(variables, key=str.encode)):
        value, shard = np.asarray(variables[name]), count % shards
        shape = b"".join(field(2, field(1, side)) for side in value.shape)
        entries.append((name.encode(), field(1, TYPES[value.dtype.str[1:]]) + field(2, shape)
                        + field(3, shard) + field(4, len(data[shard])) + field(5, value.nbytes)
                        + fixed(6, masked_crc32c(value.tobytes()))))
        data[shard] += value.tobytes()
    prefix.with_name(prefix.name + ".index").write_bytes(b"".join(table(entries, entries_a_block)))
    for shard, content in enumerate(data):
        name = f"{prefix.name}.data-{shard:05d}-of-{shards:05d}"
        prefix.with_name(name).write_bytes(content)


def table(entries: list[tuple[bytes, bytes]], entries_a_block: int) -> Iterator[bytes]:
    at, index = 0, []
    for first in range(0, len(entries), entries_a_block):
        some = entries[first:first + entries_a_block]
        data = block(some)
        yield data
        index.append((some[-1][0], varint(at) + varint(len(data) - 5)))
        at += len(data)
    yield block(index)
    handles = varint(0) + varint(0) + varint(at) + varint(len(block(index)) - 5)
    yield handles.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(varint(0) + varint(len(key)) + varint(len(value)) + key + value
                    for key, value in entries) + struct.pack("<II", 0, 1) + b"\0"
    crc = 0xFFFFFFFF
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    crc ^= 0xFFFFFFFF
    return body + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def fixed(number: int, value: int) -> bytes:
    return varint(number << 3 | 5) + struct.pack("<I", value)
