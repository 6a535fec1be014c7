"""Sampling at the input: exact counts, determinism, resuming at any position."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from tests.dataset.scan.picture_set import save_pair
from tfodhelper import errors
from tfodhelper.annotations.structures import Box
from tfodhelper.fields import Record
from tfodhelper.inputs import reader, sampling
from tfodhelper.records import convert

_NAME = {Record.FILENAME: tf.io.FixedLenFeature([], tf.string)}


def catalogue_of(*classes):
    zeros = np.zeros(len(classes), np.int64)
    return sampling.Catalogue(("x",), zeros, zeros, zeros, tuple(classes))


SKEWED = catalogue_of(*[(0,)] * 80, *[(1,)] * 15, *[(2, 2)] * 5, *[()] * 25)  # 100 with objects, 25 without


def counts(catalogue, draw, epochs=1):
    drawn = [number for epoch in range(epochs) for number in draw.epoch(epoch)]
    return collections.Counter(catalogue.classes[number][:1] for number in drawn)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sampling")
    for number in range(12):
        names = ["cat"] * 2 if number < 8 else ["dog"] if number < 10 else []
        boxes = [Box(name, 4 + 9 * i, 5, 30 + 9 * i, 40) for i, name in enumerate(names)]
        save_pair(folder / "data", f"{number:02d}", boxes, seed=number)
    options = convert.ConvertOptions(data_dir=folder / "data", output_dir=folder / "out", val_fraction=0.0)
    return convert.convert(options)


def test_a_catalogue_has_places_and_classes_of_all_records(converted):
    catalogue = sampling.read_catalogue(list(map(str, converted.train_shards)), converted.label_map)
    assert collections.Counter(catalogue.classes) == {(0, 0): 8, (1,): 2, (): 2}
    assert sampling.read_catalogue(list(map(str, converted.train_shards))).classes == catalogue.classes
    for file, offset, length in zip(catalogue.files, catalogue.offsets, catalogue.lengths):
        with open(catalogue.paths[file], "rb") as records:
            records.seek(offset)
            assert tf.train.Example.FromString(records.read(length)).features.feature[Record.ENCODED].bytes_list.value


def test_base_with_negatives_in_a_proportion():
    for share, expected in ((0.0, 0), (0.2, 25), (0.5, 100)):
        draw = sampling.Draw(SKEWED, sampling.Sampling(negatives=share), seed=1)
        assert counts(SKEWED, draw) == {(0,): 80, (1,): 15, (2,): 5} | ({(): expected} if expected else {})
    assert sorted(collections.Counter(draw.epoch(0)[np.array(draw.epoch(0)) >= 100]).values()) == [4] * 25


def test_balanced_draws_each_class_equally_often_and_its_images_evenly():
    draw = sampling.Draw(SKEWED, sampling.Sampling("balanced", 0.0), seed=1)
    found = counts(SKEWED, draw, epochs=3)
    assert found == {(0,): 100, (1,): 100, (2,): 100}
    times = collections.Counter(number for epoch in range(3) for number in draw.epoch(epoch))
    for members in (range(80), range(80, 95), range(95, 100)):
        seen = [times[number] for number in members]
        assert max(seen) - min(seen) <= 1


def test_balanced_without_a_proportion_keeps_the_share_of_negatives():
    draw = sampling.Draw(SKEWED, sampling.Sampling("balanced"), seed=1)
    assert counts(SKEWED, draw)[()] == 25 and len(draw) == 125


def test_random_is_with_replacement_and_unbiased():
    draw = sampling.Draw(SKEWED, sampling.Sampling("random", 0.0), seed=3)
    found = counts(SKEWED, draw, epochs=100)
    assert found[(0,)] == pytest.approx(8000, abs=4 * np.sqrt(10000 * 0.8 * 0.2))
    assert len(set(draw.epoch(0))) < 100


@pytest.mark.parametrize("mode", sampling.MODES)
def test_the_order_follows_from_seed_and_epoch(mode):
    chosen = sampling.Sampling(mode, 0.3)
    first, second = (sampling.Draw(SKEWED, chosen, seed=5) for _ in range(2))
    assert list(first.epoch(4)) == list(second.epoch(4))  # whatever was requested before
    assert list(first.epoch(4)) != list(first.epoch(5))
    assert list(first.epoch(4)) != list(sampling.Draw(SKEWED, chosen, seed=6).epoch(4))


@pytest.mark.parametrize(("start", "share"), [(0, (0, 1)), (7, (0, 1)), (23, (0, 1)), (5, (1, 2))])
def test_starting_later_is_going_on(converted, start, share):
    catalogue = sampling.read_catalogue(list(map(str, converted.train_shards)), converted.label_map)
    draw = sampling.Draw(catalogue, sampling.Sampling("balanced", 0.4), seed=2)

    def read(start, count):
        records = reader.read_drawn(catalogue, draw, reader.Share(*share), start).take(count)
        parsed = records.map(lambda i, record: (i, tf.io.parse_single_example(record, _NAME)[Record.FILENAME]))
        return list(parsed.as_numpy_iterator())

    whole = read(0, 40)
    assert read(start, 40 - start) == whole[start:]
    assert [index for index, _ in whole] == list(range(share[0], 40 * share[1] + share[0], share[1]))


def test_the_distribution_is_shown():
    draw = sampling.Draw(SKEWED, sampling.Sampling("balanced", 0.5), seed=0)
    facts = sampling.describe(SKEWED, draw, epochs=3)
    assert (facts["images"], facts["negatives"]) == (200, 100.0)
    rows = {row["class"]: row for row in facts["classes"]}
    assert [rows[name]["stored_boxes"] for name in "123"] == [80, 15, 10]
    assert [rows[name]["drawn_images"] for name in "123"] == pytest.approx([33.3] * 3, abs=0.1)
    assert rows["3"]["drawn_share"] == 0.5  # two boxes per image
    assert "balanced, negatives 0.5: 200 images" in sampling.format_distribution(
        sampling.Sampling("balanced", 0.5), facts
    )


def test_what_cannot_be_drawn():
    with pytest.raises(errors.DatasetError, match="no image without objects"):
        sampling.Draw(catalogue_of((0,)), sampling.Sampling("base", 0.5), 0)
    with pytest.raises(errors.DatasetError, match="no record has an object"):
        sampling.Draw(catalogue_of(()), sampling.Sampling("balanced"), 0)
    with pytest.raises(errors.UsageError, match="--negatives"):
        sampling.Sampling("base", 1.0)
    with pytest.raises(errors.UsageError, match="--sampling"):
        sampling.Sampling("odd")
