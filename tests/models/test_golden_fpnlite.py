"""SSD MobileNet V2 FPNLite against numbers that the OD API computed; see tests/golden/README.md."""

import numpy as np
import pytest

from tests.golden import formula
from tests.models import parity

NAME = "ssd_mobilenet_v2_fpnlite_320x320_coco17"
NOISE = {  # of the raw predictions, when Gaussian noise of 1e-6 is added to the input
    "box_encodings": 3.7e-06,
    "class_predictions_with_background": 4.8e-06,
    "feature_maps[0]": 2.4e-05,
    "feature_maps[1]": 2.4e-05,
    "feature_maps[2]": 2.6e-06,
    "feature_maps[3]": 3.4e-06,
    "feature_maps[4]": 2.5e-06,
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
    losses = detector.losses(predictions, parity.make_groundtruth([0], 90))
    parity.check_losses(golden, "img0/loss_eval/", losses)


def test_regularization_loss(detector):
    terms = [float(term) for term in detector.regularization_losses()]
    assert len(terms) == 63
    np.testing.assert_allclose(sum(terms), 0.7690836600304465, rtol=1e-5)
