"""Faster R-CNN ResNet-50 against numbers that the OD API computed; see tests/golden/README.md."""

import numpy as np
import pytest
import tensorflow as tf

from tests.golden import formula
from tests.models import parity

NAME = "faster_rcnn_resnet50_v1_256x256_coco17"
NOISE = {  # of the raw predictions, when Gaussian noise of 1e-6 is added to the input
    "class_predictions_with_background": 2.3e-05,
    "feature_maps[0]": 2.4e-05,
    "proposal_boxes": 2.7e-04,
    "refined_box_encodings": 4.3e-06,
    "rpn_box_encodings": 1.5e-05,
    "rpn_objectness_predictions_with_background": 1.4e-05,
}


@pytest.fixture(scope="module")
def golden():
    return parity.read_golden(NAME, NOISE)


@pytest.fixture(scope="module")
def detector():
    """A detector for training; without training its batch norm uses the moving statistics."""
    return parity.build_filled(NAME, is_training=True)


def test_has_the_published_variables(golden, detector):
    assert sorted(detector.checkpoint_keys()) == list(golden.arrays["keys"])


def test_image_and_losses_of_evaluation(golden, detector):
    image = formula.image(*formula.IMAGES["img0"])
    predictions = parity.check_image(golden, "img0", detector, image)
    detector.sample_order = parity.lowest_first
    parity.check_losses(golden, "img0/loss_eval/", detector.losses(predictions, parity.make_groundtruth([0], 90)))


def test_losses_of_training(golden, detector):
    """The losses before a step; how the samplers draw is fixed. Batch norm makes them sensitive to the last bits."""
    images = [formula.image(*arguments) for arguments in formula.TRAIN_IMAGES]
    inputs, shapes = (tf.concat(parts, axis=0) for parts in zip(*(detector.preprocess(i[np.newaxis]) for i in images)))
    groundtruth = parity.make_groundtruth([0, 1], 90)
    detector.sample_order = parity.highest_first
    predictions = detector.predict_raw(inputs, shapes, training=True, groundtruth=groundtruth)
    losses = detector.losses(predictions, groundtruth, training=True)
    names = golden.names_under("train/loss/")
    assert set(names) == set(losses)
    for name in names:
        np.testing.assert_allclose(float(losses[name]), golden.arrays[f"train/loss/{name}"], rtol=2e-2, err_msg=name)
