"""Boxes of several windows become those of the picture: cases by hand, and a detector that sees everything."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tfodhelper.tiling import merging
from tfodhelper.tiling.merging import Found
from tfodhelper.tiling.windows import Tiling

# Two tiles of 100 pixels side by side, which share x from 80 to 100, and the whole picture, 180 wide and 100 high.
LEFT, RIGHT, WHOLE = 0, 1, 2
WINDOWS = np.array([[0, 0, 100, 100], [0, 80, 100, 180], [0, 0, 100, 180]])


def merge(*detections, windows=WINDOWS, threshold=0.5):
    """Merges (window, xmin, xmax, score), 10 to 30 from top to bottom; further values are class and ymin, ymax.

    Returns:
      [(xmin, xmax, score)], and class, ymin, ymax where they are not the usual ones.
    """
    rows = [(*detection, *(1, 10, 30)[len(detection) - 4 :]) for detection in detections]
    boxes = np.array([(ymin, xmin, ymax, xmax) for _, xmin, xmax, _, _, ymin, ymax in rows], np.float64).reshape(-1, 4)
    window, scores, classes = ([row[i] for row in rows] for i in (0, 3, 4))
    detections = Found(boxes, np.array(scores, np.float64), np.array(classes, int), np.array(window, int))
    merged = merging.merge(detections, windows, threshold)
    results = []
    for (ymin, xmin, ymax, xmax), score, class_ in zip(*(part.tolist() for part in merged[:3])):
        more = () if (class_, ymin, ymax) == (1, 10, 30) else (class_, ymin, ymax)
        results.append((xmin, xmax, score, *more))
    return results


def test_nothing_is_nothing():
    assert merge() == []


def test_apart_objects_stay_in_descending_order_of_score():
    assert merge((LEFT, 10, 20, 0.5), (RIGHT, 130, 150, 0.9), (LEFT, 40, 60, 0.7)) == [
        (130, 150, 0.9),
        (40, 60, 0.7),
        (10, 20, 0.5),
    ]


def test_an_object_in_the_overlap_is_found_once_with_the_better_score():
    assert merge((LEFT, 84, 95, 0.6), (RIGHT, 84, 96, 0.8)) == [(84, 96, 0.8)]


def test_boxes_of_different_classes_stay():
    assert len(merge((LEFT, 84, 95, 0.6, 1), (RIGHT, 84, 95, 0.8, 2))) == 2


def test_the_model_has_already_suppressed_what_is_in_one_window():
    assert len(merge((LEFT, 84, 95, 0.6), (LEFT, 84, 95, 0.5))) == 2


def test_the_threshold_is_exclusive():
    # 84..94 and 87..94: an intersection of 7 and a union of 10; 84..94 and 89..94: exactly 0.5.
    assert len(merge((LEFT, 84, 94, 0.9), (RIGHT, 87, 94, 0.8))) == 1
    assert len(merge((LEFT, 84, 94, 0.9), (RIGHT, 89, 94, 0.8))) == 2
    assert len(merge((LEFT, 84, 94, 0.9), (RIGHT, 89, 94, 0.8), threshold=0.4)) == 1


def test_a_cut_box_loses_against_the_complete_one_whatever_its_score():
    """The left tile sees 70..95 completely, the right one only 80..95 of it: its box touches the border at 80."""
    assert merge((LEFT, 70, 95, 0.6), (RIGHT, 80, 95, 0.95)) == [(70, 95, 0.6)]


def test_a_sliver_loses_although_its_unseen_end_is_misplaced():
    """Of 60..83 the right tile sees 3 pixels and says 80..85: in the common view 3 of 5 pixels agree, or 3 of 7."""
    assert merge((LEFT, 60, 83, 0.6), (RIGHT, 80, 85, 0.9)) == [(60, 83, 0.6)]
    assert merge((LEFT, 60, 84, 0.6), (RIGHT, 80, 87.9, 0.9)) == [(60, 84, 0.6)]
    assert len(merge((LEFT, 60, 83, 0.6), (RIGHT, 80, 88, 0.9))) == 2


def test_a_complete_box_inside_a_larger_one_is_an_object_of_its_own():
    inner = (RIGHT, 130, 150, 0.8)
    assert len(merge((WHOLE, 110, 170, 0.9), inner)) == 2
    # A cut one is a part of it.
    assert merge((WHOLE, 60, 170, 0.9), (RIGHT, 80, 120, 0.95)) == [(60, 170, 0.9)]


def test_pieces_of_an_object_that_no_window_sees_completely_become_one_box():
    """20..170: the left tile sees it up to 100, the right one from 80."""
    assert merge((LEFT, 20, 100, 0.7), (RIGHT, 80, 170, 0.8)) == [(20, 170, 0.8)]


def test_with_the_whole_picture_the_pieces_lose():
    assert merge((LEFT, 20, 100, 0.7), (RIGHT, 80, 170, 0.8), (WHOLE, 22, 168, 0.4)) == [(22, 168, 0.4)]


def test_pieces_that_do_not_meet_in_the_common_view_stay_apart():
    """Above and below each other."""
    assert merge((LEFT, 20, 100, 0.7, 1, 10, 30), (RIGHT, 80, 170, 0.8, 1, 40, 60)) == [
        (80, 170, 0.8, 1, 40, 60),
        (20, 100, 0.7),
    ]


def test_a_piece_that_ends_within_a_hundredth_of_the_border_is_cut():
    assert merge((LEFT, 20, 99, 0.7), (RIGHT, 81, 170, 0.8)) == [(20, 170, 0.8)]
    assert merge((LEFT, 20, 98.9, 0.9), (RIGHT, 81, 170, 0.8)) == [(20, 98.9, 0.9)]  # complete: wins


def test_borders_of_the_picture_cut_nothing():
    windows = np.array([[0, 0, 100, 100], [0, 80, 100, 180]])
    boxes = np.array([[0, 0, 50, 50], [40, 60, 100, 80], [0, 20, 10, 100], [10, 80, 90, 90], [10, 150, 20, 180]])
    cut = merging.find_cut(boxes, windows[[0, 0, 0, 1, 1]], (100, 180))
    assert cut.tolist() == [False, False, True, True, False]


def test_four_pieces_around_a_corner_become_one_box():
    windows = Tiling(100, 0.2, with_whole=False).windows(180, 180)
    rows = [(0, 50, 100, 0.5, 1, 60, 100), (1, 80, 130, 0.6, 1, 60, 100)]
    rows += [(2, 50, 100, 0.9, 1, 80, 140), (3, 80, 130, 0.4, 1, 80, 140)]
    assert merge(*rows, windows=windows) == [(50, 130, 0.9, 1, 60, 140)]


def test_pieces_are_joined_through_others():
    windows = Tiling(100, 0.2, with_whole=False).windows(100, 260)
    rows = [(0, 50, 100, 0.9), (2, 160, 200, 0.8), (1, 80, 180, 0.3)]
    assert merge(*rows, windows=windows) == [(50, 200, 0.9)]


def test_equal_scores_keep_their_order():
    assert merge((LEFT, 10, 20, 0.5), (LEFT, 40, 60, 0.5), (RIGHT, 120, 130, 0.5)) == [
        (10, 20, 0.5),
        (40, 60, 0.5),
        (120, 130, 0.5),
    ]


@st.composite
def scenes(draw):
    """(size, tiling, objects): objects of two classes that do not overlap within a class, in pixels."""
    height, width = draw(st.integers(40, 160)), draw(st.integers(40, 160))
    tiling = Tiling(draw(st.integers(32, 80)), draw(st.floats(0.1, 0.5)), draw(st.booleans()))
    objects = []
    for _ in range(draw(st.integers(0, 8))):
        ymin, xmin = draw(st.integers(0, height - 4)), draw(st.integers(0, width - 4))
        ymax, xmax = draw(st.integers(ymin + 4, height)), draw(st.integers(xmin + 4, width))
        class_ = draw(st.integers(1, 2))
        apart = [
            other != class_ or ymax <= box[0] or box[2] <= ymin or xmax <= box[1] or box[3] <= xmin
            for other, box in objects
        ]
        if all(apart):
            objects.append((class_, (ymin, xmin, ymax, xmax)))
    return (height, width), tiling, objects


@given(scenes(), st.randoms(use_true_random=False))
def test_a_detector_that_sees_everything_finds_everything_once(scene, random):
    """Each window reports what it sees of each object; the merged boxes are the objects themselves."""
    size, tiling, objects = scene
    windows = tiling.windows(*size)
    rows = []
    for number, window in enumerate(windows):
        for class_, box in objects:
            low, high = np.maximum(box[:2], window[:2]), np.minimum(box[2:], window[2:])
            if (low < high).all():
                rows.append(((*low, *high), random.random(), class_, number))
    random.shuffle(rows)
    parts = [list(part) for part in zip(*rows)] or [[]] * 4
    detections = Found(
        np.array(parts[0], np.float64).reshape(-1, 4),
        *(np.array(part, dtype) for part, dtype in zip(parts[1:], (np.float64, int, int))),
    )
    merged = merging.merge(detections, windows)
    received = sorted((int(class_), tuple(map(int, box))) for class_, box in zip(merged.classes, merged.boxes))
    assert received == sorted(objects)
    assert (np.diff(merged.scores) <= 0).all()
