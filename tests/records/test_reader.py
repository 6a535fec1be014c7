"""Finding record files and counting records; checksums were computed with another implementation of CRC-32C."""

import struct

import pytest

from tfodhelper import errors
from tfodhelper.records import framing, reader


def record(content):
    header = struct.pack("<Q", len(content))
    return header + struct.pack("<I", framing.masked_crc(header)) + content + struct.pack("<I", 0)


def test_records_are_counted_by_their_headers(tmp_path):
    path = tmp_path / "a.record"
    path.write_bytes(record(b"") + record(b"abc") + record(b"x" * 1000))
    assert reader.count_records(path) == 3
    assert [length for _, length in reader.iterate_spans(path)] == [0, 3, 1000]
    (tmp_path / "empty.record").write_bytes(b"")
    assert reader.count_records([path, tmp_path / "empty.record"]) == 3


@pytest.mark.parametrize("cut", [1, 4, 5, 10, 15, 18])
def test_a_truncated_file_is_detected(tmp_path, cut):
    path = tmp_path / "a.record"
    path.write_bytes((record(b"abc") + record(b"def"))[:-cut])
    with pytest.raises(errors.DatasetError, match="ends inside record 2"):
        reader.count_records(path)


def test_a_file_that_is_not_a_record_file_is_rejected(tmp_path):
    path = tmp_path / "a.record"
    path.write_bytes(b"this is not a record file at all")
    with pytest.raises(errors.DatasetError, match="does not begin with a record header"):
        reader.count_records(path)


def test_patterns_lists_and_commas(tmp_path):
    names = [f"train.record-{n:05d}-of-00003" for n in range(3)]
    for name in [*names, "validate.record"]:
        (tmp_path / name).write_bytes(b"")
    expected = [str(tmp_path / name) for name in names]
    assert reader.list_shards(tmp_path / "train.record-?????-of-00003") == expected
    assert reader.list_shards([str(tmp_path / "train.record-*"), str(tmp_path / names[0])]) == expected
    assert reader.list_shards(f"{tmp_path}/validate.record, {tmp_path}/train.*") == [
        *expected,
        f"{tmp_path}/validate.record",
    ]
    with pytest.raises(errors.DatasetError, match="did you mean"):
        reader.list_shards(tmp_path / "train.record")
    with pytest.raises(errors.DatasetError, match="does not exist"):
        reader.list_shards(tmp_path / "none" / "train.record")
    (tmp_path / names[1]).unlink()
    with pytest.raises(errors.DatasetError, match="00001-of-00003: the shard is missing"):
        reader.list_shards(tmp_path / "train.record-*")
