"""When a class adopts: shares and Wilson's bound by hand, and what is said."""

import math

import hypothesis
import pytest
from hypothesis import strategies as st

from tfodhelper.active_learning.adoption import class_worth
from tfodhelper.active_learning.adoption.class_worth import ADOPTS, BELOW, TOO_FEW


def worth(right, boxes, name="crazing", close=0, objects=0, missed=0, score=0.75):
    row = int(score * 10)
    by_score = tuple((boxes, right, close) if bin_ == row else (0, 0, 0) for bin_ in range(10))
    return class_worth.ClassWorth(name, boxes, right, close, objects, missed, by_score)


@pytest.mark.parametrize(
    "right, boxes, least, verdict",
    [
        (26, 100, 0.8, BELOW),
        (79, 100, 0.8, BELOW),
        (80, 100, 0.8, ADOPTS),  # the bound is 0.726
        (8, 10, 0.8, TOO_FEW),  # 0.541
        (7, 7, 0.8, ADOPTS),  # 7 / (7 + 2.7057) = 0.721
        (6, 6, 0.8, TOO_FEW),  # 0.689
        (0, 0, 0.8, TOO_FEW),
        (0, 0, 0.0, ADOPTS),
        (0, 9, 0.0, ADOPTS),
        (11, 20, 0.55, TOO_FEW),  # 0.55 * 20 is a little more than 11 in floating point; the bound is 0.371
        (110, 200, 0.55, ADOPTS),
        (1000, 1000, 1.0, ADOPTS),
        (999, 1000, 1.0, BELOW),
    ],
)
def test_a_class_adopts_where_the_share_is_reached_and_reliable(right, boxes, least, verdict):
    assert worth(right, boxes).verdict(least) == verdict


@pytest.mark.parametrize(
    "right, boxes, others, verdict",
    [
        (3, 3, [(9, 10)], ADOPTS),  # 12 of 13 with the other class: the bound is 0.724
        (3, 3, [(90, 100)], ADOPTS),  # which counts as 10 boxes, however many it has
        (3, 3, [(4, 5), (5, 5)], ADOPTS),
        (3, 3, [(8, 10)], TOO_FEW),  # 11 of 13: 0.631
        (3, 3, [(4, 4)], ADOPTS),  # 7 of 7
        (3, 3, [(3, 3)], TOO_FEW),
        (3, 3, [(26, 100)], TOO_FEW),
        (7, 7, [(26, 100)], ADOPTS),  # a class that can be judged needs nobody
        (3, 4, [(100, 100)], BELOW),
        (0, 0, [(100, 100)], TOO_FEW),
        (3, 3, [(0, 0)], TOO_FEW),
        (3, 3, [], TOO_FEW),
    ],
)
def test_a_class_with_few_boxes_leans_on_the_others(right, boxes, others, verdict):
    worths = [worth(right, boxes), *(worth(*other, name=f"other {i}") for i, other in enumerate(others))]
    assert class_worth.judge(worths, 0.8)["crazing"] == verdict


@hypothesis.given(st.integers(1, 500), st.floats(0, 1))
def test_the_bound_is_the_share_that_a_score_test_would_just_not_reject(number, part):
    hits = round(part * number)
    bound = class_worth.lower_bound(hits, number)
    assert -1e-9 <= bound <= hits / number + 1e-12
    if hits:
        distance = (hits / number - bound) / math.sqrt(bound * (1 - bound) / number)
        assert distance == pytest.approx(1.6449, abs=1e-4)


@pytest.mark.parametrize("least, number", [(0.8, 7), (0.9, 11), (0.5, 2), (0.05, 1)])
def test_how_many_boxes_are_enough_where_all_are_right(least, number):
    assert class_worth.enough_if_all_right(least) == number
    assert worth(number, number).verdict(least) == ADOPTS
    assert number == 1 or worth(number - 1, number - 1).verdict(least) == TOO_FEW


def test_the_chance_of_a_box_leans_on_all_classes_where_its_own_has_few():
    worths = [worth(2, 10, "cat"), worth(6, 10, "dog"), worth(0, 0, "cow")]
    chances = class_worth.Chances(worths)
    everywhere = (8 + 1) / (20 + 2)
    assert chances.of("cat", 0.75) == pytest.approx((2 + 4 * everywhere) / 14)
    assert chances.of("dog", 0.79) == pytest.approx((6 + 4 * everywhere) / 14)
    assert chances.of("cow", 0.7) == pytest.approx(everywhere)
    assert chances.of("cat", 0.2) == chances.of("cow", 1.0) == pytest.approx(0.5)  # no box with such a score


def test_what_is_said():
    assert class_worth.to_words(worth(26, 100), BELOW, 0.8) == (
        "crazing: 26 of 100 boxes would be right; nothing adopted; draw some, or train longer"
    )
    assert class_worth.to_words(worth(6, 6), TOO_FEW, 0.8) == (
        "crazing: 6 of 6 boxes would be right, too few to judge; nothing adopted; where all are right, 7 are enough; "
        "label more images for validation, or lower --min_box_worth"
    )
    assert "no validation box would be adopted" in class_worth.to_words(worth(0, 0), TOO_FEW, 0.8)
    assert class_worth.to_words(worth(95, 100, close=71, objects=130, missed=12), ADOPTS, 0.8) == (
        "crazing: 95 of 100 boxes would be right, 71 at IoU 0.75; 12 of 130 objects missed"
    )
    assert class_worth.to_words(worth(3, 3, close=1, objects=4, missed=1), ADOPTS, 0.8) == (
        "crazing: 3 of 3 boxes would be right, 1 at IoU 0.75; 1 of 4 objects missed; few, judged with the other classes"
    )


def test_plain_values_come_back():
    worths = [worth(26, 100, close=3, objects=40, missed=14), worth(9, 9, "dog")]
    facts = class_worth.to_facts(worths, 0.8)
    assert class_worth.from_facts(facts) == [(worths[0], BELOW), (worths[1], ADOPTS)]
    assert facts["least"] == 0.8
