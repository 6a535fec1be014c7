"""Fused boxes, computed by hand; and what holds of all of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfodhelper import box_geometry
from tfodhelper.active_learning.pool import box_fusion, views
from tfodhelper.active_learning.pool.views import View

SIZE = (100, 200)
WHOLE = View((0, 0, *SIZE))
THREE = (WHOLE, View((0, 0, *SIZE), True), View((-12, -25, 112, 225)))


def fuse(*rows, seen=THREE, **options):
    """Fuses rows of (box, score, class, view)."""
    boxes, scores, classes, numbers = zip(*rows) if rows else ([], [], [], [])
    detected = box_fusion.Found(
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(scores, np.float64),
        np.array(classes, np.int64),
        np.array(numbers, np.int64),
    )
    return box_fusion.fuse(detected, seen, SIZE, **options)


def test_corners_are_weighted_by_score_and_the_score_by_how_many_views_agree():
    (one,) = fuse(([10, 20, 50, 80], 0.9, 1, 0), ([12, 22, 50, 86], 0.3, 1, 2))
    # (0.9 a + 0.3 b) / 1.2; the mean score 0.6, times two of three views.
    assert one.box.tolist() == pytest.approx([10.5, 20.5, 50, 81.5])
    assert one.score == pytest.approx(0.4)
    assert (one.class_, one.rows, one.num_views) == (1, (0, 1), 3)
    # |sides - fused|: 0.5 0.5 0 1.5, 1.5 1.5 0 4.5; mean 1.25; over half of 39.5 + 61.
    assert one.doubt == pytest.approx(1.25 / 50.25)


def test_three_views_that_agree_exactly():
    (one,) = fuse(*(([10, 20, 50, 80], score, 1, view) for view, score in enumerate((0.9, 0.6, 0.3))))
    assert (one.box.tolist(), one.doubt) == ([10, 20, 50, 80], 0)
    assert one.score == pytest.approx(0.6)


def test_a_box_of_a_single_view_has_a_third_of_its_score_and_no_doubt():
    (one,) = fuse(([10, 20, 50, 80], 0.9, 1, 1))
    assert (one.score, one.doubt) == (pytest.approx(0.3), None)


def test_boxes_join_the_one_that_they_overlap_most_from_the_threshold_on():
    first, second = [0, 0, 100, 100], [0, 20, 100, 120]  # IoU 80 / 120
    assert [len(each.rows) for each in fuse((first, 0.9, 1, 0), (second, 0.8, 1, 1))] == [2]
    assert [len(each.rows) for each in fuse((first, 0.9, 1, 0), (second, 0.8, 1, 1), threshold=0.67)] == [1, 1]
    nearer = [0, 15, 100, 115]
    fused = fuse((first, 0.9, 1, 0), (second, 0.8, 1, 0), (nearer, 0.7, 1, 1))
    assert sorted(each.rows for each in fused) == [(0,), (1, 2)]


def test_boxes_are_compared_with_the_fused_one_as_it_grows():
    # The mean of the first two is at 10, 18 from the third: IoU 82 / 118 instead of 72 / 128.
    boxes = [[0, 0, 100, 100], [0, 20, 100, 120], [0, 28, 100, 128]]
    assert len(fuse(*((box, 0.5, 1, view) for view, box in enumerate(boxes)))) == 1
    assert len(fuse(*((boxes[row], 0.5, 1, row) for row in (0, 2)))) == 2


def test_classes_are_fused_apart():
    box = [10, 20, 50, 80]
    fused = fuse((box, 0.9, 1, 0), (box, 0.6, 2, 0), (box, 0.6, 1, 1), (box, 0.3, 2, 1))
    assert [(each.class_, each.rows) for each in fused] == [(1, (0, 2)), (2, (1, 3))]
    assert [each.score for each in fused] == pytest.approx([0.5, 0.3])


def test_a_view_adds_one_box_to_a_fused_one():
    fused = fuse(([0, 0, 100, 100], 0.9, 1, 0), ([0, 5, 100, 105], 0.8, 1, 0), ([0, 1, 100, 101], 0.7, 1, 1))
    assert [each.rows for each in fused] == [(0, 2), (1,)]


LARGER = (WHOLE, View((0, 0, 80, 160)))  # a corner


def test_a_view_that_cannot_see_the_place_has_no_vote():
    near, far = [10, 20, 50, 80], [10, 170, 50, 195]
    one, other = fuse((near, 0.8, 1, 0), (far, 0.6, 1, 0), seen=LARGER)
    assert (one.box.tolist(), one.num_views, one.score) == (far, 1, pytest.approx(0.6))
    assert (other.box.tolist(), other.num_views, other.score) == (near, 2, pytest.approx(0.4))


def test_a_box_that_its_view_cuts_is_left_out():
    whole = [10, 100, 50, 180]
    (one,) = fuse((whole, 0.8, 1, 0), ([10, 100, 50, 159.5], 0.9, 1, 1), seen=LARGER)  # at the border
    assert one.box.tolist() == whole and one.rows == (0,)
    # Near it: what the corner sees of the whole one is [10, 100, 50, 160].
    (one,) = fuse((whole, 0.8, 1, 0), ([10, 100, 50, 152], 0.8, 1, 1), seen=LARGER)
    assert one.rows == (0,)
    # A better box is no part of a worse one.
    assert len(fuse((whole, 0.8, 1, 0), ([10, 100, 50, 145], 0.85, 1, 1), seen=LARGER)) == 2
    # Nor is one of another class, or elsewhere.
    assert len(fuse((whole, 0.8, 1, 0), ([10, 100, 50, 145], 0.7, 2, 1), seen=LARGER)) == 2
    assert len(fuse((whole, 0.8, 1, 0), ([10, 100, 50, 135], 0.7, 1, 1), seen=LARGER)) == 2


def test_scores_of_zero():
    (one,) = fuse(([0, 0, 100, 100], 0.0, 1, 0), ([0, 10, 100, 110], 0.0, 1, 1))
    assert one.box.tolist() == pytest.approx([0, 5, 100, 105]) and one.score == 0


def test_nothing_found():
    assert fuse() == []


@st.composite
def detected_boxes(draw, num_views=7):
    """Rows inside the image."""
    rows = []
    for _ in range(draw(st.integers(0, 12))):
        top, left = draw(st.floats(0, 90)), draw(st.floats(0, 190))
        box = top, left, top + draw(st.floats(1, 100 - top)), left + draw(st.floats(1, 200 - left))
        rows.append((box, draw(st.floats(0.01, 1)), draw(st.integers(1, 2)), draw(st.integers(0, num_views - 1))))
    return rows


@given(detected_boxes(num_views=1))
def test_a_single_view_is_returned_as_it_is(rows):
    fused = fuse(*rows, seen=THREE[:1])
    order = sorted(range(len(rows)), key=lambda row: (-rows[row][1], row))
    assert [(tuple(each.box.tolist()), each.score, each.class_) for each in fused] == [rows[row][:3] for row in order]
    assert all(each.doubt is None and each.num_views == 1 for each in fused)


@given(detected_boxes())
def test_fused_boxes_are_among_theirs(rows):
    seen = views.make_views(*SIZE)
    fused = fuse(*rows, seen=seen)
    used = [row for each in fused for row in each.rows]
    assert len(set(used)) == len(used)
    assert [each.score for each in fused] == sorted((each.score for each in fused), reverse=True)
    for each in fused:
        own = np.array([rows[row][0] for row in each.rows])
        assert (each.box >= own.min(axis=0) - 1e-9).all() and (each.box <= own.max(axis=0) + 1e-9).all()
        assert {rows[row][2] for row in each.rows} == {each.class_}
        assert len({rows[row][3] for row in each.rows}) == len(each.rows) <= each.num_views <= len(seen)
        assert 0 <= each.score <= max(rows[row][1] for row in each.rows) + 1e-12
        assert (each.doubt is None) == (len(each.rows) == 1) and (each.doubt or 0.0) >= 0
        assert box_geometry.pairwise_iou(own, [each.box]).min() > 0.3


@given(detected_boxes(), st.floats(0.1, 10))
def test_doubt_does_not_depend_on_the_size(rows, factor):
    boxes = np.array([box for box, *_ in rows]).reshape(-1, 4)
    if len(boxes):
        mean = boxes.mean(axis=0)
        doubt = box_fusion.measure_doubt(boxes, mean)
        assert box_fusion.measure_doubt(boxes * factor, mean * factor) == pytest.approx(doubt)
