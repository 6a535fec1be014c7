"""Geometry of boxes, computed by hand."""

import hypothesis
import numpy as np
from hypothesis import strategies

from tfodhelper.ops import boxes


def test_area():
    np.testing.assert_allclose(boxes.area(np.float32([[0.1, 0.2, 0.3, 0.6], [1, 1, 1, 5]])), [0.08, 0.0], rtol=1e-6)


def test_iou_of_quarter_overlap_is_a_seventh():
    ours = np.float32([[0, 0, 2, 2]])
    others = np.float32([[1, 1, 3, 3], [0, 0, 2, 2], [2, 2, 3, 3], [5, 5, 5, 5]])
    np.testing.assert_allclose(boxes.iou_matrix(ours, others), [[1 / 7, 1, 0, 0]], rtol=1e-6)


def test_iou_of_a_batch_keeps_images_apart():
    ours = np.float32([[[0, 0, 2, 2]], [[1, 1, 3, 3]]])
    np.testing.assert_allclose(boxes.iou_matrix(ours, np.float32([[1, 1, 3, 3]])), [[[1 / 7]], [[1]]], rtol=1e-6)


def test_iou_of_boxes_without_area_is_zero():
    nothing = np.zeros([2, 4], np.float32)
    np.testing.assert_array_equal(boxes.iou_matrix(nothing, nothing), np.zeros([2, 2]))


def test_clip_to_window():
    clipped = boxes.clip_to_window(np.float32([[[-1, 0.2, 0.5, 2], [2, 2, 3, 3]]]), np.float32([[0, 0, 1, 0.5]]))
    np.testing.assert_allclose(clipped, [[[0, 0.2, 0.5, 0.5], [1, 0.5, 1, 0.5]]])


def test_change_frame_of_the_lower_right_quarter():
    moved = boxes.change_frame(np.float32([[[0.5, 0.5, 1, 1], [0.5, 0.75, 0.75, 1]]]), np.float32([[0.5, 0.5, 1, 1]]))
    np.testing.assert_allclose(moved, [[[0, 0, 1, 1], [0, 0.5, 0.5, 1]]])


@hypothesis.given(strategies.lists(strategies.floats(-1, 1, width=32), min_size=4, max_size=4))
def test_center_and_size_round_trip(corners):
    box = np.float32([corners])
    np.testing.assert_allclose(boxes.from_center_and_size(*boxes.to_center_and_size(box)), box, atol=1e-6)
