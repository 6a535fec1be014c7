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
