"""Several sets of records in the proportion of their weights, starting at any position."""

import numpy as np
import pytest
import tensorflow as tf

from tests.inputs import examples
from tfodhelper import errors, protos
from tfodhelper.fields import Record
from tfodhelper.inputs import mixture, reader

_NAME = {Record.FILENAME: tf.io.FixedLenFeature([], tf.string)}
SIZES = (5, 3, 4)


@pytest.fixture(scope="module")
def patterns(tmp_path_factory):
    return [
        examples.write_numbered(tmp_path_factory.mktemp("records"), size, shards=1 + number)
        for number, size in enumerate(SIZES)
    ]


def make(patterns, weights, **fields):
    message = protos.message("InputReader")(sample_from_datasets_weights=weights, **fields)
    message.tf_record_input_reader.input_path.extend(patterns)
    return mixture.make_mixture(message, "train_input_reader")


def read(mixed, count, **arguments):
    """(index, number of the set, number of the image in it)."""
    records = mixture.read_mixture(mixed, **arguments).take(count)
    parsed = records.map(lambda i, record, n: (i, n, tf.io.parse_single_example(record, _NAME)[Record.FILENAME]))
    return [(int(i), int(n), int(name)) for i, n, name in parsed.as_numpy_iterator()]


def test_with_equal_weights_the_sets_take_turns(patterns):
    rows = read(make(patterns[:2], [0.5, 0.5]), 16, seed=1)
    assert [index for index, _, _ in rows] == list(range(16))
    assert [number for _, number, _ in rows] == [1, 0] * 8


def test_each_set_is_read_whole_before_it_is_read_again(patterns):
    rows = read(make(patterns[:2], [1, 1]), 30, seed=1)
    for number, size in enumerate(SIZES[:2]):
        names = [name for _, own, name in rows if own == number]
        epochs = [names[i : i + size] for i in range(0, 15, size)]
        assert all(sorted(epoch) == list(range(size)) for epoch in epochs)
        assert len(set(map(tuple, epochs))) > 1


@pytest.mark.parametrize("weights", [(3, 1), (1, 2, 5), (0, 1, 1), (0.7, 0.2, 0.1), (1e-3, 1, 1)])
def test_shares_are_as_even_as_they_can_be(weights):
    mixed = mixture.Mixture((), tuple(round(w / sum(weights) * (1 << 20)) for w in weights))
    numbers = [int(mixed.set_at(tf.constant(i, tf.int64))) for i in range(400)]
    for length in range(1, 400):
        counts = np.bincount(numbers[:length], minlength=len(weights))
        assert counts.tolist() == mixed.count_before(length)
        assert np.all(np.abs(counts - length * np.array(weights) / sum(weights)) < 2)


@pytest.mark.parametrize(("start", "share"), [(1, (0, 1)), (17, (0, 1)), (22, (1, 2))])
def test_starting_later_is_going_on(patterns, start, share):
    mixed, share = make(patterns, [2, 1, 1]), reader.Share(*share)
    whole = read(mixed, 40, seed=3, share=share)
    assert read(mixed, 40 - start, seed=3, share=share, start=start) == whole[start:]


def test_pipelines_share_every_set(patterns):
    mixed = make(patterns[:2], [1, 1])
    rows = [row for index in range(2) for row in read(mixed, 10, seed=3, share=reader.Share(index, 2))]
    assert sorted(index for index, _, _ in rows) == list(range(20))
    assert {name for _, number, name in rows if number == 0} == set(range(SIZES[0]))


@pytest.mark.parametrize(
    ("weights", "fields", "word"),
    [
        ([1], {}, "one weight for each input_path"),
        ([1, -1], {}, "numbers from 0"),
        ([0, 0], {}, "not all of them 0"),
        ([float("nan"), 1], {}, "numbers from 0"),
        ([1, 1], {"num_epochs": 2}, "num_epochs"),
    ],
)
def test_weights_that_make_no_sense(patterns, weights, fields, word):
    with pytest.raises(errors.ConfigError, match=f"sample_from_datasets_weights(.|\n)*{word}"):
        make(patterns[:2], weights, **fields)


def test_a_set_without_records_is_named(patterns, tmp_path):
    empty = examples.write_records(tmp_path / "empty.record", [])
    with pytest.raises(errors.DatasetError, match="empty.record"):
        make([patterns[0], empty], [1, 1])
