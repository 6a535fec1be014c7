"""Resizing: sizes, true shapes, padding, and values by hand."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from tfodhelper.ops import resize


def test_sampling_grid_of_tensorflow_1():
    image = np.float32([[[0], [1], [2], [3]]])
    resized, shape = resize.resize_to_fixed(image, 1, 8)
    # Output pixel i samples at i / 2; past the last pixel there is only that pixel.
    np.testing.assert_allclose(resized[0, :, 0], [0, 0.5, 1, 1.5, 2, 2.5, 3, 3])
    np.testing.assert_array_equal(shape, [1, 8, 1])


@pytest.mark.parametrize("method", sorted(resize.METHODS))
def test_all_methods_keep_a_flat_image_flat(method):
    image = np.full([5, 7, 3], 200, np.uint8)
    resized, _ = resize.resize_to_fixed(image, 9, 4, method)
    assert resized.dtype == tf.float32
    np.testing.assert_allclose(resized, np.full([9, 4, 3], 200), rtol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "true_height", "true_width"),
    [(50, 100, 60, 120), (100, 50, 120, 60), (50, 200, 32, 128), (10, 10, 60, 60)],
)
def test_short_side_unless_the_long_one_gets_too_long(height, width, true_height, true_width):
    image = np.zeros([height, width, 3], np.uint8)
    resized, shape = resize.resize_keep_aspect_ratio(image, 60, 128, pad=False)
    assert resized.shape == [true_height, true_width, 3]
    np.testing.assert_array_equal(shape, [true_height, true_width, 3])


def test_padding_is_below_and_to_the_right_with_its_own_values():
    image = np.full([50, 100, 3], 7, np.uint8)
    resized, shape = resize.resize_keep_aspect_ratio(image, 32, 64, pad=True, per_channel_pad_value=(1, 2, 3))
    assert resized.shape == [64, 64, 3]
    np.testing.assert_array_equal(shape, [32, 64, 3])
    np.testing.assert_allclose(resized[:32], np.full([32, 64, 3], 7), rtol=1e-6)
    np.testing.assert_array_equal(resized[32:], np.broadcast_to([1, 2, 3], [32, 64, 3]))


def test_fill_padding():
    images = np.ones([2, 2, 3, 3], np.float32)
    filled = resize.fill_padding(images, np.int32([[1, 3, 3], [2, 2, 3]]), (5, 6, 7)).numpy()
    np.testing.assert_array_equal(filled[0, 1], [[5, 6, 7]] * 3)
    np.testing.assert_array_equal(filled[1, :, 2], [[5, 6, 7]] * 2)
    assert np.all(filled[0, 0] == 1) and np.all(filled[1, :, :2] == 1)


@hypothesis.settings(max_examples=10)
@hypothesis.given(strategies.integers(1, 90), strategies.integers(1, 90))
def test_the_same_in_a_graph_as_a_batch_and_as_one_image(height, width):
    image = np.random.RandomState(height * 100 + width).randint(0, 256, [height, width, 3]).astype(np.uint8)
    spec = tf.TensorSpec([None, None, 3], tf.uint8)
    in_graph = tf.function(lambda i: resize.resize_keep_aspect_ratio(i, 40, 50, True), input_signature=[spec])
    resized, shape = resize.resize_keep_aspect_ratio(image, 40, 50, pad=True)
    for other, other_shape in (
        in_graph(image),
        [part[0] for part in resize.resize_keep_aspect_ratio(image[np.newaxis], 40, 50, pad=True)],
    ):
        np.testing.assert_allclose(other, resized, atol=1e-3)
        np.testing.assert_array_equal(other_shape, shape)


@pytest.mark.parametrize("method", sorted(resize.METHODS))
@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(seed=strategies.integers(0, 2**31))
def test_bytes_and_floats_give_the_same_numbers(method, seed):
    random = np.random.RandomState(seed)
    image = random.randint(0, 256, [*random.randint(1, 90, size=2), 3]).astype(np.uint8)
    height, width = random.randint(1, 90, size=2)
    as_bytes = [
        resize.resize_to_fixed(image, height, width, method),
        resize.resize_keep_aspect_ratio(image, 40, 60, True, method, (1.5, 2.0, 3.0)),
    ]
    image = image.astype(np.float32)
    as_floats = [
        resize.resize_to_fixed(image, height, width, method),
        resize.resize_keep_aspect_ratio(image, 40, 60, True, method, (1.5, 2.0, 3.0)),
    ]
    for received, expected in zip(tf.nest.flatten(as_bytes), tf.nest.flatten(as_floats)):
        assert received.dtype == expected.dtype
        np.testing.assert_array_equal(received, expected)
