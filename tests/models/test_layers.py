"""Batch norm's moving statistics and the gradient of biases, by hand."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.models import variants
from tfodhelper.models import layers, normalization

VALUES = tf.constant([[1.0, 2.0], [3.0, 6.0]])  # means 2 and 4, variances 1 and 4


def make_norm(frozen=False):
    return normalization.BatchNorm(2, normalization.NormHyperparams(momentum=0.75), frozen)


def test_moving_statistics_go_a_part_of_the_way():
    norm = make_norm()
    norm(VALUES, training=True)
    np.testing.assert_allclose(norm.moving_mean, [0.5, 1.0], rtol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, [1.0, 1.75], rtol=1e-6)


@pytest.mark.parametrize(
    ("num_updates", "momentum"), [(0, 0.1), (2, 0.25), (8, 0.5), (26, 0.75), (27, 0.75), (10**6, 0.75)]
)
def test_warm_up_lets_them_follow_closely_at_first(num_updates, momentum):
    norm, count = make_norm(), tf.Variable(num_updates, dtype=tf.int64)
    norm.warm_up(count)
    assert float(norm.momentum) == pytest.approx(momentum)
    tf.function(lambda: norm(VALUES, training=True))()
    np.testing.assert_allclose(norm.moving_mean, [(1 - momentum) * 2, (1 - momentum) * 4], rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, [1.0, momentum + (1 - momentum) * 4], rtol=1e-5)


def test_warm_up_follows_its_counter_in_one_trace():
    norm, count = make_norm(), tf.Variable(0, dtype=tf.int64)
    norm.warm_up(count)
    step = tf.function(lambda: norm(VALUES, training=True))
    wanted = 0.0
    for number in range(4):
        step()
        count.assign_add(1)
        momentum = (1 + number) / (10 + number)
        wanted = momentum * wanted + (1 - momentum) * 2
        assert float(norm.moving_mean[0]) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", ["plain", "Faster R-CNN", "Faster R-CNN, pyramid"])
def test_warm_up_reaches_every_norm_and_adds_no_weight(name):
    detector = variants.build_variant(name)
    before, count = len(detector.variables), tf.Variable(0, dtype=tf.int64)
    statistics = len(detector.non_trainable_variables)
    assert normalization.warm_up_statistics(detector, count) == statistics // 2
    assert len(detector.variables) == before == len(detector.checkpoint_keys())


def test_frozen_statistics_are_left_alone():
    detector = variants.build_variant("Faster R-CNN, frozen, padded")
    assert normalization.warm_up_statistics(detector, tf.Variable(0, dtype=tf.int64)) == 0


@pytest.mark.parametrize("shape", [(2, 38, 38, 32), (1, 1, 1, 3)])
def test_the_gradient_of_a_bias_is_the_sum_of_its_channel(shape):
    random = np.random.RandomState(2)
    maps, bias = (tf.constant(random.randn(*of).astype(np.float32)) for of in (shape, shape[3:]))
    upstream = random.randn(*shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch([maps, bias])
        total = tf.reduce_sum(layers.add_to_channels(maps, bias) * upstream)
    of_maps, of_bias = tape.gradient(total, [maps, bias])
    np.testing.assert_array_equal(of_maps, upstream)
    np.testing.assert_allclose(of_bias, upstream.astype(np.float64).sum((0, 1, 2)), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("out_channels", [4, None])
def test_a_scale_within_the_kernel_has_the_gradients_of_one_after_the_convolution(out_channels):
    layer = layers.Convolution(3, out_channels, 3, initializer="glorot_uniform", multiplier=2)
    random = np.random.RandomState(3)
    inputs, scale, upstream = (
        tf.constant(random.randn(*shape).astype(np.float32))
        for shape in ((2, 5, 4, 3), (layer.out_channels,), (2, 5, 4, layer.out_channels))
    )

    def differentiate(call):
        with tf.GradientTape() as tape:
            tape.watch([inputs, scale])
            outputs = call()
            total = tf.reduce_sum(outputs * upstream)
        return [outputs, *tape.gradient(total, [inputs, scale, layer.kernel])]

    within, after = differentiate(lambda: layer(inputs, scale=scale)), differentiate(lambda: layer(inputs) * scale)
    for ours, wanted in zip(within, after, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5)


BLOCKS = {
    "plain": {},
    "strides": {"strides": 2},
    "depthwise": {"out_channels": None},
    "dilation": {"dilation": 2},
    "bias": {"use_bias": True},
    "no gamma": {"norm": normalization.NormHyperparams(scale=False)},
    "no beta": {"norm": normalization.NormHyperparams(center=False)},
}


@pytest.mark.parametrize("kind", BLOCKS)
def test_batch_norm_in_the_kernel_is_batch_norm_after_the_convolution(kind):
    options = {"out_channels": 6, **BLOCKS[kind]}
    hyperparams = layers.ConvHyperparams(
        initializer=tf_keras.initializers.RandomNormal(seed=1),
        activation=tf.nn.sigmoid,  # smooth, so that a last bit stays one
        norm=options.pop("norm", normalization.NormHyperparams()),
    )
    block = layers.build_block(hyperparams, True, 4, options.pop("out_channels"), 3, **options)
    for index, variable in enumerate(block.variables):
        if "kernel" not in variable.name:
            variable.assign(tf.random.stateless_uniform(variable.shape, [index, 2], 0.5, 1.5))
    inputs = tf.random.stateless_normal([2, 9, 8, 4], [1, 2])

    def differentiate(call):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = call()
            total = tf.reduce_sum(outputs * tf.cos(tf.range(outputs.shape[-1], dtype=tf.float32)))
        return [outputs, *tape.gradient(total, [inputs, *block.trainable_variables])]

    def normalize_after():
        strides = options.get("strides", 1)
        return tf.nn.sigmoid(block.norm(block.convolution(inputs, strides), training=True))

    for ours, wanted in zip(
        differentiate(lambda: block(inputs, training=True)), differentiate(normalize_after), strict=True
    ):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
