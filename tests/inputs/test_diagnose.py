"""The record that is to blame is named."""

import numpy as np
import pytest
import tensorflow as tf

from tests.inputs import examples
from tests.inputs.test_build import evaluate, pipeline
from tfodhelper import errors
from tfodhelper.inputs import diagnose, reader, sampling

GOOD = examples.encode(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))


def fail(paths):
    """Reads records until they fail; returns the explanation."""
    with pytest.raises((tf.errors.OpError, UnicodeDecodeError)) as caught:
        evaluate(pipeline(paths))
    return str(diagnose.explain_input_error(caught.value, [paths]))


def make(name, encoded=GOOD, **features):
    return examples.make_example(encoded, [(0.1, 0.1, 0.5, 0.5)], [1], filename=name, **features)


@pytest.mark.parametrize(
    "broken", [GOOD[: len(GOOD) // 2], b"", b"version https://git-lfs.github.com/spec/v1", GOOD[:200]]
)
def test_image_that_is_none(tmp_path, broken):
    records = [make(f"{i}.jpg") for i in range(5)]
    records[3] = make("broken/3.jpg", broken)
    path = examples.write_records(tmp_path / "a.record", records)
    message = fail(path)
    assert "a.record: record 3 (from 0), broken/3.jpg" in message


def test_no_example(tmp_path):
    path = examples.write_records(tmp_path / "a.record", [make("a.jpg"), b"\x0a\xff\xff\xffno example"])
    assert "record 1 (from 0)" in fail(path)


def test_coordinates_of_different_numbers(tmp_path):
    path = examples.write_records(tmp_path / "a.record", [make("x.jpg", ymin=[0.1, 0.2])])
    assert "x.jpg" in fail(path)


def test_flipped_bit_in_the_file(tmp_path):
    path = tmp_path / "a.record"
    examples.write_records(path, [make("a.jpg"), make("b.jpg")])
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    assert "a.record: record 1 (from 0) is damaged" in fail(str(path))


def test_other_errors_are_not_explained(tmp_path):
    path = examples.write_records(tmp_path / "a.record", [make("a.jpg")])
    assert diagnose.explain_input_error(tf.errors.ResourceExhaustedError(None, None, "memory"), [path]) is None
    assert diagnose.explain_input_error(ValueError("x"), [path]) is None


def flip_a_bit_of_the_last_image(path):
    content = bytearray(path.read_bytes())
    content[content.rindex(b"JFIF") + 40] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_is_found_where_records_are_drawn(tmp_path):
    """Such records are not read by TensorFlow, and a picture with a wrong bit can often be decoded."""
    path = tmp_path / "a.record"
    examples.write_records(path, [make("a.jpg"), make("b.jpg")])
    flip_a_bit_of_the_last_image(path)
    catalogue = sampling.read_catalogue([str(path)])
    draw = sampling.Draw(catalogue, sampling.Sampling("random"), seed=1)
    with pytest.raises(tf.errors.OpError) as caught:
        list(reader.read_drawn(catalogue, draw, num_epochs=3))
    assert "record 1 (from 0) is damaged" in str(diagnose.explain_input_error(caught.value, [str(path)]))


def test_an_iteration_names_the_damaged_record(tmp_path):
    path = tmp_path / "a.record"
    examples.write_records(path, [make("a.jpg"), make("b.jpg")])
    records = tf.data.TFRecordDataset(str(path))
    assert len(list(diagnose.iterate(records, [str(path)]))) == 2
    flip_a_bit_of_the_last_image(path)
    with pytest.raises(errors.DatasetError, match=r"record 1 \(from 0\) is damaged"):
        list(diagnose.iterate(records, [str(path)]))


def test_a_catalogue_names_the_record_that_is_not_an_example(tmp_path):
    path = examples.write_records(tmp_path / "a.record", [make("a.jpg"), b"\x0a\xff\xff\xffno example"])
    with pytest.raises(errors.DatasetError, match=r"record 1 \(from 0\) cannot be used"):
        sampling.read_catalogue([path])
