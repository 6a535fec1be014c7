"""Zones of the score, by hand."""

import math

import pytest

from tfodhelper.active_learning.oracles.zones import Zone, find_zone
from tfodhelper.annotations.structures import Box

BOX = Box("cat", 1, 2, 30, 40)


def test_objects_begin_where_f_half_is_best():
    # F0.5 = 1.25 TP / (0.25 x 4 + boxes): 1.25/2, 2.5/3, 2.5/4, 3.75/5, 3.75/6
    zone = find_zone([0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 0, 1, 0], [1, 1, 0, 0, 0], 4)
    assert zone == Zone(0.8, 0.8)


def test_a_missed_object_lowers_no_score_as_far_as_f1_would():
    # F1 = 2 TP / (objects + boxes) is best at 0.3: 2/11, 2/12, 4/13; F0.5 = 1.25 TP / (2.5 + boxes): 0.36, 0.28, 0.45
    assert find_zone([0.9, 0.5, 0.3], [1, 0, 1], [0, 0, 0], 10).object_score == 0.3
    # With two objects: 0.83, 0.5, 0.71.
    assert find_zone([0.9, 0.5, 0.3], [1, 0, 1], [0, 0, 0], 2).object_score == 0.9


def test_equal_scores_count_together():
    assert find_zone([0.9, 0.9, 0.5], [1, 0, 1], [1, 0, 0], 2) == Zone(0.5, math.inf)


def test_corners_are_learned_where_nine_of_ten_are_close():
    scores = [0.99 - 0.01 * i for i in range(20)]
    close = [1] * 5 + [0] + [1] * 4 + [0] + [1] * 9  # 9 of the first 10, 18 of 20
    assert find_zone(scores, [1] * 20, close, 20).place_score == pytest.approx(0.80)
    assert find_zone(scores[:19], [1] * 19, close[:19], 19).place_score == pytest.approx(0.90)
    assert find_zone(scores, [1] * 20, [0] * 20, 20).place_score == math.inf


def test_corners_are_learned_of_objects_alone():
    zone = find_zone([0.9, 0.2], [1, 0], [1, 0], 1)
    assert zone == Zone(0.9, 0.9)
    assert zone.weigh(BOX, 0.2).weight == 0


@pytest.mark.parametrize(("scores", "right"), [([], []), ([0.9], [0])])
def test_without_a_right_box_nothing_is_an_object(scores, right):
    zone = find_zone(scores, right, right, 3)
    assert zone == Zone()
    assert zone.weigh(BOX, 1.0).weight == 0
    assert "ignored regions" in zone.to_words("cat") and "inf" not in zone.to_words("cat")


def test_weights():
    zone = Zone(0.6, 0.8)
    weighed = {score: zone.weigh(BOX, score) for score in (0.81234, 0.8, 0.79, 0.6, 0.59)}
    assert [(box.weight, box.location_weight) for box in weighed.values()] == [
        *[(0.8123, 1), (0.8, 1), (0.79, 0), (0.6, 0), (0, 1)]
    ]
    assert all(box.name == "cat" and box.xmax == 30 for box in weighed.values())
    assert zone.to_words("cat") == (
        "cat: objects from a score of 0.60 on, from 0.80 on with their place; ignored regions below"
    )
    assert "never close enough" in Zone(0.6).to_words("cat")


def test_doubt_keeps_boxes_whose_corners_are_not_learned():
    # The worst are doubtful: of all 50 boxes, 38 are close; of those with a doubt of up to 0.03, 38 of 40.
    scores, right = [0.9] * 50, [1] * 50
    close = [1] * 38 + [0] * 12
    doubts = [0.03] * 38 + [0.02] * 2 + [0.05] * 9 + [math.inf]
    zone = find_zone(scores, right, close, 50, doubts)
    assert zone == Zone(0.9, 0.9, 0.03)
    assert find_zone(scores, right, close, 50) == Zone(0.9)  # without doubts: of none
    weighed = [zone.weigh(BOX, 0.95, doubt).location_weight for doubt in (0.0, 0.03, 0.031, None)]
    assert weighed == [1, 1, 0, 0] and zone.weigh(BOX, 0.95, 0.04).weight == 0.95
    assert zone.weigh(BOX, 0.5, 0.0).weight == 0
    assert zone.to_words("cat") == (
        "cat: objects from a score of 0.90 on, from 0.90 on with their place where the views differ by at most 0.03; "
        "ignored regions below"
    )


def test_score_and_doubt_together_leave_most_close_boxes():
    # Above 0.8 all 20 are close; from 0.5 on 20 more are, where the doubt is low, and 20 are not.
    scores = [0.8] * 20 + [0.5] * 40
    close = [1] * 40 + [0] * 20
    doubts = [0.08] * 20 + [0.01] * 20 + [0.06] * 20
    # 20 are close either way: the lower doubt.
    assert find_zone(scores, [1] * 60, close, 60, doubts) == Zone(0.5, 0.5, 0.01)
    doubts = [0.05] * 20 + [0.01] * 20 + [0.06] * 20
    assert find_zone(scores, [1] * 60, close, 60, doubts) == Zone(0.5, 0.5, 0.05)


def test_a_doubt_that_tells_nothing_is_not_asked():
    scores, close = [0.9] * 20 + [0.4] * 20, [1] * 20 + [0] * 20
    doubts = [math.inf] * 20 + [0.01] * 20  # only one view has found the good ones
    zone = find_zone(scores, close, close, 20, doubts)
    assert zone == Zone(0.9, 0.9, math.inf)
    assert zone.weigh(BOX, 0.9).location_weight == 1


def test_few_boxes_do_not_prove_a_doubt():
    # Wilson's lower end is 0.80 for 11 of 11 boxes, and below for 10 of 10.
    for number, expected in ((10, Zone(0.9)), (11, Zone(0.9, 0.9, 0.02))):
        zone = find_zone([0.9] * number, [1] * number, [1] * number, number, [0.015] * number)
        assert zone == expected
    assert find_zone([], [], [], 3, []) == Zone()


def test_corners_are_learned_of_objects_alone_whatever_their_doubt():
    scores, right = [0.9] * 12 + [0.2] * 12, [1] * 12 + [0] * 12
    zone = find_zone(scores, right, right, 12, [0.01] * 24)
    assert zone == Zone(0.9, 0.9, 0.01)
