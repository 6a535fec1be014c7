"""Branches compute what their steps do one after the other, though their first convolutions are computed as one."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfodhelper.models import layers, normalization
from tfodhelper.models.backbones.branches import BlockBuilder, Branches, Named, Pool

HYPERPARAMS = layers.ConvHyperparams(
    initializer=tf_keras.initializers.GlorotUniform(),
    activation=tf.nn.relu,
    norm=normalization.NormHyperparams(momentum=0.9),
)
WITHOUT_NORM = layers.ConvHyperparams(initializer=tf_keras.initializers.GlorotUniform(), activation=tf.nn.relu)
WITHOUT_CENTER = layers.ConvHyperparams(
    initializer=tf_keras.initializers.GlorotUniform(), norm=normalization.NormHyperparams(center=False)
)


def make_rows(hyperparams=HYPERPARAMS, frozen=False):
    """Branches of all kinds: 1x1 alone, 1x1 and 3x3, after means, after maxima, after strides, without a 1x1."""
    make = BlockBuilder(hyperparams, frozen)
    return [
        make.row(6, ("a", 5, 1)),
        make.row(6, ("b", 4, 1), ("c", 3, 3)),
        [Pool(tf.nn.avg_pool2d, 1), *make.row(6, ("d", 7, 1))],
        [Pool(tf.nn.max_pool2d, 1), *make.row(6, ("e", 2, 1))],
        make.row(6, ("f", 3, 3)),
        [Pool(tf.nn.avg_pool2d, 1)],
    ]


def fill(rows, seed=1):
    """Random values for all variables; returns those that are trained and the others."""
    random = np.random.RandomState(seed)
    blocks = [step.block for row in rows for step in row if isinstance(step, Named)]
    for block in blocks:
        for variable in block.variables:
            value = 0.5 * random.randn(*variable.shape)
            variable.assign(np.abs(value) + 0.5 if "variance" in variable.name else value)
    trained = [variable for block in blocks for variable in block.trainable_variables]
    return trained, [variable for block in blocks for variable in block.non_trainable_variables]


def run_steps(rows, inputs, training):
    """The branches, one step after the other."""
    outputs = []
    for row in rows:
        features = inputs
        for step in row:
            features = (step.block if isinstance(step, Named) else step)(features, training=training)
        outputs.append(features)
    return tf.concat(outputs, axis=-1)


def differentiate(call, rows, training):
    """Outputs, gradients of input and variables, and what the moving statistics are then, from the same start."""
    trained, moving = fill(rows)
    inputs = tf.constant(np.random.RandomState(2).randn(2, 5, 4, 6).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = call(inputs, training)
        total = tf.reduce_sum(outputs * tf.cos(tf.range(outputs.shape[-1], dtype=tf.float32)))
    return [outputs, *tape.gradient(total, [inputs, *trained]), *map(tf.identity, moving)]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("hyperparams", "frozen"),
    [(HYPERPARAMS, False), (HYPERPARAMS, True), (WITHOUT_NORM, False), (WITHOUT_CENTER, True)],
)
def test_branches_are_their_steps(hyperparams, frozen, training):
    rows = make_rows(hyperparams, frozen)
    branches = Branches(rows)
    together = differentiate(lambda inputs, training: branches(inputs, training=training), rows, training)
    apart = differentiate(lambda inputs, training: run_steps(rows, inputs, training), rows, training)
    for ours, wanted in zip(together, apart, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5)


def test_batch_norms_of_branches_may_be_frozen_one_by_one():
    rows = make_rows()
    branches = Branches(rows)
    rows[0][0].block.norm.frozen = True
    together = differentiate(lambda inputs, training: branches(inputs, training=training), rows, training=True)
    apart = differentiate(lambda inputs, training: run_steps(rows, inputs, training), rows, training=True)
    for ours, wanted in zip(together, apart, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5)


def test_biases_of_some_branches():
    rows = [BlockBuilder(which, False).row(6, ("a", 3, 1)) for which in (WITHOUT_NORM, HYPERPARAMS)]
    branches = Branches(rows)
    together = differentiate(lambda inputs, training: branches(inputs, training=training), rows, training=True)
    apart = differentiate(lambda inputs, training: run_steps(rows, inputs, training), rows, training=True)
    for ours, wanted in zip(together, apart, strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-5)


def test_the_first_convolutions_are_one():
    branches = Branches(make_rows(frozen=True))
    graph = tf.function(branches).get_concrete_function(tf.TensorSpec([1, 5, 4, 6], tf.float32)).graph
    convolutions = [each for each in graph.get_operations() if each.type == "Conv2D"]
    assert sorted(each.outputs[0].shape[-1] for each in convolutions) == [2, 3, 3, 5 + 4 + 7]
