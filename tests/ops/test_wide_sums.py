"""Sums of numbers of 16 bits: exact to one rounding of the result, forward and in gradients."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from tfodhelper.ops import wide_sums

# Half of the last of 8 and of 11 bits, relative to the smallest number that has it.
HALF_A_BIT = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
KINDS = sorted(HALF_A_BIT)


def draw(seed, kind, *shapes):
    """Positive numbers, so that no sum is a small difference of large ones."""
    random = np.random.default_rng(seed)
    return [tf.cast(random.uniform(0.5, 1.5, size=shape), kind) for shape in shapes]


def differentiate(operation, *operands):
    """The output, and the gradients of its sum."""
    with tf.GradientTape() as tape:
        tape.watch(operands)
        outputs = operation(*operands)
    return [outputs, *tape.gradient(outputs, operands)]


def check(operation, operands, kind):
    exact = differentiate(operation, *(tf.cast(operand, tf.float64) for operand in operands))
    for ours, wanted in zip(differentiate(operation, *operands), exact, strict=True):
        assert ours.dtype.name == kind
        np.testing.assert_allclose(tf.cast(ours, tf.float64), wanted, rtol=HALF_A_BIT[kind] + 1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multiplier", [1, 3])
@pytest.mark.parametrize("strides, padding", [(1, "SAME"), (2, "SAME"), (1, "VALID")])
def test_depthwise_convolutions(kind, multiplier, strides, padding):
    operands = draw(1, kind, (2, 40, 41, 5), (3, 3, 5, multiplier))
    check(lambda *given: wide_sums.depthwise_convolve(*given, strides, padding), operands, kind)


@pytest.mark.parametrize("kind", KINDS)
@hypothesis.settings(deadline=None, max_examples=20)
@hypothesis.given(
    sizes=strategies.tuples(*[strategies.sampled_from([1, 2, 7, 300, 1000])] * 3),
    count=strategies.sampled_from([(), (3,)]),
)
def test_products_of_matrices(kind, sizes, count):
    lines, common, columns = sizes
    check(wide_sums.matmul, draw(2, kind, (*count, lines, common), (*count, common, columns)), kind)


def test_a_sum_that_numbers_of_16_bits_cannot_count():
    """1 + 1 + ... stays at 256 in bfloat16, where the next number is 258."""
    ones = tf.ones([1, 1, 600, 1], tf.bfloat16)
    outputs = wide_sums.depthwise_convolve(ones, tf.ones([1, 600, 1, 1], tf.bfloat16), padding="VALID")
    assert outputs.numpy().ravel().tolist() == [600.0]


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_other_types_are_left_as_they_are(kind):
    graph = tf.function(wide_sums.matmul).get_concrete_function(*[tf.TensorSpec([2, 2], tf.as_dtype(kind))] * 2).graph
    assert "Cast" not in {operation.type for operation in graph.get_operations()}
