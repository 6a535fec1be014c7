"""Every augmentation has the distribution of the Object Detection API's operation of the same name."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.inputs import examples
from tfodhelper.inputs import augment, pixels
from tfodhelper.inputs import sample as samples

pytestmark = pytest.mark.slow

GOLDEN = json.loads(
    (pathlib.Path(__file__).parents[1] / "golden" / "augmentation_statistics.json").read_text(encoding="utf-8")
)
REFERENCE_RUNS = 4000
RUNS = 500
# Means of two samples of the same distribution differ by more than this many standard errors once in 30000 times.
STANDARD_ERRORS = 4.2

ROWS, COLUMNS = np.mgrid[0:60, 0:90]
IMAGE = np.stack([ROWS * 4, COLUMNS * 2, (ROWS * ROWS * 7 + COLUMNS * 13) % 256], axis=-1).astype(np.uint8)
BOXES = [[0.1, 0.1, 0.4, 0.3], [0.5, 0.6, 0.9, 0.95], [0.2, 0.5, 0.3, 0.6], [0, 0, 1, 1], [0.7, 0.1, 0.8, 0.4]]


def measure(image, boxes, classes):
    """The measures that the golden file names."""
    image = tf.cast(image, tf.float32)
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    values = [
        size,
        tf.reduce_mean(image, axis=[0, 1]),
        [tf.math.reduce_std(image[..., 2]), image[0, 0, 0], image[-1, -1, 1], tf.cast(tf.shape(boxes)[0], tf.float32)],
        tf.reduce_sum(boxes, axis=0),
        [tf.cast(tf.reduce_sum(classes + 1), tf.float32), tf.reduce_max(image)],
    ]
    return tf.concat(values, axis=0)


def run(text):
    """float32 [RUNS, measures] of an operation."""
    step = augment.build_step(examples.step_message(text))

    def run_once(index):
        sample = step(examples.make_sample(IMAGE, BOXES), samples.Draws(11, index))
        return measure(pixels.read_pixels(sample.picture), sample.boxes, sample.classes)

    return np.array(list(tf.data.Dataset.range(RUNS).map(run_once, num_parallel_calls=2).as_numpy_iterator()))


@pytest.mark.parametrize("text", list(GOLDEN["operations"]))
def test_distribution_is_that_of_the_reference(text):
    golden = GOLDEN["operations"][text]
    measured = run(text)
    mean, std = np.array(golden["mean"]), np.array(golden["std"])
    standard_error = std * np.sqrt(1 / RUNS + 1 / REFERENCE_RUNS)
    difference = np.abs(measured.mean(axis=0) - mean)
    allowed = STANDARD_ERRORS * standard_error + 2e-3 + 1e-4 * np.abs(mean)
    assert dict(zip(GOLDEN["measures"], difference <= allowed)) == dict.fromkeys(GOLDEN["measures"], True)
    # The corners differ in a few images only; their spread in 500 runs says little.
    spread = [measure not in ("first value of channel 1", "last value of channel 2") for measure in GOLDEN["measures"]]
    np.testing.assert_allclose(measured.std(axis=0)[spread], std[spread], rtol=0.25, atol=0.05)


def test_each_operation_but_the_plainest_is_compared():
    compared = {text.split("{")[0].strip() for text in GOLDEN["operations"]}
    # autoaugment_image of the Object Detection API does not run on TensorFlow 2; see test_autoaugment.
    assert compared == set(augment.OPERATIONS) - {"autoaugment_image"}
