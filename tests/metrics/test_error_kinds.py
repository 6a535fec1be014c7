"""Kinds of errors: one of each by hand, and as TIDE's published tool counts and weighs them."""

import json
import math
import pathlib

import numpy as np
import pytest

from tests.metrics import sets
from tests.metrics.by_hand import FAR, NOTHING, A, B, found_of
from tfodhelper.metrics import error_kinds, ranking

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "metrics_tide.json").read_text(encoding="utf-8"))
SHIFTED = [0, 4, 10, 14]  # overlaps A by 60 / 140
TOUCHING = [0, 7, 10, 17]  # overlaps A by 30 / 170


def kinds_of(*images):
    kinds = error_kinds.classify(sets.in_one(sets.collect(*images)))
    return [
        error_kinds.NAMES[kind] if kind >= 0 else {-1: "right", -2: "ignored"}[kind] for kind in kinds.kind.tolist()
    ]


def costs_of(overlapping):
    return overlapping.results(ranking.Ranking())[0].costs


def gt_of(*boxes, classes=None, **rest):
    return {"boxes": list(boxes), "classes": classes or [1] * len(boxes), **rest}


def test_one_of_each_kind():
    image = (
        gt_of(A, B),
        found_of((A, 0.9), (A, 0.8), (SHIFTED, 0.7), (FAR, 0.6), (B, 0.5), (TOUCHING, 0.4), classes=[1, 1, 1, 1, 2, 2]),
    )
    assert kinds_of(image) == ["right", "duplicate", "localization", "background", "classification", "both"]


def test_an_object_is_missed_unless_an_error_would_have_found_it():
    overlapping = sets.collect((gt_of(A, B, FAR), found_of((SHIFTED, 0.9), (B, 0.8), classes=[1, 2])))
    assert error_kinds.classify(sets.in_one(overlapping)).is_missed.tolist() == [False, False, True]


@pytest.mark.parametrize("flag", ["is_crowd", "difficult", "group_of"])
def test_what_need_not_be_found_is_no_error(flag):
    image = (gt_of(A, **{flag: [True]}), found_of((A, 0.9), (A, 0.8)))
    assert kinds_of(image) == ["ignored", "ignored"]
    assert not error_kinds.classify(sets.in_one(sets.collect(image))).is_missed.any()


def test_only_the_hundred_best_of_an_image_count():
    rows = [(FAR, 0.5 + 0.001 * i) for i in range(101)]
    assert kinds_of((gt_of(A), found_of(*rows))).count("background") == 100


def test_costs_by_hand():
    # Cats: A found, after a detection far away. AP 1/2; without the background error 1.
    overlapping = sets.collect((gt_of(A), found_of((FAR, 0.9), (A, 0.8))))
    costs = costs_of(overlapping)
    assert costs.ap == pytest.approx(0.5)
    assert dict(zip(error_kinds.NAMES, costs.by_kind)) == pytest.approx(
        {"background": 0.5, "classification": 0, "localization": 0, "both": 0, "duplicate": 0, "missed": 0}
    )
    assert (costs.false_positives, costs.false_negatives) == pytest.approx((0.5, 0.0))


def test_a_class_of_which_all_is_missed():
    # Two classes: cats found, the dog missed. Without the dog, the class does not count any more.
    overlapping = sets.collect((gt_of(A, B, classes=[1, 2]), found_of((A, 0.9))))
    costs = costs_of(overlapping)
    assert costs.ap == pytest.approx(0.5)
    assert costs.by_kind[error_kinds.MISSED] == pytest.approx(0.5)


def test_nothing():
    for images in ((), ((NOTHING, NOTHING),), ((NOTHING, found_of((A, 0.9))),)):
        overlapping = sets.collect(*images)
        costs = costs_of(overlapping)
        assert math.isnan(costs.ap) and np.isnan(costs.by_kind).all()
    overlapping = sets.collect((gt_of(A), NOTHING))
    costs = costs_of(overlapping)
    assert costs.ap == 0.0 and costs.by_kind.tolist() == [0, 0, 0, 0, 0, 1]  # all is missed


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_as_the_published_tool(case):
    categories = {int(key): name for key, name in GOLDEN["categories"].items()}
    images = [(image["groundtruth"], image["detections"]) for image in case["images"]]
    overlapping = sets.collect(*images, categories=categories)
    kinds = error_kinds.classify(sets.in_one(overlapping))
    costs, expected = costs_of(overlapping), case["expected"]
    counts = [int((kinds.kind == kind).sum()) for kind in range(error_kinds.MISSED)] + [int(kinds.is_missed.sum())]
    assert counts == expected["counts"] and min(counts) > 0
    assert costs.by_kind.tolist() == pytest.approx(expected["delta"], abs=1e-12)
    values = (costs.ap, costs.false_positives, costs.false_negatives)
    assert values == pytest.approx((expected["ap"], expected["fp"], expected["fn"]), abs=1e-12)
