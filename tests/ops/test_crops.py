"""Crops of feature maps: by hand, and the methods compared with each other."""

import numpy as np
import pytest
import tensorflow as tf

from tfodhelper.ops import crops

WAYS = [crops.crop_native, crops.crop_by_matmul, crops.crop_bordered, crops.crop_inside_by_matmul]
EACH = pytest.mark.parametrize("crop", WAYS)


@EACH
def test_the_whole_map_at_its_own_size_is_the_map(crop):
    features = tf.random.stateless_normal([2, 5, 5, 3], [1, 2])
    boxes = tf.tile(tf.constant([[[0.0, 0.0, 1.0, 1.0]]]), [2, 1, 1])
    np.testing.assert_allclose(crop([features], boxes, None, 5), features, atol=1e-6)


@EACH
def test_by_hand(crop):
    ramp = tf.tile(tf.range(5.0)[tf.newaxis, tf.newaxis, :, tf.newaxis], [1, 5, 1, 1])
    crop_of_ramp = crop([ramp], tf.constant([[[0.0, 0.25, 1.0, 0.5]]]), None, 3)
    np.testing.assert_allclose(crop_of_ramp[0, :, :, 0], [[1, 1.5, 2]] * 3, atol=1e-6)


@EACH
def test_size_one_is_the_center(crop):
    ramp = tf.tile(tf.range(5.0)[tf.newaxis, tf.newaxis, :, tf.newaxis], [1, 5, 1, 1])
    np.testing.assert_allclose(crop([ramp], tf.constant([[[0.0, 0.0, 1.0, 0.5]]]), None, 1)[0, 0, 0], [1.0], atol=1e-6)


@pytest.mark.parametrize("with_levels", [False, True])
def test_ways_agree_with_their_gradients(with_levels):
    random = np.random.RandomState(3)
    corners = np.sort(random.rand(2, 7, 2, 2), axis=2) * 0.999
    boxes = tf.constant(corners.reshape(2, 7, 4).astype(np.float32))
    maps = [tf.constant(random.randn(2, side, side + 2, 4).astype(np.float32)) for side in (8, 4, 2)]
    levels = tf.constant(random.randint(0, 3, [2, 7])) if with_levels else None
    maps = maps if with_levels else maps[:1]
    weights = tf.constant(random.randn(14, 3, 3, 4).astype(np.float32))
    results = []
    for crop in WAYS:
        with tf.GradientTape() as tape:
            tape.watch(maps)
            result = crop(maps, boxes, levels, 3)
            total = tf.reduce_sum(result * weights)
        results.append((result, tape.gradient(total, maps)))
    for other, other_gradients in results[1:]:
        np.testing.assert_allclose(results[0][0], other, atol=1e-5)
        for gradient, other_gradient in zip(results[0][1], other_gradients):
            np.testing.assert_allclose(gradient, other_gradient, atol=1e-5)


AWKWARD = [  # of ymin, xmin, ymax, xmax
    (0.0, 0.0, 1.0, 1.0),
    (0.3, 0.4, 0.3, 0.4),  # no area
    (0.0, 0.0, 0.0, 0.0),
    (1.0, 1.0, 1.0, 1.0),
    (-0.2, 0.1, 0.61, 1.3),  # over the border
    (-0.9, -0.8, -0.1, -0.2),  # outside
    (1.2, 0.0, 1.4, 1.0),
    (0.8, 0.9, 0.1, 0.2),  # turned round
]


@pytest.mark.parametrize("size", [1, 3, 14])
@pytest.mark.parametrize("shape", [(9, 11), (1, 4), (1, 1)])
def test_a_border_does_as_the_products_do_even_outside(shape, size):
    random = np.random.RandomState(7)
    boxes = np.sort(random.uniform(-0.3, 1.3, [2, 40, 2, 2]), axis=2).reshape(2, 40, 4)
    boxes = tf.constant(np.concatenate([boxes, np.tile([AWKWARD], [2, 1, 1])], axis=1).astype(np.float32))
    features = tf.constant(random.randn(2, *shape, 3).astype(np.float32))
    upstream = random.randn(96, size, size, 3).astype(np.float32)
    results = []
    for crop in (crops.crop_by_matmul, crops.crop_bordered):
        with tf.GradientTape() as tape:
            tape.watch([features, boxes])
            result = crop([features], boxes, None, size)
            total = tf.reduce_sum(result * upstream)
        of_features, of_boxes = tape.gradient(total, [features, boxes])
        assert of_boxes is None
        results.append((result, of_features))
    for ours, other in zip(*results):
        np.testing.assert_allclose(ours, other, atol=2e-5)


@pytest.mark.parametrize("size", [1, 3, 14])
@pytest.mark.parametrize("shape", [(9, 11), (1, 4), (1, 1)])
def test_products_inside_do_as_the_operation_does(shape, size):
    random = np.random.RandomState(11)
    boxes = np.sort(random.uniform(-0.3, 1.3, [2, 40, 2, 2]), axis=2).reshape(2, 40, 4)
    sides = np.tile(np.linspace(0.5, 1.0, 200)[:, np.newaxis], [1, 2])  # rounding may move the last point outside
    boxes = [
        boxes,
        np.tile([AWKWARD], [2, 1, 1]),
        np.tile([np.concatenate([1 - sides, np.ones_like(sides)], 1)], [2, 1, 1]),
    ]
    boxes = tf.constant(np.concatenate(boxes, axis=1).astype(np.float32))
    features = tf.constant(random.randn(2, *shape, 3).astype(np.float32))
    upstream = random.randn(2 * boxes.shape[1], size, size, 3).astype(np.float32)
    results = []
    for crop in (crops.crop_native, crops.crop_inside_by_matmul):
        with tf.GradientTape() as tape:
            tape.watch([features, boxes])
            result = crop([features], boxes, None, size)
            total = tf.reduce_sum(result * upstream)
        of_features, of_boxes = tape.gradient(total, [features, boxes])
        assert of_boxes is None
        results.append((result, of_features))
    for ours, other in zip(*results):
        np.testing.assert_allclose(ours, other, rtol=0, atol=5e-6 * np.abs(other).max())


def dense_gradient(upstream, boxes, shape, mine):
    """What each position of a map gets from the boxes in `mine`, point by point, in double precision."""
    gradient = np.zeros(shape)
    size = upstream.shape[1]
    upstream = upstream.reshape(*boxes.shape[:2], *upstream.shape[1:]).astype(np.float64)
    for image, number in np.argwhere(mine):
        low, high = boxes[image, number].astype(np.float64).reshape(2, 2)
        for y, x in np.ndindex(size, size):
            fraction = np.array([y, x]) / (size - 1) if size > 1 else np.array([0.5, 0.5])
            point = (low + (high - low) * fraction) * (np.array(shape[1:3]) - 1)
            if np.any(point < 0) or np.any(point > np.array(shape[1:3]) - 1):
                continue
            near = np.floor(point).astype(int)
            for corner in np.ndindex(2, 2):
                part = np.prod(1 - np.abs(point - near - corner))
                if part > 0:
                    gradient[(image, *(near + corner))] += part * upstream[image, number, y, x]
    return gradient


@pytest.mark.parametrize("size", [1, 3, 14])
@pytest.mark.parametrize("with_levels", [False, True])
def test_the_native_gradient_is_exact_and_always_the_same(with_levels, size):
    random = np.random.RandomState(5)
    boxes = np.sort(random.rand(2, 30, 2, 2), axis=2).reshape(2, 30, 4) * 0.999
    boxes = np.concatenate([boxes, np.tile([AWKWARD], [2, 1, 1])], axis=1).astype(np.float32)
    maps = [random.randn(2, side, side + 2, 16).astype(np.float32) for side in (9, 4)]
    levels = random.randint(0, 2, boxes.shape[:2]) if with_levels else None
    maps = [tf.constant(features) for features in (maps if with_levels else maps[:1])]
    upstream = random.randn(boxes.shape[0] * boxes.shape[1], size, size, 16).astype(np.float32)

    @tf.function
    def gradients_of(maps, boxes):
        with tf.GradientTape() as tape:
            tape.watch([maps, boxes])
            total = tf.reduce_sum(crops.crop_native(maps, boxes, levels, size) * upstream)
        return tape.gradient(total, [maps, boxes])

    ours, of_boxes = gradients_of(maps, tf.constant(boxes))
    assert of_boxes is None
    for level, (features, gradient) in enumerate(zip(maps, ours)):
        mine = np.ones(boxes.shape[:2], bool) if levels is None else levels == level
        wanted = dense_gradient(upstream, boxes, features.shape, mine)
        np.testing.assert_allclose(gradient, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())
    for _ in range(8):
        for gradient, again in zip(ours, gradients_of(maps, tf.constant(boxes))[0]):
            np.testing.assert_array_equal(gradient, again)


def test_what_the_forward_pass_puts_outside_has_no_gradient():
    """At sides whose last point rounding may move over the border, forward and backward agree."""
    sides = np.linspace(0.5, 1.0, 4001, dtype=np.float32)
    boxes = tf.constant(np.stack([1 - sides, 1 - sides, np.ones_like(sides), np.ones_like(sides)], axis=1)[np.newaxis])
    features = tf.ones([1, 20, 20, 1])
    with tf.GradientTape() as tape:
        tape.watch(features)
        total = tf.reduce_sum(crops.crop_native([features], boxes, None, 14))
    assert 0 < float(total) <= 4001 * 14 * 14
    # The crop is linear: its sum is the sum of the map's values times their gradients.
    np.testing.assert_allclose(np.sum(tape.gradient(total, features).numpy(), dtype=np.float64), total, rtol=1e-5)


def test_levels():
    # On a model input of 448 pixels: boxes of 448, 224, 112 and 14 pixels, and one without area.
    sides = [1.0, 0.5, 0.25, 1 / 32, 0.0]
    boxes = tf.constant([[[0.0, 0.0, side, side] for side in sides]])
    levels = crops.choose_levels(boxes * 1.0001, num_levels=5, image_size=(448, 448))
    assert levels.numpy().tolist() == [[4, 3, 2, 0, 0]]
