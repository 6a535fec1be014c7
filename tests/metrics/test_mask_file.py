"""Masks of the worst images: written, read, drawn; what does not fit is refused."""

import json

import numpy as np
import pytest

from tests.metrics.test_build import config
from tfodhelper import errors, mask_geometry
from tfodhelper.metrics import build, detection_file, mask_file
from tfodhelper.reporting import worst_pictures

HEIGHT, WIDTH = 40, 60


def mask_of(ymin, xmin, ymax, xmax):
    array = np.zeros([HEIGHT, WIDTH], np.uint8)
    array[ymin:ymax, xmin:xmax] = 1
    return array


TRUE, WRONG = mask_of(5, 5, 20, 30), mask_of(22, 35, 38, 55)


def codes_of(*arrays):
    codes = np.empty([len(arrays)], object)
    codes[:] = [None if array is None else mask_geometry.encode(array) for array in arrays]
    return codes


@pytest.fixture
def folder(tmp_path):
    """An evaluation of one image with errors: an object found, one without a mask missed, a detection of nothing."""
    group = build.build_metrics(config(), {1: "cat"}, always=("coco_detection_metrics", "coco_mask_metrics"))
    boxes = {"boxes": [[5, 5, 20, 30], [30, 2, 39, 9]], "classes": [1, 1], "area": [375, 63]}
    found = {"boxes": [[5, 5, 20, 30], [22, 35, 38, 55]], "classes": [1, 1], "scores": [0.8, 0.9]}
    nothing = {"boxes": [], "classes": [], "masks": codes_of()}
    group.update("a", nothing, nothing | {"scores": []}, "a.jpg", (HEIGHT, WIDTH))
    truth, detections = boxes | {"masks": codes_of(TRUE, None)}, found | {"masks": codes_of(TRUE, WRONG)}
    group.update("b", truth, detections, "b.jpg", (HEIGHT, WIDTH))
    detection_file.write_evaluation(tmp_path, group.overlapping(), group.result(), masks_of=group.masks_of)
    return tmp_path


def read(folder):
    analysis, overlapping = detection_file.read_evaluation(folder)
    return mask_file.read_masks(folder, analysis, overlapping.images), overlapping


def test_the_masks_of_images_with_errors_are_drawn_as_they_were_measured(folder):
    masks, overlapping = read(folder)
    assert list(masks) == [1]  # image a has no errors
    marks, num_found = worst_pictures._marks_of(overlapping.images, overlapping.matches, 1, 0.5, masks[1])
    drawn = [mark.mask for mark in marks]
    assert num_found == 1 and [mark.text for mark in marks] == ["cat 90%", "cat", ""]
    np.testing.assert_array_equal(drawn[0], WRONG)
    assert drawn[1] is None
    np.testing.assert_array_equal(drawn[2], TRUE)


def test_a_former_file_does_not_stay(folder):
    group = build.build_metrics(config(), {1: "cat"})
    nothing = {"boxes": [], "classes": [], "scores": []}
    group.update("a", nothing, nothing)
    assert group.masks_of is None and (folder / mask_file.MASKS).exists()
    detection_file.write_evaluation(folder, group.overlapping(), group.result())
    assert not (folder / mask_file.MASKS).exists() and read(folder)[0] == {}


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda value: value.update(detections_sha256="0"), "other detections"),
        (lambda value: value["images"].update({"2": value["images"]["1"]}), "an image '2', of 2"),
        (lambda value: value["images"].update({"-1": value["images"]["1"]}), "an image '-1', of 2"),
        (lambda value: value["images"]["1"]["objects"].pop(), "1 masks of 2 objects"),
        (
            lambda value: value["images"]["1"]["detections"][0].update(size=[40, 61]),
            "a mask that is not 40 x 60 pixels",
        ),
        (lambda value: value["images"]["1"]["detections"][0].update(counts=3), "counts"),
    ],
)
def test_masks_that_do_not_fit_are_refused(folder, change, words):
    value = json.loads((folder / mask_file.MASKS).read_text())
    change(value)
    (folder / mask_file.MASKS).write_text(json.dumps(value))
    with pytest.raises(errors.StorageError) as caught:
        read(folder)
    assert words in str(caught.value)


@pytest.mark.parametrize("counts", ["", "Q", "1o", "\u00e9", "0" * 50, "`" * 20])
def test_damaged_codes_are_refused(counts):
    with pytest.raises(errors.StorageError, match="a mask is damaged"):
        worst_pictures._decode([{"size": [HEIGHT, WIDTH], "counts": counts}], 0)
