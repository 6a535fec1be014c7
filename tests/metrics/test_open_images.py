"""Figures of Open Images, computed by hand; `test_golden.py` compares them with the Object Detection API's."""

import math

import pytest

from tests.metrics.by_hand import FAR, NOTHING, A, B, found_of
from tfodhelper.metrics import open_images

CATEGORIES = {1: "cat", 2: "dog"}
CROWD = [0, 0, 50, 50]
INSIDE, ALSO_INSIDE = [1, 1, 9, 9], [30, 30, 40, 45]


def value_of(*images, class_name="cat", **options):
    metrics = open_images.OpenImagesMetrics(CATEGORIES, **options)
    for index, (gt, found) in enumerate(images):
        metrics.update(index, gt, found)
    return metrics.result()[f"OpenImagesV2_PerformanceByCategory/AP@0.5IOU/{class_name}"]


def gt_of(*boxes, classes=None, **rest):
    return {"boxes": list(boxes), "classes": classes or [1] * len(boxes), **rest}


def test_detections_inside_a_group_are_left_out():
    image = (gt_of(CROWD, FAR, group_of=[1, 0]), found_of((INSIDE, 0.9), (ALSO_INSIDE, 0.8), (FAR, 0.7)))
    assert value_of(image) == 1.0


def test_a_group_of_weight_1_is_found_once():
    # One list: the best inside (right), FAR (right), a mistake; two things to find.
    image = (gt_of(CROWD, FAR, group_of=[1, 0]), found_of((INSIDE, 0.5), (ALSO_INSIDE, 0.8), (FAR, 0.7)))
    assert value_of(image, group_weight=1.0) == 1.0
    missed = (gt_of(CROWD, FAR, group_of=[1, 0]), found_of((FAR, 0.7)))
    assert value_of(missed, group_weight=1.0) == 0.5
    assert value_of(missed) == 1.0


def test_a_group_of_another_class_swallows_nothing():
    image = (gt_of(CROWD, FAR, classes=[2, 1], group_of=[1, 0]), found_of((INSIDE, 0.9), (FAR, 0.7)))
    assert value_of(image) == 0.5


def test_only_verified_classes_are_judged():
    # The cat of the second image is wrong only if somebody looked for cats there.
    first = (gt_of(A), found_of((A, 0.5)))
    for verified, value in (([], 1.0), ([2], 1.0), ([1], 0.5)):
        second = (gt_of(B, classes=[2], verified=verified), found_of((FAR, 0.9)))
        assert value_of(first, second, only_verified=True) == value
        assert value_of(first, second) == 0.5


def test_a_class_that_has_an_object_is_judged():
    image = (gt_of(A), found_of((FAR, 0.9), (A, 0.5)))
    assert value_of(image, only_verified=True) == 0.5


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_nothing(weight):
    assert math.isnan(value_of((NOTHING, found_of((A, 0.9))), group_weight=weight))
    assert value_of((gt_of(A), NOTHING), group_weight=weight) == 0.0
    group = value_of((gt_of(A, group_of=[1]), NOTHING), group_weight=weight)
    assert group == 0.0 if weight else math.isnan(group)
