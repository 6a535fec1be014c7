"""Mask R-CNN ResNet-50 against numbers that the OD API computed; see tests/golden/README.md."""

import pytest
import tensorflow as tf

from tests.golden import formula
from tests.models import parity
from tfodhelper.fields import Groundtruth

NAME = "mask_rcnn_resnet50_v1_256x256"
NOISE = {  # of the raw predictions, when Gaussian noise of 1e-6 is added to the input
    "class_predictions_with_background": 2.0e-05,
    "detection_masks": 7.9e-06,
    "mask_predictions": 5.3e-05,
    "proposal_boxes": 2.1e-04,
    "refined_box_encodings": 4.9e-06,
}
SIDE = 256  # of the padded model input


@pytest.mark.slow
def test_variables_image_and_losses_of_evaluation():
    golden, detector = parity.read_golden(NAME, NOISE), parity.build_filled(NAME, is_training=False)
    assert sorted(detector.checkpoint_keys()) == list(golden.arrays["keys"])
    predictions = parity.check_image(golden, "img0", detector, formula.image(*formula.IMAGES["img0"]))
    detector.sample_order = parity.lowest_first
    groundtruth = parity.make_groundtruth([0], 90)
    groundtruth[Groundtruth.MASKS] = tf.constant(formula.masks(0, SIDE, SIDE)[tf.newaxis])
    parity.check_losses(golden, "img0/loss_eval/", detector.losses(predictions, groundtruth))
    assert set(golden.names_under("img0/")) <= {name[5:] for name in golden.compared}
