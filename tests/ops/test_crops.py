"""Crops of feature maps: by hand, and the two ways against each other."""

import numpy as np
import pytest
import tensorflow as tf

from tfodhelper.ops import crops

BOTH = pytest.mark.parametrize("crop", [crops.crop_native, crops.crop_by_matmul])


@BOTH
def test_the_whole_map_at_its_own_size_is_the_map(crop):
    features = tf.random.stateless_normal([2, 5, 5, 3], [1, 2])
    boxes = tf.tile(tf.constant([[[0.0, 0.0, 1.0, 1.0]]]), [2, 1, 1])
    np.testing.assert_allclose(crop([features], boxes, None, 5), features, atol=1e-6)


@BOTH
def test_by_hand(crop):
    ramp = tf.tile(tf.range(5.0)[tf.newaxis, tf.newaxis, :, tf.newaxis], [1, 5, 1, 1])
    crop_of_ramp = crop([ramp], tf.constant([[[0.0, 0.25, 1.0, 0.5]]]), None, 3)
    np.testing.assert_allclose(crop_of_ramp[0, :, :, 0], [[1, 1.5, 2]] * 3, atol=1e-6)


@BOTH
def test_size_one_is_the_center(crop):
    ramp = tf.tile(tf.range(5.0)[tf.newaxis, tf.newaxis, :, tf.newaxis], [1, 5, 1, 1])
    np.testing.assert_allclose(crop([ramp], tf.constant([[[0.0, 0.0, 1.0, 0.5]]]), None, 1)[0, 0, 0], [1.0], atol=1e-6)


@pytest.mark.parametrize("with_levels", [False, True])
def test_both_ways_agree_with_their_gradients(with_levels):
    random = np.random.RandomState(3)
    corners = np.sort(random.rand(2, 7, 2, 2), axis=2) * 0.999
    boxes = tf.constant(corners.reshape(2, 7, 4).astype(np.float32))
    maps = [tf.constant(random.randn(2, side, side + 2, 4).astype(np.float32)) for side in (8, 4, 2)]
    levels = tf.constant(random.randint(0, 3, [2, 7])) if with_levels else None
    maps = maps if with_levels else maps[:1]
    weights = tf.constant(random.randn(14, 3, 3, 4).astype(np.float32))
    results = []
    for crop in (crops.crop_native, crops.crop_by_matmul):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            result = crop(maps, boxes, levels, 3)
            total = tf.reduce_sum(result * weights)
        results.append((result, tape.gradient(total, maps)))
    (ours, our_gradients), (other, other_gradients) = results
    np.testing.assert_allclose(ours, other, atol=1e-5)
    for gradient, other_gradient in zip(our_gradients, other_gradients):
        np.testing.assert_allclose(gradient, other_gradient, atol=1e-5)


def test_levels():
    # On a model input of 448 pixels: boxes of 448, 224, 112 and 14 pixels, and one without area.
    sides = [1.0, 0.5, 0.25, 1 / 32, 0.0]
    boxes = tf.constant([[[0.0, 0.0, side, side] for side in sides]])
    levels = crops.choose_levels(boxes * 1.0001, num_levels=5, image_size=(448, 448))
    assert levels.numpy().tolist() == [[4, 3, 2, 0, 0]]
