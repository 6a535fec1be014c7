"""Boxes that would be adopted, against objects, counted by hand."""

import numpy as np
import pytest

from tests.metrics import sets
from tfodhelper.active_learning.adoption import box_worth, rehearsal
from tfodhelper.active_learning.oracles import build
from tfodhelper.annotations.label_map import make_label_map

CATEGORIES = {1: "cat", 2: "dog"}
NOTHING = {"boxes": np.zeros([0, 4]), "classes": [], "scores": []}
OBJECT = [0, 0, 100, 100]  # ymin, xmin, ymax, xmax
EXACT, CLOSE, HALF, OFF = OBJECT, [0, 0, 100, 80], [0, 0, 100, 60], [0, 0, 100, 40]  # IoU 1, 0.8, 0.6, 0.4


def collect(*images):
    return sets.in_one(sets.collect(*images, categories=CATEGORIES)).images


def gt(*boxes, classes=None, **flags):
    return {"boxes": np.array(boxes, float).reshape(-1, 4), "classes": classes or [1] * len(boxes), **flags}


def found(*rows):
    """Rows of (box, class id, score)."""
    return {
        "boxes": np.array([box for box, _, _ in rows], float).reshape(-1, 4),
        "classes": [id_ for _, id_, _ in rows],
        "scores": [score for _, _, score in rows],
    }


def rehearse(images, **options):
    options = {"several_boxes": "best"} | options
    oracle = build.build_oracle("image_label", label_map=make_label_map(["cat", "dog"]), **options)
    return box_worth.measure(images, rehearsal.rehearse(oracle, images, 0.05))


def test_shares_and_misses_of_what_the_label_of_the_image_would_have_confirmed():
    second = [0, 150, 100, 250]
    images = collect(
        (gt(OBJECT, second), found((CLOSE, 1, 0.95), (second, 1, 0.6))),  # the best alone is adopted: one object missed
        (gt(OBJECT), found((HALF, 1, 0.92))),
        (gt(OBJECT), found((OFF, 1, 0.55))),
        (gt(OBJECT), found((EXACT, 2, 0.9), (EXACT, 1, 0.8))),  # the best one has another class: refused
        (gt(OBJECT), found((EXACT, 1, 0.4))),  # below the score of adoption
        (gt(OBJECT, classes=[2]), found((EXACT, 2, 0.9))),
        (gt(), found((EXACT, 1, 0.9))),  # known to show nothing: adopted without a box
    )
    cat, dog = rehearse(images)
    assert (cat.name, cat.boxes, cat.right, cat.close) == ("cat", 3, 2, 1)
    assert (cat.objects, cat.missed) == (4, 2)
    assert cat.by_score[9] == (2, 2, 1) and cat.by_score[5] == (1, 0, 0)
    assert sum(boxes for boxes, _, _ in cat.by_score) == 3
    assert (dog.boxes, dog.right, dog.close, dog.objects, dog.missed) == (1, 1, 1, 1, 0)
    cat, _ = rehearse(images, several_boxes="all")
    assert (cat.boxes, cat.right, cat.close, cat.objects, cat.missed) == (4, 3, 2, 4, 1)


def test_difficult_objects_are_neither_right_nor_missed():
    images = collect(
        (gt(OBJECT, difficult=[True]), found((EXACT, 1, 0.9))),
        (gt(OBJECT, [0, 150, 100, 250], difficult=[False, True]), found((EXACT, 1, 0.9))),
    )
    cat, _ = rehearse(images)
    assert (cat.boxes, cat.right, cat.objects, cat.missed) == (1, 1, 1, 0)


def test_a_second_box_on_an_object_is_wrong():
    images = collect((gt(OBJECT), found((EXACT, 1, 0.9), (HALF, 1, 0.8))))
    cat, _ = rehearse(images, several_boxes="all", max_overlap=1.0)
    assert (cat.boxes, cat.right, cat.close) == (2, 1, 1)


def test_without_a_rule_of_the_oracle_the_lowest_score_of_each_class_decides_in_all_images():
    images = collect(
        (gt(OBJECT), found((EXACT, 1, 0.9), (OFF, 1, 0.5), ([0, 150, 50, 200], 2, 0.9))),
        (gt(), found((EXACT, 1, 0.7))),  # nobody says that there is nothing
        (gt(OBJECT), found((EXACT, 1, 0.65))),
    )
    cat, dog = box_worth.measure(images, rehearsal.propose(images, {"cat": 0.7}))
    assert (cat.boxes, cat.right, cat.objects, cat.missed) == (2, 1, 1, 0)
    assert (dog.boxes, dog.objects) == (0, 0)


def test_empty_sets():
    images = collect((gt(), NOTHING))
    for worths in (rehearse(images), box_worth.measure(images, rehearsal.propose(images, {}))):
        assert [(each.boxes, each.right, each.objects) for each in worths] == [(0, 0, 0), (0, 0, 0)]


def test_a_score_on_the_edge_of_a_bin_and_of_one():
    images = collect((gt(OBJECT), found((EXACT, 1, 1.0))))
    cat, _ = rehearse(images)
    assert cat.by_score[9] == (1, 1, 1) and cat.boxes == pytest.approx(1)
