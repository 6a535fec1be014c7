"""RetinaNet (SSD ResNet-50 V1 FPN) against numbers that the OD API computed; see tests/golden/README.md."""

import numpy as np
import pytest
import tensorflow as tf

from tests.golden import formula
from tests.models import parity

NAME = "ssd_resnet50_v1_fpn_256x256_coco17"
NOISE = {  # of the raw predictions, when Gaussian noise of 1e-6 is added to the input
    "box_encodings": 7.8e-05,
    "class_predictions_with_background": 1e-04,
    "feature_maps[0]": 7.1e-05,
    "feature_maps[1]": 6e-05,
}


@pytest.fixture(scope="module")
def golden():
    return parity.read_golden(NAME, NOISE)


@pytest.fixture(scope="module")
def detector():
    return parity.build_filled(NAME, is_training=False)


def test_has_the_published_variables(golden, detector):
    assert sorted(detector.checkpoint_keys()) == list(golden.arrays["keys"])


def test_image_and_losses_of_evaluation(golden, detector):
    predictions = parity.check_image(golden, "img0", detector, formula.image(*formula.IMAGES["img0"]))
    parity.check_losses(golden, "img0/loss_eval/", detector.losses(predictions, parity.make_groundtruth([0], 90)))


def test_regularization_loss(detector):
    terms = detector.regularization_losses()
    assert len(terms) == 70
    np.testing.assert_allclose(float(tf.add_n(terms)), 8.962004221708298, rtol=1e-5)
