"""Position-sensitive pooling against values by hand and against TensorFlow's crops."""

import numpy as np
import pytest
import tensorflow as tf

from tfodhelper.ops import position_sensitive

RANDOM = np.random.RandomState(3)
FEATURES = RANDOM.uniform(-1, 1, [2, 7, 9, 2 * 3 * 4]).astype(np.float32)
BOXES = np.float32(
    [
        [[0.1, 0.2, 0.7, 0.9], [0.0, 0.0, 1.0, 1.0], [0.4, 0.4, 0.45, 0.9]],
        [[0.3, 0.1, 0.9, 0.2], [-0.2, 0.5, 0.3, 1.1], [0.5, 0.5, 0.5, 0.5]],
    ]
)


def pool_by_crops(features, boxes, num_bins, crop_size):
    """Each bin cropped by TensorFlow's operation from its own channels, and the mean of all."""
    images = np.repeat(np.arange(len(boxes)), boxes.shape[1])
    low, high = boxes.reshape(-1, 4)[:, :2], boxes.reshape(-1, 4)[:, 2:]
    sizes = [points // bins for points, bins in zip(crop_size, num_bins)]
    crops = []
    for number, channels in enumerate(np.split(features, num_bins[0] * num_bins[1], axis=-1)):
        position = np.float32(divmod(number, num_bins[1]))
        step = (high - low) / np.float32(num_bins)
        bins = np.concatenate([low + position * step, low + (position + np.float32(1.0)) * step], axis=1)
        crops.append(tf.image.crop_and_resize(channels, bins, images, sizes).numpy())
    return np.mean(crops, axis=(0, 2, 3))


def test_bins_take_their_own_channels():
    features = np.zeros([1, 5, 5, 4], np.float32)
    features[0, :, :, 0] = 1.0
    features[0, :, :, 3] = 10.0
    pooled = position_sensitive.pool(features, np.float32([[[0, 0, 1, 1]]]), (2, 2), (4, 4))
    np.testing.assert_allclose(pooled, [[11.0 / 4]], rtol=1e-6)


def test_values_by_hand():
    """A line of cells 0, 10, 20, 30, two bins of one channel and two points: 0 and 15, 15 and 30 cells' tenths."""
    line = np.float32([0, 10, 20, 30])[np.newaxis, np.newaxis, :, np.newaxis]
    features = np.concatenate([line, 100 * line], axis=-1)
    pooled = position_sensitive.pool(features, np.float32([[[0, 0, 1, 1]]]), (1, 2), (1, 4))
    np.testing.assert_allclose(pooled, [[(0 + 15 + 1500 + 3000) / 4]], rtol=1e-6)


@pytest.mark.parametrize(("num_bins", "crop_size"), [((2, 3), (4, 6)), ((3, 2), (3, 6)), ((1, 1), (5, 2))])
def test_equals_crops_by_operation(num_bins, crop_size):
    pooled = position_sensitive.pool(FEATURES, BOXES, num_bins, crop_size, drops_outside=True)
    assert pooled.shape == [6, 24 // (num_bins[0] * num_bins[1])]
    np.testing.assert_allclose(pooled, pool_by_crops(FEATURES, BOXES, num_bins, crop_size), atol=1e-6)


def test_values_fall_to_zero_outside():
    ones, inside = np.ones([1, 3, 3, 1], np.float32), np.float32([[[0.0, 0.0, 1.0, 1.0]]])
    half_a_cell_below = np.float32([[[1.25, 0.0, 1.25, 1.0]]])
    for drops, expected in ((False, 0.5), (True, 0.0)):
        pooled = position_sensitive.pool(ones, half_a_cell_below, (1, 1), (2, 2), drops)
        np.testing.assert_allclose(pooled, [[expected]], atol=1e-6)
        np.testing.assert_allclose(position_sensitive.pool(ones, inside, (1, 1), (2, 2), drops), [[1.0]], atol=1e-6)


def test_gradient_equals_differences():
    def total(features):
        return tf.reduce_sum(
            position_sensitive.pool(features, BOXES, (2, 3), (4, 6)) * tf.range(24.0)[:, tf.newaxis][:6]
        )

    features = tf.constant(FEATURES)
    with tf.GradientTape() as tape:
        tape.watch(features)
        value = total(features)
    gradient = tape.gradient(value, features).numpy()
    direction = RANDOM.uniform(-1, 1, FEATURES.shape).astype(np.float32)
    np.testing.assert_allclose(np.sum(gradient * direction), total(direction), rtol=1e-4)  # the pooling is linear


def test_a_graph_of_any_size_is_the_same():
    pool = tf.function(
        lambda features, boxes: position_sensitive.pool(features, boxes, (2, 3), (4, 6)),
        input_signature=[tf.TensorSpec([None, None, None, 24]), tf.TensorSpec([None, None, 4])],
    )
    np.testing.assert_allclose(
        pool(FEATURES, BOXES), position_sensitive.pool(FEATURES, BOXES, (2, 3), (4, 6)), atol=1e-6
    )
