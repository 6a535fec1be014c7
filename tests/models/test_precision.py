"""Layers of lower precision: the same network, close numbers, and float32 wherever it counts."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.models import parity, variants
from tests.models.images import BOXES, make_groundtruth, make_images
from tests.models.test_learning import first_of_each_network
from tfodhelper.fields import Predictions
from tfodhelper.models import layers, precision

NAMES = ["plain", "FPN", "EfficientDet", "Faster R-CNN", "Faster R-CNN, pyramid", "R-FCN"]
TOLERANCE = {"bfloat16": 0.03, "float16": 0.01}  # of losses of an untrained network; float16 has three more bits


def step(name, kind, replace_proposals=None):
    """Raw predictions, losses, gradients and detections of a detector; see `first_proposals`."""
    detector = variants.build_variant(name)
    precision.lower(detector, kind)
    if replace_proposals is not None:
        propose = detector.proposal_network.propose
        detector.proposal_network.propose = lambda *inputs: replace_proposals(propose(*inputs))
    if hasattr(detector, "sample_order"):
        detector.sample_order = parity.lowest_first
    if hasattr(getattr(detector, "backbone", None), "drop_connect_rate"):
        detector.backbone.drop_connect_rate = 0.0
    inputs, shapes = detector.preprocess(make_images())
    groundtruth = make_groundtruth(BOXES)
    with tf.GradientTape() as tape:
        predictions = detector.predict_raw(inputs, shapes, training=True, groundtruth=groundtruth)
        losses = detector.losses(predictions, groundtruth, training=True)
        total = tf.add_n(list(losses.values()))
    gradients = tape.gradient(total, detector.trainable_variables)
    return detector, predictions, losses, gradients, detector.postprocess(predictions, shapes)


def first_proposals():
    """A function that returns the proposals that it was first given, whatever it is given later."""
    given = []

    def replace(proposals):
        given.append(proposals)
        return given[0]

    return replace


def check(name, kind, tolerance, replace_proposals=None):
    _, _, exact, _, _ = step(name, "float32", replace_proposals)
    detector, predictions, losses, gradients, detections = step(name, kind, replace_proposals)
    convolutions = [layer for layer in detector.submodules if isinstance(layer, layers.Convolution)]
    assert {layer.arithmetic.name for layer in convolutions} == {kind}
    assert {variable.dtype.name for variable in detector.variables} == {"float32"}
    assert {gradient.dtype.name for gradient in gradients if gradient is not None} == {"float32"}
    kept = [key for key in predictions if key not in (Predictions.FEATURE_MAPS, Predictions.RPN_FEATURES)]
    kept = [key for key in kept if key != Predictions.CLASSIFIER_FEATURES and predictions[key].dtype.is_floating]
    for value in [*(predictions[key] for key in kept), *losses.values(), *detections.values()]:
        assert not value.dtype.is_floating or value.dtype == tf.float32
    assert all(features.dtype.name == kind for features in predictions[Predictions.FEATURE_MAPS])
    total, other = (float(tf.add_n(list(each.values()))) for each in (exact, losses))
    assert other == pytest.approx(total, rel=tolerance) and other != total


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", NAMES)
def test_losses_are_close_and_float32(name, kind):
    check(name, kind, TOLERANCE[kind])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(first_of_each_network()) - set(NAMES)))
def test_every_network_computes_in_a_lower_precision(name):
    # With other last bits an untrained NAS proposes other boxes, on some processors with those of float16 too; with
    # the bits of bfloat16, SpaghettiNet's loss is 7 % off: see docs/training.md.
    replace_proposals = first_proposals() if name == "Faster R-CNN, NAS" else None
    check(name, "float16" if name == "SpaghettiNet" else "bfloat16", TOLERANCE["bfloat16"], replace_proposals)


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_gradients_are_right_on_maps_smaller_than_the_kernel(kind):
    """The last maps of a single-shot detector have one pixel."""
    gradients = []
    for arithmetic in (tf.float32, tf.as_dtype(kind)):
        tf.random.set_seed(1)
        convolution = layers.Convolution(64, 64, 3, initializer=tf_keras.initializers.RandomNormal(seed=2))
        convolution.arithmetic, convolution._autocast = arithmetic, False
        features = tf.random.stateless_normal([4, 1, 1, 64], [1, 2])
        with tf.GradientTape() as tape:
            outputs = convolution(tf.cast(features, arithmetic), strides=2)
            total = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 2)
        assert outputs.dtype == arithmetic
        gradients.append(tape.gradient(total, convolution.kernel).numpy())
    np.testing.assert_allclose(gradients[1], gradients[0], atol=0.03 * np.abs(gradients[0]).max())


def test_loss_scale_by_hand():
    scale = precision.LossScale()
    scale.factor.assign(32.0)
    gradient, nothing, fine = scale.unscale([tf.constant([64.0, -16.0]), None, tf.constant(32.0)])
    np.testing.assert_array_equal(gradient, [2.0, -0.5])
    assert nothing is None and float(fine) == 1.0 and int(scale.num_finite) == 1
    gradient, fine = scale.unscale([tf.constant([np.inf, 1.0]), tf.constant(8.0)])
    np.testing.assert_array_equal(gradient, [0.0, 0.0])
    assert float(fine) == 0.0 and float(scale.factor) == 4.0 and int(scale.num_finite) == 0
    scale.num_finite.assign(1999)
    scale.unscale([tf.constant(1.0)])
    assert float(scale.factor) == 8.0 and int(scale.num_finite) == 0
