"""Single-shot detectors against numbers that the OD API computed; see tests/golden/README.md."""

import dataclasses

import numpy as np
import pytest

from tests.golden import formula
from tests.models import parity, training_step

SSD = "ssd_mobilenet_v1_300x300_coco"


@dataclasses.dataclass(frozen=True)
class Case:
    """What the reference numbers of a model do not contain.

    Attributes:
      images: names of the images with numbers.
      noise: how far raw predictions move when Gaussian noise of 1e-6 is added to the input.
      num_terms, regularization: number and sum of the regularization losses.
    """

    images: tuple
    noise: dict
    num_terms: int
    regularization: float


CASES = {
    SSD: Case(
        ("img0", "img1"),
        {
            "box_encodings": 1.7e-05,
            "class_predictions_with_background": 2.1e-05,
            "feature_maps[0]": 2.3e-05,
            "feature_maps[5]": 7.4e-06,
        },
        47,
        0.7142329202761175,
    ),
    "ssd_mobilenet_v2_fpnlite_320x320_coco17": Case(
        ("img0",),
        {
            "box_encodings": 3.7e-06,
            "class_predictions_with_background": 4.8e-06,
            "feature_maps[0]": 2.4e-05,
            "feature_maps[1]": 2.4e-05,
            "feature_maps[2]": 2.6e-06,
            "feature_maps[3]": 3.4e-06,
            "feature_maps[4]": 2.5e-06,
        },
        63,
        0.7690836600304465,
    ),
    "ssd_resnet50_v1_fpn_256x256_coco17": Case(
        ("img0",),
        {
            "box_encodings": 7.8e-05,
            "class_predictions_with_background": 1e-04,
            "feature_maps[0]": 7.1e-05,
            "feature_maps[1]": 6e-05,
        },
        70,
        8.962004221708298,
    ),
}


@pytest.fixture(scope="module", params=CASES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def golden(name):
    return parity.read_golden(name, CASES[name].noise)


@pytest.fixture(scope="module")
def detector(name):
    return parity.build_filled(name, is_training=False)


def test_has_the_published_variables(golden, detector):
    assert sorted(detector.checkpoint_keys()) == list(golden.arrays["keys"])


def test_images_and_losses_of_evaluation(name, golden, detector):
    for image in CASES[name].images:
        predictions = parity.check_image(golden, image, detector, formula.image(*formula.IMAGES[image]))
        if image == "img0":
            losses = detector.losses(predictions, parity.make_groundtruth([0], 90))
            parity.check_losses(golden, "img0/loss_eval/", losses)


def test_regularization_loss(name, detector):
    terms = [float(term) for term in detector.regularization_losses()]
    assert len(terms) == CASES[name].num_terms
    np.testing.assert_allclose(sum(terms), CASES[name].regularization, rtol=1e-5)


def test_training_step():
    golden = parity.read_golden(SSD, CASES[SSD].noise)
    images = [formula.image(*arguments) for arguments in formula.TRAIN_IMAGES]
    groundtruth = parity.make_groundtruth([0, 1], 90)
    step = training_step.take_step(parity.build_filled(SSD, is_training=True), images, groundtruth)
    step.check_losses(golden)
    step.check_gradients(golden, tolerance=5e-2, least=0.5)  # processors differ by up to 3e-2 of the largest norm
    step.check_statistics(golden)
