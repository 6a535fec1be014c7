"""Images of the sets after the first one: distorted pixels, and weights that grow."""

import numpy as np
import pytest
import tensorflow as tf

from tests.inputs import examples
from tests.inputs.test_build import pipeline, resizer
from tfodhelper import errors, protos
from tfodhelper.fields import Groundtruth, Inputs
from tfodhelper.inputs import adopted, build, decoder, parser
from tfodhelper.training.options import TrainOptions

BOXES, SEED = [(0.1, 0.2, 0.5, 0.9), (0.3, 0.3, 0.6, 0.6)], 5
IMAGE = np.tile(np.linspace(40, 200, 60, dtype=np.uint8)[None, :, None], [40, 1, 3])


def parse(index, number, treatment, weights=(1.0, 0.5)):
    record = examples.make_example(examples.encode(IMAGE, "PNG"), BOXES, [1, 2], weight=list(weights))
    own = parser.Parser(decoder.Decoder(), resizer(), max_boxes=3, treatment=treatment, seed=SEED)
    number = () if number is None else (tf.constant(number, tf.int64),)
    features, labels = own.parse(tf.constant(index, tf.int64), record, *number)
    return features[Inputs.IMAGE].numpy(), {key: value.numpy() for key, value in labels.items()}


def test_only_images_of_later_sets_are_distorted():
    strong = adopted.Treatment(is_strong=True)
    plain, labels = parse(7, None, None)
    first, _ = parse(7, 0, strong)
    np.testing.assert_array_equal(first, plain)
    for number in (1, 2):
        other, other_labels = parse(7, number, strong)
        assert np.mean(np.abs(other - plain) > 1) > 0.2  # nearly every pixel has another color
        for key in labels:
            np.testing.assert_array_equal(other_labels[key], labels[key])
    np.testing.assert_array_equal(parse(7, 1, strong)[0], parse(7, 2, strong)[0])
    assert np.any(parse(8, 1, strong)[0] != parse(7, 1, strong)[0])


def test_values_stay_in_range():
    for index in range(6):
        image, _ = parse(index, 1, adopted.Treatment(is_strong=True))
        assert np.all((image >= 0) & (image <= 255)) and image.shape == (32, 48, 3)


def test_weights_of_later_sets_grow():
    ramp = adopted.Treatment(ramp_examples=8)
    found = [parse(index, 1, ramp)[1][Groundtruth.WEIGHTS].tolist() for index in (0, 3, 7, 100)]
    assert found == [[0.125, 0.0625, 0], [0.5, 0.25, 0], [1, 0.5, 0], [1, 0.5, 0]]
    assert parse(0, 0, ramp)[1][Groundtruth.WEIGHTS].tolist() == [1, 0.5, 0]


def test_an_ignored_region_stays_one_and_an_object_never_becomes_one():
    ramp = adopted.Treatment(ramp_examples=1 << 20)
    weights = parse(0, 1, ramp, (1.0, 0.0))[1][Groundtruth.WEIGHTS]
    assert weights[0] > 0 and weights[1] == 0


def reader(num_sets):
    message = protos.message("InputReader")(sample_from_datasets_weights=[1.0] * num_sets)
    message.tf_record_input_reader.input_path.extend(["a"] * num_sets)
    return message


def test_flags_count_in_steps_and_are_refused_where_they_would_do_nothing():
    options = TrainOptions(strong_augmentation=True, ramp_steps=10)
    assert adopted.make_treatment(options, reader(2), 8) == adopted.Treatment(True, 80)
    assert adopted.make_treatment(TrainOptions(), reader(0), 8) == adopted.Treatment()
    for given, flag in ((options, "strong_augmentation"), (TrainOptions(ramp_steps=3), "ramp_steps")):
        for num_sets in (0, 1):
            with pytest.raises(errors.UsageError, match=f"--{flag}(.|\n)*sample_from_datasets_weights"):
                adopted.make_treatment(given, reader(num_sets), 8)


@pytest.mark.slow
def test_half_of_each_batch_is_of_the_second_set(tmp_path):
    patterns = [
        examples.write_records(
            tmp_path / f"{name}.record",
            [
                examples.make_example(examples.encode(IMAGE, "PNG"), BOXES[:1], [1], filename=f"{name}{i}")
                for i in range(count)
            ],
        )
        for name, count in (("true", 6), ("adopted", 2))
    ]
    config = pipeline(patterns[0], train="sample_from_datasets_weights: 1 sample_from_datasets_weights: 1")
    config.train_input_reader.tf_record_input_reader.input_path.append(patterns[1])
    treatment = adopted.Treatment(is_strong=True, ramp_examples=16)

    def read(count, **arguments):
        dataset = build.build_train_dataset(config, resizer(), batch_size=4, seed=1, treatment=treatment, **arguments)
        return list(dataset.take(count).as_numpy_iterator())

    batches = read(5)
    for position, (features, labels) in enumerate(batches):
        is_adopted = np.array([name.startswith(b"adopted") for name in features[Inputs.FILENAME]])
        assert is_adopted.sum() == 2
        index = 4 * position + np.arange(4)
        expected = np.where(is_adopted, np.minimum((index + 1) / 16, 1), 1)
        np.testing.assert_allclose(labels[Groundtruth.WEIGHTS][:, 0], expected)
        is_changed = np.any(features[Inputs.IMAGE] != features[Inputs.IMAGE][~is_adopted][:1], axis=(1, 2, 3))
        np.testing.assert_array_equal(is_changed, is_adopted)
    tf.nest.map_structure(np.testing.assert_array_equal, read(2, start_step=3), batches[3:])
