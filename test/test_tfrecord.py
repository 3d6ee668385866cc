"""The original's TFRecords without TensorFlow: the same arrays, and no damage that goes unseen."""
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from protobuf_messages import example, framed

from ssma_core import SsmaError
from ssma_core.datasets import tfrecord
from ssma_core.datasets.tfrecord import Records
from ssma_core.model_files.tf_checkpoint import masked_crc32c

HEIGHT, WIDTH = 2, 3
FRAME = {"height": HEIGHT, "width": WIDTH, "modality1": bytes(range(18)),
         "modality2": bytes(range(100, 118)), "label": bytes([0, 1, 2, 2, 1, 0])}

many_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture],
                      max_examples=200, deadline=None)


def write(folder: Path, content: bytes) -> Path:
    path = folder / "frames.tfrecord"
    path.write_bytes(content)
    return path


def read_all(path: Path) -> list:
    return [sample.read(classes=3) for sample in Records(str(path)).samples()]


# Checksums

@pytest.mark.parametrize(("data", "expected"), [
    (b"", 0),
    (b"123456789", 0xE3069283),  # the check value of the catalogue of parametrised CRCs
    (bytes(32), 0x8A9136AA),  # this and the next three: RFC 3720, appendix B.4
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(reversed(range(32))), 0x113FDB5C),
])
def test_published_checksums(data, expected):
    """Stored as LevelDB does (util/crc32c.h): rotated right by 15 bits, and a constant added."""
    rotated = (masked_crc32c(data) - 0xA282EAD8) % 2**32
    assert (rotated << 15 | rotated >> 17) % 2**32 == expected


def test_what_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(SsmaError, match="pip install google-crc32c"):
        masked_crc32c(b"")


# What is read

def test_records_of_the_original_converter(shared):
    expected = np.load(shared / "golden" / "three_examples.npz")
    samples = Records(str(shared / "golden" / "three_examples.tfrecord")).samples()
    assert len(samples) == 3
    assert len({sample.name for sample in samples}) == 3
    for i, sample in enumerate(samples):
        for array, name in zip(sample.read(classes=6), ("modality1", "modality2", "label")):
            np.testing.assert_array_equal(array, expected[name][i])


@pytest.mark.parametrize("packed", [True, False])
def test_rows_columns_and_channels_stand_where_they_belong(tmp_path, packed):
    ((rgb, aux, label),) = read_all(write(tmp_path, framed(example(FRAME, packed))))
    assert rgb.shape == aux.shape == (HEIGHT, WIDTH, 3)
    assert rgb[0, 1].tolist() == [3, 4, 5]
    assert aux[1, 0].tolist() == [109, 110, 111]
    assert label.tolist() == [[0, 1, 2], [2, 1, 0]]


def test_folds_of_records_are_taken(tmp_path):
    path = write(tmp_path, framed(example(FRAME)) * 4)
    assert [s.index for s in Records(str(path), folds=2, take=(1,)).samples()] == [2, 3]


def test_a_record_is_checked_when_it_is_read_first(tmp_path, monkeypatch):
    """Training reads each in every epoch."""
    checked = []
    monkeypatch.setattr(tfrecord, "masked_crc32c",
                        lambda data: checked.append(len(data)) or masked_crc32c(data))
    samples = Records(str(write(tmp_path, framed(example(FRAME)) * 2))).samples()
    checked.clear()  # the lengths'
    for _ in range(3):
        for sample in samples:
            sample.read(classes=3)
    assert checked == [len(example(FRAME))] * 2


# What is refused

@pytest.mark.parametrize(("change", "complaint"), [
    ({"label": bytes(5)}, r"label has 5 bytes, but 3x2 pixels .* of 1 take 6"),
    ({"modality2": bytes(6)}, r"modality2 has 6 bytes, but 3x2 pixels .* of 3 take 18"),
    ({"height": 2**64 - 1}, r"modality1 has 18 bytes"),
    ({"height": 0, "width": 0, "modality1": b"", "modality2": b"", "label": b""},
     r"modality1 has 0 bytes"),
    ({"width": b"3"}, r"it has no feature 'width' of one value of type int"),
    ({"modality1": 7}, r"it has no feature 'modality1' of one value of type bytes"),
    ({"label": bytes([0, 0, 0, 0, 0, 3])}, r"the label has the id 3.*0 to 2"),
])
def test_a_frame_that_does_not_fit_is_named(tmp_path, change, complaint):
    first = framed(example(FRAME))
    path = write(tmp_path, first + framed(example(FRAME | change)))
    with pytest.raises(SsmaError, match=rf"frames.tfrecord, record 1 at byte {len(first)}: "
                                        + complaint):
        read_all(path)


def test_other_features_are_listed(tmp_path):
    path = write(tmp_path, framed(example({"img_raw": b"", "height": 2})))
    with pytest.raises(SsmaError, match=r"record 0 at byte 0: it has no feature 'width'.*"
                                        r"this record has height, img_raw"):
        read_all(path)


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(SsmaError, match=r"cannot read .*none.tfrecord: No such file"):
        read_all(tmp_path / "none.tfrecord")
    with pytest.raises(SsmaError, match="holds no record"):
        read_all(write(tmp_path, b""))
    with pytest.raises(SsmaError, match=r"record 0 at byte 0: .*no TFRecord file"):
        read_all(write(tmp_path, b"modality1.png modality2.png label.png\n"))


def test_a_file_cut_short_while_it_is_used(tmp_path):
    path = write(tmp_path, framed(example(FRAME)))
    (sample,) = Records(str(path)).samples()
    sample.read(classes=3)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SsmaError, match="record 0 at byte 0: the file is cut short"):
        sample.read(classes=3)


@many_files
@given(st.data())
def test_no_changed_byte_goes_unseen(tmp_path, data):
    content = bytearray(framed(example(FRAME)) * 2)
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SsmaError, match=r"frames.tfrecord, record [01] at byte \d+: "):
        read_all(write(tmp_path, bytes(content)))


@many_files
@given(st.data())
def test_a_file_cut_short_is_named_with_its_record(tmp_path, data):
    record = framed(example(FRAME))
    kept = data.draw(st.integers(1, len(record) - 1))
    path = write(tmp_path, record + record[:kept])
    with pytest.raises(SsmaError, match=f"record 1 at byte {len(record)}: the file is cut short"):
        read_all(path)


@many_files
@given(st.data())
def test_a_damaged_example_is_refused_or_has_the_shapes_it_says(tmp_path, data):
    """As above, with checksums that fit, as a faulty writer would make them."""
    content = bytearray(example(FRAME))
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[at] = data.draw(st.integers(0, 255))
    path = write(tmp_path, framed(bytes(content[:data.draw(st.integers(0, len(content)))])))
    try:
        ((rgb, aux, label),) = read_all(path)
    except SsmaError as error:
        assert "frames.tfrecord, record 0 at byte 0: " in str(error)
    else:
        assert rgb.shape == aux.shape == (*label.shape, 3)


@many_files
@given(st.binary(max_size=60))
def test_data_that_are_no_example_are_refused(tmp_path, data):
    with pytest.raises(SsmaError, match="record 0 at byte 0"):
        read_all(write(tmp_path, framed(data)))
