"""The order of records: each one once per epoch, the same for the same seed, starting at any position."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.inputs import examples
from tfodhelper import errors, protos
from tfodhelper.fields import Record
from tfodhelper.inputs import reader

_NAME = {Record.FILENAME: tf.io.FixedLenFeature([], tf.string)}


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    return examples.write_numbered(tmp_path_factory.mktemp("records"), 23, shards=3)


def config(pattern, **fields):
    message = protos.message("InputReader")(**fields)
    message.tf_record_input_reader.input_path.append(pattern)
    return message


def source(pattern, **fields):
    return reader.make_source(config(pattern, **fields), "train_input_reader")


def read(source, count=None, **arguments):
    """(index, number of the image) of the records that come first."""
    records = reader.read_records(source, **arguments)
    records = records if count is None else records.take(count)
    parsed = records.map(lambda i, record: (i, tf.io.parse_single_example(record, _NAME)[Record.FILENAME]))
    return [(int(i), int(name)) for i, name in parsed.as_numpy_iterator()]


def numbers(pairs):
    return [number for _, number in pairs]


def test_each_epoch_has_every_record_once_in_another_order(pattern):
    pairs = read(source(pattern), 3 * 23, seed=1)
    assert [index for index, _ in pairs] == list(range(3 * 23))
    epochs = [tuple(numbers(pairs)[i : i + 23]) for i in (0, 23, 46)]
    assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
    assert len(set(epochs)) == 3


def test_order_follows_from_the_seed_alone(pattern):
    tf.random.set_seed(1)
    first = read(source(pattern), 50, seed=5)
    tf.random.set_seed(2)
    assert read(source(pattern), 50, seed=5) == first
    assert read(source(pattern), 50, seed=6) != first


@pytest.mark.parametrize(
    ("start", "buffer_size", "share"), [(1, 100, (0, 1)), (23, 4, (0, 1)), (30, 1, (1, 2)), (20, 100, (2, 3))]
)
def test_starting_later_is_going_on(pattern, start, buffer_size, share):
    records, share = source(pattern, shuffle_buffer_size=buffer_size), reader.Share(*share)
    whole = read(records, 60, seed=3, share=share)
    assert read(records, 60 - start, seed=3, share=share, start=start) == whole[start:]


@pytest.mark.parametrize("pipelines", [2, 3, 5])
def test_pipelines_share_an_epoch(pattern, pipelines):
    records = source(pattern, num_epochs=1)
    parts = [read(records, seed=2, share=reader.Share(i, pipelines)) for i in range(pipelines)]
    assert sorted(numbers(itertools.chain(*parts))) == list(range(23))
    indices = [index for part in parts for index, _ in part]
    assert len(set(indices)) == 23
    assert [len(part) for part in parts] == [
        reader.epoch_length(records, reader.Share(i, pipelines)) for i in range(pipelines)
    ]


def test_without_shuffling_the_order_is_that_of_the_files(pattern):
    expected = [*range(0, 23, 3), *range(1, 23, 3), *range(2, 23, 3)]
    assert numbers(read(source(pattern, shuffle=False, num_epochs=1, num_readers=1), seed=0)) == expected
    expected = [0, 3, 1, 4, 2, 5, 6, 9]
    records = source(pattern, shuffle=False, num_epochs=1, read_block_length=2)
    assert numbers(read(records, 8, seed=0)) == expected


def test_number_of_epochs_and_every_nth(pattern):
    assert len(read(source(pattern, num_epochs=2), seed=0)) == 46
    records = source(pattern, num_epochs=1, sample_1_of_n_examples=5)
    assert len(set(numbers(read(records, seed=0)))) == 5
    records = source(pattern, num_epochs=1, sample_1_of_n_examples=5, shuffle=False, num_readers=1)
    assert numbers(read(records, seed=0)) == [0, 15, 7, 22, 14]


def test_shuffling_is_even(pattern):
    """Over many epochs every record is in the first third of an epoch equally often."""
    order = np.array(numbers(read(source(pattern), 300 * 23, seed=4))).reshape(300, 23)
    counts = np.bincount(order[:, :8].ravel(), minlength=23)
    expected, deviation = 300 * 8 / 23, np.sqrt(300 * 8 / 23 * 15 / 23)
    assert np.all(np.abs(counts - expected) < 4 * deviation)


def test_buffer_is_bounded_by_memory(pattern, monkeypatch, capsys):
    assert reader.bound_buffer_size(source(pattern)) == 23
    assert reader.bound_buffer_size(source(pattern, shuffle_buffer_size=7)) == 7
    monkeypatch.setattr(reader, "_free_memory", lambda: 1000)
    assert reader.bound_buffer_size(source(pattern)) == 16
    assert "shuffle_buffer_size" in capsys.readouterr().err


def test_what_cannot_be_read(pattern, tmp_path):
    with pytest.raises(errors.ConfigError, match="no record files"):
        reader.make_source(protos.message("InputReader")(), "train_input_reader")
    with pytest.raises(errors.ConfigError, match="every record is read once"):
        source(pattern, sample_from_datasets_weights=[1.0])
    with pytest.raises(errors.DatasetError):
        source(str(tmp_path / "missing.record"))
    empty = examples.write_records(tmp_path / "empty.record", [])
    with pytest.raises(errors.DatasetError, match="no records"):
        source(empty)
    with pytest.raises(errors.DatasetError, match="not enough"):
        reader.read_records(source(pattern), 0, reader.Share(23, 24))
