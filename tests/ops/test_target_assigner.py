"""Targets, computed by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfodhelper.ops import box_coder, matcher, target_assigner

ANCHORS = np.float32([[0, 0, 0.5, 0.5], [0, 0.1, 0.5, 0.5], [0.5, 0.5, 1, 1]])
BOXES = np.float32([[[0, 0, 0.5, 0.5], [0, 0, 0, 0]]])
CLASSES = np.int32([[1, -1]])
WEIGHTS = np.float32([[0.5, 0]])


def assign(boxes=BOXES, classes=CLASSES, weights=WEIGHTS, location_weights=None, **options):
    assigner = target_assigner.TargetAssigner(matcher.ArgmaxMatcher(0.9, 0.5, True, True), num_columns=3, **options)
    return assigner.assign(ANCHORS, boxes, classes, weights, location_weights)


def test_matched_ignored_and_background_anchors():
    targets = assign()
    np.testing.assert_array_equal(targets.matches, [[0, -2, -1]])
    np.testing.assert_array_equal(targets.class_targets, [[[0, 0, 1], [1, 0, 0], [1, 0, 0]]])
    np.testing.assert_array_equal(targets.class_weights, [[0.5, 0, 1]])
    np.testing.assert_array_equal(targets.box_weights, [[0.5, 0, 0]])
    np.testing.assert_allclose(targets.box_targets, np.zeros([1, 3, 4]), atol=1e-5)


def test_codes_are_those_of_the_matched_box():
    boxes = np.float32([[[0, 0.05, 0.5, 0.5]]])
    targets = assign(boxes, np.int32([[0]]), np.float32([[1]]))
    np.testing.assert_allclose(targets.box_targets[0, :1], box_coder.encode(boxes[0], ANCHORS[:1]), rtol=1e-5)


def test_background_as_zeros_and_its_weight():
    targets = assign(background_column=-1, negative_class_weight=0.25)
    np.testing.assert_array_equal(targets.class_targets[0, 2], [0, 0, 0])
    np.testing.assert_array_equal(targets.class_weights[0], [0.5, 0, 0.25])


def test_without_background_column():
    targets = assign(class_offset=0, background_column=-1)
    np.testing.assert_array_equal(targets.class_targets[0, 0], [0, 1, 0])


def test_no_box_at_all():
    empty = assign(np.zeros([1, 0, 4], np.float32), np.zeros([1, 0], np.int32), np.zeros([1, 0], np.float32))
    padded = assign(np.zeros([1, 2, 4], np.float32), np.int32([[-1, -1]]), np.zeros([1, 2], np.float32))
    for targets in (empty, padded):
        np.testing.assert_array_equal(targets.matches, [[-1, -1, -1]])
        np.testing.assert_array_equal(targets.class_targets, [[[1, 0, 0]] * 3])
        np.testing.assert_array_equal(targets.class_weights, [[1, 1, 1]])
        np.testing.assert_array_equal(targets.box_weights, [[0, 0, 0]])


def test_padding_rows_change_nothing():
    more = assign(
        np.pad(BOXES, [[0, 0], [0, 5], [0, 0]]),
        np.pad(CLASSES, [[0, 0], [0, 5]], constant_values=-1),
        np.pad(WEIGHTS, [[0, 0], [0, 5]]),
    )
    for with_padding, without in zip(more, assign()):
        np.testing.assert_array_equal(with_padding, without)


def test_a_batch_whose_width_is_known_late_may_have_no_box_at_all():
    """As in an evaluation batch of images without objects: the width is 0, but only when the batch is known."""
    anchors = tf.constant([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    assigner = target_assigner.TargetAssigner(matcher.ArgmaxMatcher(force_match_for_each_row=True), num_columns=3)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, 4]),
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([None, None]),
        ]
    )
    def assign(boxes, classes, weights):
        return assigner.assign(anchors, boxes, classes, weights)

    targets = assign(tf.zeros([2, 0, 4]), tf.zeros([2, 0], tf.int32), tf.zeros([2, 0]))
    np.testing.assert_array_equal(targets.matches, [[-1, -1], [-1, -1]])
    np.testing.assert_array_equal(targets.class_targets, np.tile([1.0, 0.0, 0.0], [2, 2, 1]))
    np.testing.assert_array_equal(targets.box_weights, np.zeros([2, 2]))
    np.testing.assert_array_equal(targets.class_weights, np.ones([2, 2]))


@pytest.mark.parametrize(
    ("region", "matches"),
    [
        ([0.5, 0.5, 1, 1], [0, -2, -2]),  # the third anchor itself
        ([0.5, 0.5, 1, 0.7], [0, -2, -1]),  # two fifths of it
        ([0.5, 0.5, 1, 0.75], [0, -2, -2]),  # half of it
        ([0.2, 0.2, 1, 1], [0, -2, -2]),  # IoU 0.25 / 0.64, but all of it is inside
        ([0, 0, 0.5, 0.5], [0, -2, -1]),  # where the object is
    ],
)
def test_nothing_is_learned_in_a_region_of_weight_0(region, matches):
    boxes = np.float32([[region, [0, 0, 0.5, 0.5], [0, 0, 0, 0]]])
    targets = assign(boxes, np.int32([[0, 1, -1]]), np.float32([[0, 0.5, 0]]))
    expected = np.where(np.array(matches) == 0, 1, matches)  # the object is the second box
    np.testing.assert_array_equal(targets.matches, [expected])
    np.testing.assert_array_equal(targets.class_weights, [np.choose(np.array(matches) + 2, [0, 1, 0.5])])
    np.testing.assert_array_equal(targets.box_weights, [[0.5, 0, 0]])
    np.testing.assert_array_equal(targets.is_in_region, [[False, region[0] == 0, matches[2] == -2]])


def test_a_region_takes_no_anchor_from_an_object_inside_it():
    boxes, classes = np.float32([[[0, 0, 1, 1], [0.5, 0.5, 1, 1]]]), np.int32([[0, 1]])
    targets = assign(boxes, classes, np.float32([[0, 1]]))
    np.testing.assert_array_equal(targets.matches, [[-2, -2, 1]])
    np.testing.assert_array_equal(targets.class_weights, [[0, 0, 1]])


def test_regions_of_one_image_do_not_reach_another():
    boxes, classes = np.float32([[[0.5, 0.5, 1, 1]], [[0.5, 0.5, 1, 1]]]), np.int32([[0], [0]])
    targets = assign(boxes, classes, np.float32([[0], [1]]))
    np.testing.assert_array_equal(targets.matches, [[-1, -1, -2], [-1, -1, 0]])


def test_a_location_weight_leaves_the_class_alone():
    targets = assign(location_weights=np.float32([[0.5, 0]]))
    np.testing.assert_array_equal(targets.class_weights, [[0.5, 0, 1]])
    np.testing.assert_array_equal(targets.match_weights, [[0.5, 0, 0]])
    np.testing.assert_array_equal(targets.box_weights, [[0.25, 0, 0]])
