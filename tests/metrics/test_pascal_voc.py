"""PASCAL VOC figures, computed by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.metrics.by_hand import FAR, NOTHING, A, B, C, found_of
from tfodhelper.metrics import pascal_voc

CATEGORIES = {1: "cat", 2: "dog"}
MEAN = "PascalBoxes_Precision/mAP@0.5IOU"
CAT = "PascalBoxes_PerformanceByCategory/AP@0.5IOU/cat"
DOG = "PascalBoxes_PerformanceByCategory/AP@0.5IOU/dog"


def groundtruth(*boxes, classes=None, difficult=None):
    return {"boxes": list(boxes), "classes": classes or [1] * len(boxes), "difficult": difficult}


def result_of(*images, **options):
    metrics = pascal_voc.PascalVocMetrics(CATEGORIES, **options)
    for index, (gt, detections) in enumerate(images):
        metrics.update(index, gt, detections)
    return metrics.result()


def test_average_precision_by_hand():
    # Hits at ranks 1, 3 and 4 of 4 objects: precision 1, 1/2, 2/3, 3/4; the best of the rest: 1, 3/4, 3/4, 3/4.
    precision, recall = pascal_voc.precision_recall(np.ones(3), np.array([0, 1, 1]), 4)
    assert precision.tolist() == [1, 2 / 3, 3 / 4]
    assert recall.tolist() == [1 / 4, 2 / 4, 3 / 4]
    assert pascal_voc.average_precision(precision, recall) == pytest.approx(1 / 4 * 1 + 2 / 4 * 3 / 4)


def test_of_equal_scores_the_last_image_comes_first_and_in_an_image_the_first_detection():
    assert result_of((groundtruth(A), found_of((A, 0.5), (FAR, 0.5))))[CAT] == 1.0
    assert result_of((groundtruth(A), found_of((FAR, 0.5), (A, 0.5))))[CAT] == 0.5
    first, second = (groundtruth(A), found_of((A, 0.5))), (groundtruth(), found_of((FAR, 0.5)))
    assert result_of(first, second)[CAT] == 0.5 and result_of(second, first)[CAT] == 1.0


def test_all_found():
    figures = result_of((groundtruth(A, B), found_of((A, 0.9), (B, 0.8))))
    assert figures[MEAN] == 1.0 and figures[CAT] == 1.0
    assert math.isnan(figures[DOG])
    assert list(figures) == [MEAN, CAT, DOG]


def test_half_overlap_is_enough():
    # 10 x 5 of 10 x 10: 1/2 exactly; one row less is not.
    assert result_of((groundtruth(A), found_of(([0, 0, 5, 10], 0.9))))[CAT] == 1.0
    assert result_of((groundtruth(A), found_of(([0, 0, 4.99, 10], 0.9))))[CAT] == 0.0


def test_a_second_detection_of_an_object_is_wrong():
    # Ranks: hit, double, hit of 2 objects: precision 1, 1/2, 2/3.
    figures = result_of((groundtruth(A, B), found_of((A, 0.9), (A, 0.8), (B, 0.7))))
    assert figures[CAT] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_a_detection_does_not_take_its_second_best_object():
    # Both detections overlap the first object most; the second object (IoU 0.6 with both) stays unfound.
    first, second = [0, 0, 10, 10], [0, 0, 10, 6]
    figures = result_of((groundtruth(first, second), found_of((first, 0.9), ([0, 0, 10, 9.5], 0.8))))
    assert figures[CAT] == pytest.approx(0.5)


def test_difficult_objects_neither_count_nor_harm():
    # The difficult box is found twice; both detections vanish.
    figures = result_of(
        (groundtruth(A, B, difficult=[True, False]), found_of((A, 0.9), (A, 0.85), (B, 0.8))),
    )
    assert figures[CAT] == 1.0


def test_only_difficult_objects_are_no_ground_truth():
    figures = result_of((groundtruth(A, difficult=[True]), found_of((FAR, 0.9))))
    assert math.isnan(figures[CAT]) and math.isnan(figures[MEAN])


def test_classes_are_apart():
    # The dog's box in the cat's place finds nothing and is the dog's mistake.
    figures = result_of((groundtruth(A, B, classes=[1, 2]), found_of((A, 0.9), (A, 0.95), (B, 0.8), classes=[1, 2, 2])))
    assert (figures[CAT], figures[DOG], figures[MEAN]) == (1.0, 0.5, 0.75)


def test_images_are_apart_and_empty_ones_count():
    # Image 1 has no object: its detection is a mistake of the first rank.
    figures = result_of(
        (groundtruth(A), found_of((A, 0.5))), (groundtruth(), found_of((A, 0.9))), (groundtruth(), NOTHING)
    )
    assert figures[CAT] == 0.5


@pytest.mark.parametrize("weighted", [False, True])
def test_no_images_no_detections_no_ground_truth(weighted):
    tag = "X_Precision/mAP@0.5IOU"
    options = {"prefix": "X", "weighted": weighted}
    assert math.isnan(result_of(**options)[tag])
    assert math.isnan(result_of((NOTHING, NOTHING), **options)[tag])
    assert math.isnan(result_of((NOTHING, found_of((A, 0.9))), **options)[tag])
    assert result_of((groundtruth(A), NOTHING), **options)[tag] == 0.0


def test_weighted_mean_is_one_list_of_all_classes():
    # Cats: A found (0.9), a mistake (0.7). Dogs: B found (0.8). One list: hit, hit, miss of 3 objects.
    image = (
        groundtruth(A, C, B, classes=[1, 1, 2]),
        found_of((A, 0.9), (FAR, 0.7), (B, 0.8), classes=[1, 1, 2]),
    )
    figures = result_of(image, prefix="WeightedPascalBoxes", weighted=True)
    assert figures["WeightedPascalBoxes_Precision/mAP@0.5IOU"] == pytest.approx(2 / 3)
    assert figures["WeightedPascalBoxes_PerformanceByCategory/AP@0.5IOU/cat"] == pytest.approx(0.5)


def test_recall_bounds():
    # Points (1, 1/4), (1, 2/4), (1, 3/4), (1, 1); within 0.3..0.8 two remain, and the area reaches to 3/4.
    boxes = [A, B, C, FAR]
    image = (groundtruth(*boxes), found_of(*[(box, 0.9 - 0.1 * i) for i, box in enumerate(boxes)]))
    figures = result_of(image, prefix="PrecisionAtRecallBoxes", recall_bounds=(0.3, 0.8))
    assert figures["PrecisionAtRecallBoxes_Precision/mAP@0.5IOU@[0.3,0.8]Recall"] == pytest.approx(0.75)
    # The bounds themselves belong to the range.
    figures = result_of(image, prefix="P", recall_bounds=(0.25, 0.3))
    assert figures["P_Precision/mAP@0.5IOU@[0.2,0.3]Recall"] == pytest.approx(0.25)


def test_boxes_without_area_and_unknown_classes_are_left_out():
    figures = result_of(
        (groundtruth(A, B, classes=[1, 9]), found_of(([5, 5, 5, 9], 0.99), (A, 0.9), (B, 0.95), classes=[1, 1, 9]))
    )
    assert figures[MEAN] == 1.0


def test_reset_forgets():
    metrics = pascal_voc.PascalVocMetrics(CATEGORIES)
    metrics.update(1, groundtruth(A), found_of((FAR, 0.9)))
    metrics.reset()
    metrics.update(1, groundtruth(A), found_of((A, 0.9)))
    assert metrics.result()[MEAN] == 1.0


@given(
    hits=hnp.arrays(bool, st.integers(0, 30)),
    missed=st.integers(0, 5),
)
def test_average_precision_lies_between_zero_and_the_recall_reached(hits, missed):
    num_gt = int(hits.sum()) + missed
    if num_gt == 0:
        return
    misses = np.cumsum(~hits)[hits]
    precision, recall = pascal_voc.precision_recall(np.ones(len(misses)), misses, num_gt)
    value = pascal_voc.average_precision(precision, recall)
    assert 0.0 <= value <= hits.sum() / num_gt + 1e-12
    assert (np.diff(recall) >= 0).all()


def test_eleven_points():
    # Of 4 objects, found at ranks 1, 3 and 4: the best precision is 1 up to recall 0.25 (levels 0, 0.1, 0.2) and 3/4 up
    # to 0.75 (0.3 to 0.7); nothing beyond.
    image = (groundtruth(A, B, C, FAR), found_of((A, 0.9), (A, 0.8), (B, 0.7), (C, 0.6)))
    figures = result_of(image, prefix="Pascal2007Boxes", eleven_points=True)
    assert figures["Pascal2007Boxes_Precision/mAP@0.5IOU"] == pytest.approx((3 * 1 + 5 * 3 / 4) / 11)


@pytest.mark.parametrize("threshold, value", [(0.05, 1.0), (0.3, 1.0), (0.31, 0.0)])
def test_at_any_overlap(threshold, value):
    figures = result_of((groundtruth(A), found_of(([0, 0, 3, 10], 0.9))), iou_threshold=threshold)
    assert figures[f"PascalBoxes_Precision/mAP@{threshold}IOU"] == value
    if threshold == 0.05:  # as low as is asked for
        thin = result_of((groundtruth(A), found_of(([0, 0, 0.6, 10], 0.9))), iou_threshold=threshold)
        assert thin["PascalBoxes_Precision/mAP@0.05IOU"] == 1.0
