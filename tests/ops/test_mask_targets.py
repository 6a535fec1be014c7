"""Masks of objects, cut out at boxes."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfodhelper.ops import crops, mask_targets


def crop(masks, boxes, rows, size, drops_outside=True):
    arguments = np.asarray(masks, np.uint8), np.asarray(boxes, np.float32), np.asarray(rows, np.int32)
    return mask_targets.crop_masks(*map(tf.constant, arguments), size, drops_outside).numpy()


def test_by_hand():
    """Two masks of 3 x 5 pixels; 0 and 1 are the centers of the first and the last one."""
    masks = [[[[1, 0, 0, 0, 0]] * 3, [[0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]]]]
    whole = [0.0, 0.0, 1.0, 1.0]
    np.testing.assert_array_equal(crop(masks, [[whole, whole]], [[1, 0]], (3, 5))[0, ::-1], masks[0])
    (halves,) = crop(masks, [[whole, [0.0, 0.5, 0.5, 1.0], [0.5, 0.0, 1.0, 0.25]]], [[0, 1, 1]], (2, 3))
    np.testing.assert_allclose(halves[0], [[1, 0, 0], [1, 0, 0]])
    np.testing.assert_allclose(halves[1], [[0, 0, 1], [0, 0, 0]])
    np.testing.assert_allclose(halves[2], [[0, 0, 0], [1, 1, 1]])
    np.testing.assert_allclose(crop(masks, [[[0.25, 0.0, 1.0, 0.5]]], [[1]], (1, 1)), [[[[0.25]]]])


def test_points_outside_the_mask():
    masks, box = np.ones([1, 1, 5, 5]), [[[-0.125, -0.5, 0.5, 1.5]]]
    np.testing.assert_allclose(crop(masks, box, [[0]], (2, 3))[0, 0], [[0, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(crop(masks, box, [[0]], (2, 3), drops_outside=False)[0, 0], [[0, 0.5, 0], [0, 1, 0]])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), size=st.sampled_from([(1, 1), (3, 3), (15, 15)]), sides=st.sampled_from([7, 32]))
def test_equals_the_crops_of_float_masks(seed, size, sides):
    random = np.random.RandomState(seed)
    masks = random.randint(0, 2, [2, 3, sides, sides + 5]).astype(np.uint8)
    corners = np.sort(random.uniform(-0.2, 1.2, [2, 4, 2, 2]), axis=2)
    boxes, rows = corners.reshape(2, 4, 4).astype(np.float32), random.randint(0, 3, [2, 4])
    of_boxes = np.take_along_axis(masks, rows[..., np.newaxis, np.newaxis], axis=1).reshape(8, *masks.shape[2:], 1)
    by_operation = tf.image.crop_and_resize(of_boxes, boxes.reshape(8, 4), tf.range(8), size)
    np.testing.assert_allclose(
        crop(masks, boxes, rows, size), by_operation.numpy().reshape(2, 4, *size), rtol=0, atol=1e-5
    )
    maps = [tf.constant(of_boxes, tf.float32)]
    by_products = crops.crop_by_matmul(maps, tf.constant(boxes.reshape(8, 1, 4)), None, size[0])
    np.testing.assert_allclose(
        crop(masks, boxes, rows, size, drops_outside=False), by_products.numpy().reshape(2, 4, *size), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("is_known", [True, False])
def test_no_masks_at_all(is_known):
    """Also where their number is not known before; -1 is what a box without an object has."""
    shape = [2, 0 if is_known else None, 4, 6]

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8), tf.TensorSpec([2, 3], tf.int32)])
    def run(masks, rows):
        return mask_targets.crop_masks(masks, tf.zeros([2, 3, 4]), rows, (5, 5))

    np.testing.assert_array_equal(run(np.zeros([2, 0, 4, 6], np.uint8), np.full([2, 3], -1)), np.zeros([2, 3, 5, 5]))


def test_masks_stay_bytes_until_they_are_sampled():
    """Masks of whole images as float32 take gigabytes: nothing as large as them may be float32 in the graph."""
    spec = [tf.TensorSpec([2, 50, 320, 320], tf.uint8), tf.TensorSpec([2, 64, 4]), tf.TensorSpec([2, 64], tf.int32)]
    traced = tf.function(lambda *arguments: mask_targets.crop_masks(*arguments, (33, 33)), input_signature=spec)
    outputs = [output for op in traced.get_concrete_function().graph.get_operations() for output in op.outputs]
    largest = max(output.shape.num_elements() or 0 for output in outputs if output.dtype == tf.float32)
    assert largest <= 2 * 64 * 33 * 33
