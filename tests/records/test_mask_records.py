"""Masks in records: the PNGs as TensorFlow and Pillow read them, and the way through convert and import."""

import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from PIL import Image

from tests.annotations.test_masks import SQUARE, arrays
from tests.dataset.scan.picture_set import save_image, save_pair, save_set
from tests.formats.record_files import make_image
from tests.records.test_example import example_of
from tfodhelper.annotations import labelimg, masks
from tfodhelper.annotations.label_map import make_label_map
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.cli import main
from tfodhelper.fields import Record
from tfodhelper.formats import tfrecord_reader
from tfodhelper.records import mask_png


@given(arrays())
def test_pngs_are_read_by_tensorflow_and_pillow(array):
    data = mask_png.encode(array)
    theirs = tf.io.decode_png(data, channels=1).numpy()[:, :, 0]
    assert np.array_equal(theirs > 0, array > 0)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))) > 0, array > 0)


def test_a_record_with_masks_by_hand():
    other = masks.make_from_array(np.eye(48, 64))
    boxes = Box("cat", 2, 3, 6, 8, mask=SQUARE), Box("dog", 0, 0, 10, 20), Box("cat", 0, 0, 48, 48, mask=other)
    serialized = example_of(Annotation("a.jpg", 64, 48, boxes))
    parsed = tf.train.Example.FromString(serialized)
    # Not byte by byte: protobuf's own order of two names, of which one begins with the other, depends on its version.
    assert len(parsed.SerializeToString(deterministic=True)) == len(serialized)
    feature = parsed.features.feature
    pictures = [
        tf.io.decode_png(data, channels=1).numpy()[:, :, 0] > 0 for data in feature[Record.MASK].bytes_list.value
    ]
    assert np.array_equal(pictures[0], masks.to_array(SQUARE, 48, 64)) and not pictures[1].any()
    assert np.array_equal(pictures[2], np.eye(48, 64))
    assert list(feature[Record.MASK_WEIGHT].float_list.value) == [1, 0, 1]
    assert list(feature[Record.AREA].float_list.value) == [20, 200, 48]


def test_records_are_read_back():
    other = masks.make_from_array(np.eye(48, 64))
    boxes = Box("cat", 2, 3, 6, 8, mask=masks.make_from_array(masks.to_array(SQUARE, 48, 64))), Box("dog", 0, 0, 10, 20)
    boxes = *boxes, Box("cat", 0, 0, 48, 48, mask=other)
    record = tfrecord_reader.unpack(example_of(Annotation("a.jpg", 64, 48, boxes), make_image()), "r", {})
    assert record.listed.annotation.boxes == boxes and not record.findings


def test_masks_and_weights_are_kept_side_by_side():
    square = masks.make_from_array(masks.to_array(SQUARE, 48, 64))
    boxes = Box("cat", 2, 3, 6, 8, mask=square, weight=0.5), Box("dog", 0, 0, 10, 20, weight=0.8, location_weight=0)
    boxes = *boxes, Box("cat", 0, 0, 48, 48), Box("cat", 1, 0, 48, 48, weight=0)
    serialized = example_of(Annotation("a.jpg", 64, 48, boxes), make_image())
    feature = tf.train.Example.FromString(serialized).features.feature
    assert list(feature[Record.MASK_WEIGHT].float_list.value) == [1, 0, 0, 0]
    assert list(feature[Record.WEIGHT].float_list.value) == pytest.approx([0.5, 0.8, 1, 0])
    record = tfrecord_reader.unpack(serialized, "r", {})
    assert record.listed.annotation.boxes == boxes and not record.findings


def test_numbers_are_read_and_wrong_lists_are_said():
    boxes = Box("cat", 2, 3, 6, 8), Box("dog", 0, 0, 10, 20)
    parsed = tf.train.Example.FromString(example_of(Annotation("a.jpg", 64, 48, boxes), make_image()))
    arrays_ = np.stack([masks.to_array(SQUARE, 48, 64), np.zeros([48, 64])])
    values = parsed.features.feature[Record.MASK].float_list.value
    values.extend(arrays_.ravel().tolist())
    made = tfrecord_reader.unpack(parsed.SerializeToString(), "r", {}).listed.annotation.boxes
    assert [box.mask is None for box in made] == [False, True]
    assert np.array_equal(masks.to_array(made[0].mask, 48, 64), arrays_[0])
    values.append(0.0)
    record = tfrecord_reader.unpack(parsed.SerializeToString(), "r", {})
    assert [finding.code for finding in record.findings] == ["mask-unusable"]
    pictures = parsed.features.feature[Record.MASK].bytes_list.value
    pictures.extend([b"no", mask_png.encode(np.ones([3, 3]))])
    record = tfrecord_reader.unpack(parsed.SerializeToString(), "r", {})
    assert [finding.code for finding in record.findings] == ["mask-unusable", "mask-size"]
    assert record.listed.annotation.boxes == boxes


def read_all(folder, pattern="train.record-*"):
    records = [
        tfrecord_reader.unpack(data, "r", {})
        for data in tf.data.TFRecordDataset(sorted(map(str, folder.glob(pattern)))).as_numpy_iterator()
    ]
    return {record.listed.name: record.listed.annotation.boxes for record in records}


def test_through_convert_and_import(tmp_path):
    for number in range(6):
        boxes = Box("cat", 2, 3, 6, 8, mask=SQUARE), Box("cat", 10, 10, 30, 30)
        save_pair(tmp_path / "set", f"p{number}", boxes, seed=number)
    assert main.main(["convert", f"--data_dir={tmp_path / 'set'}", f"--output_dir={tmp_path / 'data'}"]) == 0
    for boxes in read_all(tmp_path / "data").values():
        assert [box.mask is None for box in boxes] == [False, True]
    arguments = [f"--input={tmp_path}/data/train.record-*", f"--output_dir={tmp_path / 'again'}"]
    assert main.main(["import", "--from=records", *arguments]) == 0
    read = labelimg.read_labelimg(next((tmp_path / "again").rglob("*.xml")))
    assert masks.measure(read.boxes[0].mask, 48, 64) == (20, (2.0, 3.0, 6.0, 8.0)) and read.boxes[1].mask is None
    # A changed mask is a changed image.
    save_pair(tmp_path / "set", "p0", [Box("cat", 2, 3, 6, 8), Box("cat", 10, 10, 30, 30)], seed=0)
    arguments = [f"--data_dir={tmp_path / 'set'}", f"--output_dir={tmp_path / 'data'}"]
    assert main.main(["convert", *arguments]) == 1
    assert main.main(["convert", *arguments, "--update"]) == 0
    every = read_all(tmp_path / "data", "*.record-*")
    assert sum(boxes[0].mask is None for boxes in every.values()) == 1


def test_boxes_as_masks(tmp_path, capsys):
    save_set(tmp_path / "set", ["cat"], 6)
    save_image(tmp_path / "set" / "x.jpg")
    arguments = [f"--data_dir={tmp_path / 'set'}", f"--output_dir={tmp_path / 'data'}", "--boxes_as_masks"]
    assert main.main(["convert", *arguments]) == 0
    text = capsys.readouterr()
    assert "rectangles" in text.err and "boxes with a mask" in text.out
    for boxes in read_all(tmp_path / "data").values():
        assert masks.measure(boxes[0].mask, 48, 64) == (26 * 35, (4.0, 5.0, 30.0, 40.0))
    assert main.main(["convert", *arguments[:-1]]) == 1


def test_the_records_of_beam_have_them_too(tmp_path):
    pytest.importorskip("apache_beam")
    from tfodhelper.records import beam

    image = save_pair(tmp_path, "a", [Box("cat", 2, 3, 6, 8, mask=SQUARE)])
    stem = str(tmp_path / "a")
    paths = [str(image), f"{stem}.xml", f"{stem}.masks.json"]
    assert {beam._stem_of(path) for path in paths} == {stem} and all(map(beam._is_wanted, paths))
    label_map = make_label_map(["cat"])
    _, record = beam.convert_image(stem, paths, label_map, 0.0, 0, True, lambda path: pathlib.Path(path).read_bytes())
    (box,) = boxes_of(record)
    assert masks.measure(box.mask, 48, 64)[0] == 20


def boxes_of(record):
    return tfrecord_reader.unpack(record, "r", {}).listed.annotation.boxes
