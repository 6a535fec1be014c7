"""Padded batches taken apart."""

import numpy as np
import pytest

from tfodhelper import mask_geometry
from tfodhelper.fields import Detections, Groundtruth, Inputs, Predictions
from tfodhelper.metrics import batch as batches
from tfodhelper.records import mask_png


def test_boxes_come_back_to_the_stored_image():
    # An image of 200 x 400, resized to 100 x 200 and padded to 300 x 300 below and at the right; the object covers
    # rows 20..40 and columns 50..150 of the resized image: 40..80 and 100..300 of the stored one.
    batch = {
        Inputs.SOURCE_ID: np.array([b"17", b"18"]),
        Inputs.TRUE_IMAGE_SHAPE: np.array([[100, 200, 3], [300, 300, 3]]),
        Inputs.ORIGINAL_IMAGE_SHAPE: np.array([[200, 400], [10, 20]]),
        Groundtruth.BOXES: np.array([[[20, 50, 40, 150], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]]) / 300.0,
        Groundtruth.CLASSES: np.array([[2, -1], [-1, -1]]),
        Groundtruth.DIFFICULT: np.array([[True, False], [False, False]]),
        Groundtruth.NUM_BOXES: np.array([1, 0]),
        Detections.BOXES: np.array([[[0.2, 0.25, 0.4, 0.75], [0, 0, 0, 0]], [[0, 0, 1, 1], [0, 0, 0.5, 0.5]]]),
        Detections.SCORES: np.array([[0.9, 0.0], [0.8, 0.7]]),
        Detections.CLASSES: np.array([[2.0, 0.0], [0.0, 1.0]]),
        Detections.NUM: np.array([1.0, 2.0]),
        Predictions.PROPOSALS: np.array([[[20, 50, 40, 150]] * 2, [[0, 0, 300, 300], [0, 0, 150, 150]]]) / 300.0,
        Predictions.NUM_PROPOSALS: np.array([1, 2]),
    }
    (first_id, first_gt, first), (second_id, second_gt, second) = batches.unbatch(batch, (300, 300))
    assert (first_id, second_id) == ("17", "18")
    assert first_gt["boxes"] == pytest.approx(np.array([[40, 100, 80, 300]]))
    assert first["boxes"] == pytest.approx(np.array([[40, 100, 80, 300]]))
    assert first_gt["classes"].tolist() == first["classes"].tolist() == [3]
    assert first_gt["difficult"].tolist() == [True]
    assert second_gt["boxes"].shape == (0, 4)
    assert second["boxes"].tolist() == [[0, 0, 10, 20], [0, 0, 5, 10]]
    assert second["classes"].tolist() == [1, 2]
    assert "masks" not in first and "masks" not in first_gt
    assert first["proposals"] == pytest.approx(np.array([[40, 100, 80, 300]]))
    assert second["proposals"].tolist() == [[0, 0, 10, 20], [0, 0, 5, 10]]


def test_masks_come_in_the_frame_of_the_stored_image():
    batch = {
        Inputs.SOURCE_ID: np.array([b"17"]),
        Inputs.TRUE_IMAGE_SHAPE: np.array([[100, 200, 3]]),
        Inputs.ORIGINAL_IMAGE_SHAPE: np.array([[20, 40]]),
        Inputs.STORED_MASKS: np.array([[mask_png.encode(np.ones([20, 40])), b"", b""]], object),
        Groundtruth.BOXES: np.zeros([1, 3, 4]),
        Groundtruth.CLASSES: np.array([[0, 1, -1]]),
        Groundtruth.NUM_BOXES: np.array([2]),
        Detections.BOXES: np.array([[[0.0, 0.5, 1.0, 1.0], [0, 0, 0, 0]]]),
        Detections.SCORES: np.array([[0.9, 0.0]]),
        Detections.CLASSES: np.array([[1.0, 0.0]]),
        Detections.NUM: np.array([1.0]),
        Detections.MASKS: np.ones([1, 2, 15, 15], np.float32),
    }
    ((_, gt, detections),) = batches.unbatch(batch, (200, 200))
    assert mask_geometry.areas(gt["masks"][:1]).tolist() == [800] and gt["masks"][1] is None
    (code,) = detections["masks"]
    expected = np.zeros([20, 40], np.uint8)
    expected[:, 20:] = 1
    np.testing.assert_array_equal(mask_geometry.decode(code), expected)
