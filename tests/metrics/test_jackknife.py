"""The standard error of a difference, by hand, and parts of a set."""

import dataclasses

import numpy as np
import pytest

from tests.metrics import sets
from tfodhelper.metrics import collector, jackknife

RECALL, PRECISION = "DetectionBoxes_Recall/AR@100", "DetectionBoxes_Precision/mAP"
BOX = [10.0, 20.0, 60.0, 90.0]


def read(overlapping):
    return overlapping.images.read(0, overlapping.images.num_images)


def found_in(*is_found):
    """Images with one cat each, which was found exactly or not at all."""
    images = [
        (
            {"boxes": np.array([BOX]), "classes": [1]},
            {"boxes": np.array([BOX] * found), "classes": [1] * found, "scores": [0.9] * found},
        )
        for found in is_found
    ]
    return read(sets.collect(*images))


def test_the_error_of_a_mean_is_its_own():
    """Recall is the mean over the images here, and the jackknife of a mean is the deviation over the root of n."""
    first, second = (1, 1, 1, 0, 1, 0), (1, 0, 0, 1, 0, 0)
    error = jackknife.standard_error(found_in(*first), found_in(*second), RECALL)
    differences = np.subtract(first, second)
    assert error == pytest.approx(differences.std(ddof=1) / np.sqrt(6))


def test_many_images_are_in_twenty_groups():
    first, second = np.random.default_rng(1).integers(0, 2, [2, 100])
    error = jackknife.standard_error(found_in(*first), found_in(*second), RECALL)
    groups = (first - second).reshape(5, 20).mean(axis=0)  # image i is in group i modulo 20
    assert error == pytest.approx(groups.std(ddof=1) / np.sqrt(20))


def test_what_both_find_hard_does_not_count():
    images = read(sets.collect(*sets.random_images(3, num_images=9)))
    assert jackknife.standard_error(images, images, PRECISION) == 0.0


@pytest.mark.parametrize("rows", [[0, 2, 5], [3], [], list(range(6))])
def test_a_part_is_the_set_of_its_images(rows):
    images = sets.random_images(4)
    part = jackknife.take(read(sets.collect(*images)), np.array(rows, int))
    collected = collector.Collector(sets.CATEGORIES)
    for row in rows:
        collected.add(row, *images[row], name=f"{row}.jpg", size=(200, 300))
    wanted = collected.finish()
    wanted = wanted.read(0, wanted.num_images)
    for field in dataclasses.fields(wanted):
        np.testing.assert_array_equal(getattr(part, field.name), getattr(wanted, field.name), field.name)


def test_what_cannot_be_measured():
    assert jackknife.standard_error(found_in(1), found_in(0), RECALL) is None
    nothing = ({"boxes": np.zeros([0, 4]), "classes": []}, {"boxes": np.zeros([0, 4]), "classes": [], "scores": []})
    cat = ({"boxes": np.array([BOX]), "classes": [1]}, nothing[1])
    images = read(sets.collect(cat, nothing))
    assert jackknife.standard_error(images, images, RECALL) is None  # without the first one there is no object


def test_figures_that_are_known():
    assert jackknife.has_figure(PRECISION) and jackknife.has_figure("DetectionBoxes_Precision/mAP@.50IOU")
    for tag in ("Loss/total_loss", "Precision/mAP", "DetectionMasks_Precision/mAP", PRECISION + " ByCategory/cat"):
        assert not jackknife.has_figure(tag)
