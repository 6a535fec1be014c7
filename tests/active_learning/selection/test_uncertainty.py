import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from tests.active_learning.pools import predicted
from tfodhelper import errors
from tfodhelper.active_learning.selection import rules, uncertainty

# Class scores of two boxes by a softmax: 0.7, 0.2, 0.1 and 0.5, 0.5, 0.0.
ENTROPIES = (0.8018185525433373, 0.6931471805599453)  # -(0.7 ln 0.7 + 0.2 ln 0.2 + 0.1 ln 0.1); ln 2
IMAGE = predicted("x", ("cat", 0.7, 0.5, ENTROPIES[0]), ("dog", 0.5, 0.0, ENTROPIES[1]))


@pytest.mark.parametrize(
    ("rule", "total", "mean", "largest"),
    [
        ("least-confidence", 0.8, 0.4, 0.5),
        ("margin", 1.5, 0.75, 1.0),
        ("entropy", 1.4949657331032826, 0.7474828665516413, 0.8018185525433373),
    ],
)
def test_figures_by_hand(rule, total, mean, largest):
    assert uncertainty.score_image(IMAGE, rule, "sum") == pytest.approx(total, abs=1e-12)
    assert uncertainty.score_image(IMAGE, rule, "mean") == pytest.approx(mean, abs=1e-12)
    assert uncertainty.score_image(IMAGE, rule, "max") == pytest.approx(largest, abs=1e-12)


# 1 + 0.06 ln(27.0316248945261341 (1 - q) + 1), to 40 digits by Python's decimal module
@pytest.mark.parametrize(
    ("quality", "weight"),
    [
        (0.0, 1.2),
        (0.5, 1.160514314131171),
        (0.66, 1.139288841273870),
        (0.87, 1.090432499236080),
        (0.9, 1.078551230887495),
        (1.0, 1.0),
    ],
)
def test_difficulty_by_hand(quality, weight):
    assert uncertainty.difficulty_weight(quality) == pytest.approx(weight, abs=1e-12)


def test_dcus_weighs_each_box_by_its_class():
    weight_of = uncertainty.difficulty_weights({"cat": 0.5, "dog": 1.0})
    expected = {
        "sum": 0.8018185525433373 * 1.160514314131171 + 0.6931471805599453,
        "mean": (0.8018185525433373 * 1.160514314131171 + 0.6931471805599453) / 2,
        "max": 0.8018185525433373 * 1.160514314131171,
    }
    for aggregate, value in expected.items():
        score = uncertainty.score_image(IMAGE, "dcus", aggregate, weight_of=weight_of)
        assert score == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("unknown", [None, -1.0, float("nan")])
def test_a_class_that_validation_does_not_show_is_the_hardest(unknown):
    weight_of = uncertainty.difficulty_weights({"cat": unknown, "dog": 1.0})
    assert weight_of("cat") == weight_of("never heard of") == pytest.approx(1.2)
    assert weight_of("dog") == 1.0


def test_dcus_without_any_precision_is_entropy():
    weight_of = uncertainty.difficulty_weights(None)
    assert uncertainty.score_image(IMAGE, "dcus", weight_of=weight_of) == uncertainty.score_image(IMAGE, "entropy")


def test_detections_below_the_threshold_do_not_count():
    image = predicted("x", ("cat", 0.7, 0.5, 1.0), ("cat", 0.05, 0.5, 2.0), ("cat", 0.049, 0.5, 4.0))
    assert uncertainty.score_image(image, "entropy", "sum", 0.05) == 3.0
    assert uncertainty.score_image(image, "entropy", "mean", 0.05) == 1.5


@pytest.mark.parametrize("rule", rules.UNCERTAINTIES)
@pytest.mark.parametrize("aggregate", rules.AGGREGATES)
def test_nothing_found_means_no_uncertainty(rule, aggregate):
    assert uncertainty.score_image(predicted("x"), rule, aggregate) == 0.0
    assert uncertainty.score_image(predicted("x", ("cat", 0.01)), rule, aggregate) == 0.0


def test_a_box_that_is_certainly_nothing_is_not_the_most_doubtful():
    nothing, doubtful = predicted("x", ("cat", 0.06)), predicted("y", ("cat", 0.5))
    assert uncertainty.score_image(nothing, "least-confidence") < uncertainty.score_image(doubtful, "least-confidence")


def test_three_rules_give_the_same_order_for_one_class():
    """For two possible answers, least confidence, margin and entropy give the same order."""
    boxes = []
    for score in np.linspace(0.06, 0.94, 40).tolist():
        entropy = -score * math.log(score) - (1 - score) * math.log(1 - score)
        boxes.append(predicted(f"{score}", ("cat", score, abs(2 * score - 1), entropy)))
    orders = []
    for rule in ("least-confidence", "margin", "entropy"):
        orders.append([round(uncertainty.score_image(prediction, rule), 9) for prediction in boxes])
    ranks = [np.argsort(np.argsort(values, kind="stable"), kind="stable")[:20] for values in orders]
    assert (ranks[0] == ranks[1]).all() and (ranks[1] == ranks[2]).all()


@pytest.mark.parametrize("rule", ["margin", "entropy", "dcus"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_figures_that_are_not_finite_are_named(rule, value):
    image = predicted("a/b.jpg", ("cat", 0.5, value, value))
    with pytest.raises(errors.PredictionError, match=r"a/b\.jpg"):
        uncertainty.score_image(image, rule)


def test_an_incomplete_prediction_is_named():
    image = predicted("a/b.jpg", ("cat", 0.5))
    image = type(image)(image.name, image.found, (), image.entropies)
    with pytest.raises(errors.PredictionError, match=r"a/b\.jpg.*the prediction is incomplete"):
        uncertainty.score_image(image, "entropy")


scores = st.lists(st.tuples(st.floats(0.05, 1), st.floats(0, 1), st.floats(0, 4)), max_size=8)


@hypothesis.given(scores, st.sampled_from(rules.UNCERTAINTIES))
def test_aggregates_belong_together(detections, rule):
    image = predicted("x", *(("cat", *values) for values in detections))
    weight_of = uncertainty.difficulty_weights({"cat": 0.3})
    total, mean, largest = (
        uncertainty.score_image(image, rule, aggregate, weight_of=weight_of) for aggregate in ("sum", "mean", "max")
    )
    assert total == pytest.approx(mean * len(detections))
    assert 0 <= mean <= largest * (1 + 1e-12) and largest <= total * (1 + 1e-12)


@hypothesis.given(st.floats(0, 1), st.floats(0, 1))
def test_difficulty_falls_with_quality(first, second):
    low, high = sorted((first, second))
    assert 1.0 <= uncertainty.difficulty_weight(high) <= uncertainty.difficulty_weight(low) <= 1.2 + 1e-12
