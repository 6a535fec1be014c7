"""Suppression among near boxes, compared with TensorFlow's own operation."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfodhelper.ops import near_pairs


def suppress_by_operation(boxes, scores, iou_threshold):
    masks = np.zeros(scores.shape, bool)
    for mask, of_image, hardness in zip(masks, boxes, scores):
        mask[tf.image.non_max_suppression(of_image, hardness, scores.shape[1], iou_threshold).numpy()] = True
    return masks


@tf.function(reduce_retracing=True)
def suppress_in_graph(boxes, scores, iou_threshold):
    pairs = near_pairs.count_pairs(boxes, iou_threshold)
    return near_pairs.suppress(boxes, scores, pairs, iou_threshold)


def suppress(boxes, scores, iou_threshold):
    pairs = near_pairs.count_pairs(tf.constant(boxes), iou_threshold)
    return near_pairs.suppress(tf.constant(boxes), tf.constant(scores), pairs, iou_threshold).numpy(), int(pairs.total)


def make_clusters(random, spread):
    """Boxes of which many nearly coincide, as those predicted for one object do: float32 [2, 120, 4]."""
    objects = random.uniform(0, 0.8, [2, 12, 2])
    objects = np.concatenate([objects, objects + random.uniform(0.02, 0.6, [2, 12, 2])], axis=2)
    boxes = np.repeat(objects, 10, axis=1)
    return (boxes + random.normal(0, spread, boxes.shape)).astype(np.float32)


@pytest.mark.parametrize("iou_threshold", [0.3, 0.7, 0.99])
@pytest.mark.parametrize("spread", [1e-4, 1e-3, 1e-2])
def test_equals_the_operation(iou_threshold, spread):
    random = np.random.RandomState(2)
    boxes = make_clusters(random, spread)
    scores = random.choice([0.1, 0.2, 0.3], [2, 120]).astype(np.float32) + random.choice([0, 0.05], [2, 120])
    scores = scores.astype(np.float32)
    wanted = suppress_by_operation(boxes, scores, iou_threshold)
    kept, num_pairs = suppress(boxes, scores, iou_threshold)
    np.testing.assert_array_equal(kept, wanted)
    np.testing.assert_array_equal(suppress_in_graph(tf.constant(boxes), tf.constant(scores), iou_threshold), wanted)
    assert num_pairs < 2 * 120 * 119 / 2


def test_few_boxes_are_compared_in_a_grid():
    """As many anchors as an SSD has at 300 pixels."""
    lines = [np.arange(side) / side for side in (19, 10, 5)]
    low = np.concatenate([np.stack(np.meshgrid(line, line), -1).reshape(-1, 2) for line in lines for _ in range(6)])
    sizes = np.concatenate(
        [np.full([side**2, 2], 1.5 / side) * [1, 1 + k / 6] for side in (19, 10, 5) for k in range(6)]
    )
    boxes = np.concatenate([low, low + sizes], axis=1)[np.newaxis].astype(np.float32)
    scores = np.random.RandomState(0).rand(*boxes.shape[:2]).astype(np.float32)
    kept, num_pairs = suppress(boxes, scores, 0.99)
    assert kept.all() and num_pairs < 40 * boxes.shape[1]


def test_a_chain_of_overlaps_is_resolved_from_its_best_box():
    low = np.arange(6, dtype=np.float32) * 0.1
    boxes = np.stack([np.zeros(6), low, np.ones(6), low + 1], axis=1)[np.newaxis].astype(np.float32)
    scores = np.float32([[6, 5, 4, 3, 2, 1]])
    np.testing.assert_array_equal(suppress(boxes, scores, 0.8)[0], [[True, False, True, False, True, False]])


def test_boxes_that_are_not_finite_are_compared_with_all():
    boxes = np.float32([[[0, 0, np.inf, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]]])
    kept, num_pairs = suppress(boxes, np.float32([[4, 3, 2, 1]]), 0.99)
    assert num_pairs == 6
    np.testing.assert_array_equal(kept[0, 1:], [True, False, True])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31 - 1), st.floats(0.05, 0.999))
def test_random_boxes(seed, iou_threshold):
    random = np.random.RandomState(seed)
    boxes = random.choice(np.linspace(0, 1, 9), [1, 30, 4]).astype(np.float32)  # many equal sides, some without area
    scores = random.choice([0.25, 0.5, 0.75], [1, 30]).astype(np.float32)
    kept, _ = suppress(boxes, scores, np.float32(iou_threshold).item())
    np.testing.assert_array_equal(kept, suppress_by_operation(boxes, scores, iou_threshold))
