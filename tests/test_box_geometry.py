"""Areas and overlaps of boxes: by hand, against exact fractions, and what holds for any boxes."""

import fractions

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from tfodhelper import box_geometry
from tfodhelper.annotations.structures import Box

# Whole and broken coordinates, small and as large as a map of the earth in millimetres, in any order. What is smaller
# than any distance is 0, so that no area falls below the smallest float.
coordinates = st.one_of(
    st.integers(-20, 20).map(float),
    st.floats(-100, 100, width=32),
    st.floats(-1e11, 1e11).map(lambda value: value if abs(value) > 1e-100 else 0.0),
)
box_lists = st.lists(st.tuples(*[coordinates] * 4), max_size=6)


def as_array(boxes, dtype=np.float64):
    return np.array(boxes, dtype).reshape(-1, 4)


def upright(boxes):
    """The boxes with the lower corner first."""
    return np.concatenate([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)


def exact_iou(box, other):
    """The overlap of two boxes in fractions, without any rounding."""
    box, other = ([fractions.Fraction(float(side)) for side in sides] for sides in (box, other))
    shared = fractions.Fraction(1)
    areas = [(sides[2] - sides[0]) * (sides[3] - sides[1]) for sides in (box, other)]
    for low, high in ((0, 2), (1, 3)):
        shared *= max(min(box[high], other[high]) - max(box[low], other[low]), 0)
    return float(shared / (sum(areas) - shared)) if shared else 0.0


def test_iou_by_hand():
    # 5 x 10 of two squares of 100: 50 / 150; touching edges and touching corners share nothing; no +1.
    others = [[5, 0, 15, 10], [10, 0, 20, 10], [10, 10, 20, 20], [0, 0, 10, 10], [2, 2, 4, 7], [50, 50, 60, 60]]
    assert box_geometry.pairwise_iou([[0, 0, 10, 10]], others).tolist() == [[50 / 150, 0, 0, 1, 0.1, 0]]


@pytest.mark.parametrize(
    "empty",
    [
        pytest.param([3, 3, 3, 3], id="point"),
        pytest.param([3, 0, 3, 10], id="line"),
        pytest.param([8, 2, 2, 8], id="one side inverted"),
        pytest.param([8, 8, 2, 2], id="both sides inverted"),
    ],
)
def test_what_has_no_area_overlaps_with_nothing_and_not_with_itself(empty):
    boxes = [[0, 0, 10, 10], empty]
    assert box_geometry.pairwise_iou(boxes, boxes).tolist() == [[1, 0], [0, 0]]


@pytest.mark.parametrize(("num_boxes", "num_others"), [(0, 0), (0, 3), (3, 0)])
def test_no_boxes(num_boxes, num_others):
    ious = box_geometry.pairwise_iou(np.zeros([num_boxes, 4]), np.ones([num_others, 4]))
    assert ious.shape == (num_boxes, num_others) and ious.dtype == np.float64


def test_area_is_signed_and_takes_any_leading_dimensions():
    boxes = np.array([[[0, 0, 2, 3], [1, 1, 1, 5]], [[4, 0, 2, 3], [4, 4, 2, 1]]])
    assert box_geometry.area(boxes).tolist() == [[6, 0], [-6, 6]]
    assert box_geometry.area(np.zeros([0, 4])).shape == (0,)


def test_corners_of_objects():
    corners = box_geometry.corners_of([Box("cat", 1, 2, 3, 4), Box("dog", 5, 6, 7, 8.5)])
    assert corners.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8.5]] and corners.dtype == np.float64
    assert box_geometry.corners_of([]).shape == (0, 4)


@hypothesis.given(box_lists, box_lists)
def test_within_0_and_1_symmetric_and_the_same_in_either_order_of_the_axes(boxes, others):
    boxes, others = as_array(boxes), as_array(others)
    ious = box_geometry.pairwise_iou(boxes, others)
    assert ious.shape == (len(boxes), len(others)) and np.isfinite(ious).all()
    assert (ious >= 0).all() and (ious <= 1).all()
    assert (ious == box_geometry.pairwise_iou(others, boxes).T).all()
    turned = [1, 0, 3, 2]
    assert (ious == box_geometry.pairwise_iou(boxes[:, turned], others[:, turned])).all()


@hypothesis.given(box_lists)
def test_a_box_overlaps_with_itself_wholly_where_it_has_area(boxes):
    boxes = upright(as_array(boxes))
    itself = np.diag(box_geometry.pairwise_iou(boxes, boxes))
    assert (itself == np.where(box_geometry.area(boxes) > 0, 1.0, 0.0)).all()


@hypothesis.given(box_lists, box_lists)
def test_as_exact_fractions_have_it(boxes, others):
    boxes, others = upright(as_array(boxes)), upright(as_array(others))
    expected = [[exact_iou(box, other) for other in others] for box in boxes]
    received = box_geometry.pairwise_iou(boxes, others)
    np.testing.assert_allclose(received, np.reshape(expected, received.shape), rtol=1e-14)


@hypothesis.given(box_lists, st.floats(-100, 100, width=32), st.floats(0, 100, width=32), st.floats(1, 100, width=32))
def test_boxes_that_touch_share_nothing(boxes, border, size, height):
    left = as_array([(border - size, 0, border, height)])
    right = as_array([(border, 0, border + size, height), *((border, b[1], max(b[2], border), b[3]) for b in boxes)])
    assert (box_geometry.pairwise_iou(left, right) == 0).all()


@hypothesis.given(box_lists, box_lists)
def test_smaller_types_are_computed_in_float64(boxes, others):
    boxes, others = as_array(boxes, np.float32), as_array(others, np.float32)
    before = boxes.copy()
    ious = box_geometry.pairwise_iou(boxes, others)
    assert ious.dtype == np.float64 and (boxes == before).all()
    assert (ious == box_geometry.pairwise_iou(boxes.astype(np.float64), others.astype(np.float64))).all()


def test_large_boxes_in_float32_do_not_overflow():
    box = np.array([[0, 0, 1e30, 1e30]], np.float32)  # its area is beyond float32
    assert box_geometry.pairwise_iou(box, box).tolist() == [[1.0]]


def test_whole_numbers_are_not_cut_to_whole_numbers():
    assert box_geometry.pairwise_iou(np.array([[0, 0, 2, 1]]), np.array([[0, 0, 1, 1]])).tolist() == [[0.5]]
