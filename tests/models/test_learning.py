"""Every network learns: within 20 steps on the same two images its loss falls by a third."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.models import parity, variants
from tests.models.images import BOXES, make_groundtruth, make_images
from tfodhelper import families
from tfodhelper.families import faster_rcnn_values

pytestmark = pytest.mark.slow

NUM_STEPS = 20


def first_of_each_network():
    """The first variant with each network; both generations' names of it count as one, and so do its sizes."""
    first = {}
    for name in variants.ALL:
        message = families.architecture_of(variants.parse_variant(name))
        is_rfcn = variants.FAMILY_OF[name] == "faster_rcnn" and faster_rcnn_values.is_rfcn(message)
        first.setdefault((re.sub(r"_keras$|-b\d", "", message.feature_extractor.type), is_rfcn), name)
    return list(first.values())


@pytest.mark.parametrize("name", first_of_each_network())
def test_the_loss_falls(name, monkeypatch):
    detector = variants.build_variant(name)
    if hasattr(detector, "sample_order"):
        monkeypatch.setattr(detector, "sample_order", parity.lowest_first)
    inputs, shapes = detector.preprocess(make_images())
    groundtruth = make_groundtruth(BOXES)
    optimizer = tf_keras.optimizers.legacy.Adam(5e-3)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            predictions = detector.predict_raw(inputs, shapes, training=True, groundtruth=groundtruth)
            total = tf.add_n(list(detector.losses(predictions, groundtruth, training=True).values()))
        variables = detector.trainable_variables
        optimizer.apply_gradients(list(zip(tape.gradient(total, variables), variables)))
        return total

    losses = [float(step()) for _ in range(NUM_STEPS)]
    assert np.all(np.isfinite(losses))
    assert np.mean(losses[-3:]) < losses[0] * 2 / 3, losses
