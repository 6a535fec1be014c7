"""The input of a metric for one image."""

import numpy as np
import pytest

from tfodhelper import errors
from tfodhelper.metrics import examples

BOX = [[10.0, 20.0, 30.0, 60.0]]


def test_missing_parts_mean_none_and_area_is_the_boxs():
    gt = examples.check_groundtruth(1, {"boxes": BOX, "classes": [3]})
    assert gt.area.tolist() == [20.0 * 40.0]
    assert gt.is_crowd.tolist() == [False] and gt.difficult.tolist() == [False]


def test_a_known_area_counts_and_zero_does_not():
    gt = examples.check_groundtruth(1, {"boxes": BOX * 2, "classes": [3, 3], "area": [500.0, 0.0]})
    assert gt.area.tolist() == [500.0, 800.0]


def test_empty_image():
    gt = examples.check_groundtruth(1, {"boxes": [], "classes": [], "is_crowd": [], "difficult": None})
    found = examples.check_predictions(1, {"boxes": np.zeros([0, 4]), "scores": [], "classes": []})
    assert gt.boxes.shape == found.boxes.shape == (0, 4)
    assert gt.classes.shape == found.scores.shape == (0,)


def test_arguments_stay_as_they_are():
    boxes = np.array(BOX, np.float32)
    area = np.array([0.0], np.float32)
    examples.check_groundtruth(1, {"boxes": boxes, "classes": np.array([1.0]), "area": area})
    assert boxes.tolist() == BOX and area.tolist() == [0.0]


@pytest.mark.parametrize(
    "groundtruth",
    [
        {"boxes": BOX, "classes": []},
        {"boxes": BOX, "classes": [1, 2]},
        {"boxes": [1.0, 2.0, 3.0, 4.0], "classes": [1]},
        {"boxes": BOX, "classes": [1], "difficult": [0, 1]},
    ],
)
def test_lengths_that_differ(groundtruth):
    with pytest.raises(ValueError, match="image 7"):
        examples.check_groundtruth(7, groundtruth)


@pytest.mark.parametrize(
    "detections",
    [
        {"boxes": BOX, "scores": [np.nan], "classes": [1]},
        {"boxes": [[0.0, 0.0, np.inf, 1.0]], "scores": [0.5], "classes": [1]},
    ],
)
def test_no_number_is_an_error_that_names_the_image(detections):
    with pytest.raises(errors.PredictionError, match="image cat.jpg"):
        examples.check_predictions("cat.jpg", detections)


def test_images_are_ordered_by_id_and_counted_once(capsys):
    seen = examples.SeenImages()
    assert [seen.add(key) for key in (12, "b", 3, b"a", 12, "a")] == [0, 1, 2, 3, None, None]
    assert seen.sorted_indices() == [2, 0, 3, 1]
    seen.warn_of_repeated()
    seen.warn_of_repeated()
    assert capsys.readouterr().err.count("2 images left out") == 1


def test_categories_are_rows_in_the_order_of_their_ids():
    categories = examples.Categories({5: "bird", 1: "cat", 3: "dog"})
    assert categories.names == ["cat", "dog", "bird"] and len(categories) == 3
    classes = np.array([5, 0, 1, 2, 3, 9])
    assert categories.has(classes).tolist() == [True, False, True, False, True, False]
    assert categories.row_of(classes).tolist() == [2, 3, 0, 3, 1, 3]
    assert categories.row_of(np.zeros([0], np.int64)).shape == (0,)
