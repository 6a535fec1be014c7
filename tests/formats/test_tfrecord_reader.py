"""Records are read back from their bytes, and written as images with XML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dataset.scan.picture_set import save_pair, save_set
from tests.files import list_files
from tests.formats.record_files import make_image, make_record, write_records
from tests.shared_data import shared
from tfodhelper import errors
from tfodhelper.annotations import findings, labelimg
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.cli import main
from tfodhelper.formats import tfrecord, tfrecord_reader
from tfodhelper.formats.collection import ListedImage

_SIDE = st.integers(0, 63).map(float)
_BOXES = st.lists(
    st.builds(Box, st.sampled_from(["cat", "dog"]), _SIDE, _SIDE, _SIDE, _SIDE, st.booleans(), st.booleans())
)


@given(_BOXES)
def test_boxes_come_back_equal(boxes):
    record = tfrecord_reader.unpack(make_record(boxes), "r", {})
    assert record.listed == ListedImage("a.jpg", Annotation("a.jpg", 64, 48, tuple(boxes)))
    assert record.findings == () and record.unnamed == ()
    assert record.class_ids == tuple((box.name, {"cat": 1, "dog": 2}[box.name]) for box in boxes)


def test_negative_and_unpacked_numbers():
    parsed = tfrecord_reader.parse_example(make_record([Box("cat", -32, 1, 5, 6)]))
    assert parsed["image/object/bbox/xmin"] == [-0.5]
    assert parsed["image/object/class/label"] == [1] and parsed["image/source_id"] == [b"7"]
    minus = b"\x0a\x0f\x0a\x0d\x0a\x01x\x12\x08\x1a\x06\x08\xff\xff\xff\xff\x0f"  # an int64 that is not packed
    assert tfrecord_reader.parse_example(minus) == {"x": [0xFFFFFFFF]}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_a_finding(data):
    finding = tfrecord_reader.unpack(data, "file, record 1", {})
    assert isinstance(finding, Finding) and finding.code in ("image-empty", "record-damaged")
    assert "file, record 1" in finding.message


def test_wrong_declarations_in_records_are_reported(tmp_path):
    wrong = make_record([Box("cat", 1, 1, 9, 9)], make_image("PNG"), "jpg", "../../x.jpg")
    other = make_record([], make_image(size=(10, 10)), filename="../../x.jpg")
    broken = make_record([], b"no image")
    path = write_records(tmp_path / "a.record", wrong, other, broken)
    made = tfrecord.import_records({"train": path}, tmp_path / "deep" / "out")
    assert [finding.code for finding in made.findings] == ["record-format", "size-differs", "image-unreadable"]
    files = list_files(tmp_path)
    written = ["label_map.pbtxt", *(f"x.{end}" for end in ("jpg", "jpg.xml", "png", "xml"))]
    assert files == ["a.record", *(f"deep/out/{name}" for name in written)]


def test_there_and_back_through_convert(tmp_path):
    folder = save_set(tmp_path / "data", ["cat", "dog"])
    save_pair(folder / "deep", "empty", [], seed=5)
    save_pair(folder / "deep", "one", [Box("cat", 1.5, 2, 30, 40, True)], seed=6)
    assert main.main(["convert", f"--data_dir={folder}", f"--output_dir={tmp_path / 'records'}"]) == 0
    pattern = tmp_path / "records" / "*.record-*"
    assert main.main(["import", "--from=records", f"--input={pattern}", f"--output_dir={tmp_path / 'back'}"]) == 0
    for path in folder.rglob("*.xml"):
        copy = tmp_path / "back" / path.relative_to(folder)
        assert labelimg.read_labelimg(copy) == labelimg.read_labelimg(path)
        assert copy.with_suffix(".jpg").read_bytes() == path.with_suffix(".jpg").read_bytes()


def test_real_records_with_a_wrong_format(tmp_path):
    record = shared("data/messy/dev/25-record-png-bytes-tagged-jpg/TFRecords/entrenamiento.record")
    made = tfrecord.import_records({"train": record}, tmp_path / "out")
    assert (made.num_images, made.counts) == (44, {"feliz": 141, "triste": 103})
    assert findings.count_codes(made.findings) == {"record-format": 27}


def test_files_that_are_not_record_files_are_rejected(tmp_path):
    (tmp_path / "a.record").write_bytes(b"x" * 100)
    with pytest.raises(errors.DatasetError, match="does not begin with a record"):
        tfrecord.import_records({"train": tmp_path / "a.record"}, tmp_path / "out")
