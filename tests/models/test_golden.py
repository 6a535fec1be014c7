"""SSD MobileNet V1 against numbers that the OD API computed; see tests/golden/README.md."""

import numpy as np
import pytest
import tensorflow as tf

from tests.golden import formula
from tests.models import parity

NAME = "ssd_mobilenet_v1_300x300_coco"
NOISE = {  # of the raw predictions, when Gaussian noise of 1e-6 is added to the input
    "box_encodings": 1.7e-05,
    "class_predictions_with_background": 2.1e-05,
    "feature_maps[0]": 2.3e-05,
    "feature_maps[5]": 7.4e-06,
}


@pytest.fixture(scope="module")
def golden():
    return parity.read_golden(NAME, NOISE)


@pytest.fixture(scope="module")
def detector():
    return parity.build_filled(NAME, is_training=False)


def test_has_the_published_variables(golden, detector):
    assert sorted(detector.checkpoint_keys()) == list(golden.arrays["keys"])


@pytest.mark.parametrize("name", ["img0", "img1"])
def test_image(golden, detector, name):
    parity.check_image(golden, name, detector, formula.image(*formula.IMAGES[name]))


def test_losses_of_evaluation(golden, detector):
    inputs, shapes = detector.preprocess(formula.image(*formula.IMAGES["img0"])[np.newaxis])
    losses = detector.losses(detector.predict_raw(inputs, shapes), parity.make_groundtruth([0], 90))
    parity.check_losses(golden, "img0/loss_eval/", losses)


def test_regularization_loss(detector):
    terms = detector.regularization_losses()
    assert len(terms) == 47
    np.testing.assert_allclose(float(tf.add_n(terms)), 0.7142329202761175, rtol=1e-5)


def test_training_step(golden):
    images = [formula.image(*arguments) for arguments in formula.TRAIN_IMAGES]
    groundtruth = parity.make_groundtruth([0, 1], 90)
    step = parity.take_step(parity.build_filled(NAME, is_training=True), images, groundtruth)
    step.check_losses(golden)
    step.check_gradients(golden, tolerance=5e-2, least=0.5)  # processors differ by up to 3e-2 of the largest norm
    step.check_statistics(golden)
