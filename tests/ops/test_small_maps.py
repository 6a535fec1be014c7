"""Gradients of 1x1 kernels as products of matrices, beside TensorFlow's own."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from tfodhelper.ops import small_maps


def draw(seed, *shapes, dtype=np.float32):
    random = np.random.default_rng(seed)
    return [tf.constant(random.normal(size=shape).astype(dtype)) for shape in shapes]


def differentiate(convolve, maps, kernel):
    """The output, and the gradients of the sum of its squares."""
    with tf.GradientTape() as tape:
        tape.watch([maps, kernel])
        outputs = convolve(maps, kernel)
        total = tf.reduce_sum(outputs**2)
    return [outputs, *tape.gradient(total, [maps, kernel])]


def has_own_gradient(maps, kernel, *options):
    """Whether the graph of the convolution has the mark of a gradient of our own."""
    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in (maps, kernel)]
    graph = tf.function(lambda *given: small_maps.convolve(*given, *options)).get_concrete_function(*specs).graph
    return "IdentityN" in {operation.type for operation in graph.get_operations()}


def test_a_weight_has_the_sum_of_what_it_saw_times_the_gradient():
    maps = tf.constant([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two pixels of two channels
    kernel = tf.constant([[[[1.0], [10.0]]]])
    outputs, of_maps, of_kernel = differentiate(small_maps.convolve, maps, kernel)
    assert outputs.numpy().ravel().tolist() == [21.0, 43.0]
    assert of_maps.numpy().reshape(2, 2).tolist() == [[42.0, 420.0], [86.0, 860.0]]  # twice the output, by channel
    assert of_kernel.numpy().ravel().tolist() == [1 * 42.0 + 3 * 86.0, 2 * 42.0 + 4 * 86.0]


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(
    sides=strategies.tuples(strategies.integers(1, 10), strategies.integers(1, 10)),
    channels=strategies.tuples(strategies.integers(1, 9), strategies.integers(1, 9)),
    count=strategies.integers(1, 3),
    padding=strategies.sampled_from(["SAME", "VALID"]),
)
def test_it_is_the_gradient_of_tensorflow(sides, channels, count, padding):
    maps, kernel = draw(5, (count, *sides, channels[0]), (1, 1, *channels))
    found = differentiate(lambda *given: small_maps.convolve(*given, 1, padding), maps, kernel)
    wanted = differentiate(lambda *given: tf.nn.conv2d(*given, 1, padding), maps, kernel)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "side, size, strides, dtype, is_own",
    [
        (10, 1, 1, np.float32, True),
        (11, 1, 1, np.float32, False),
        (None, 1, 1, np.float32, False),
        (4, 3, 1, np.float32, False),
        (4, 1, 2, np.float32, False),
        (4, 1, 1, np.float64, False),
    ],
)
def test_only_small_maps_of_float32_have_it(side, size, strides, dtype, is_own):
    maps = tf.TensorSpec([2, side, side, 3], tf.as_dtype(dtype))
    assert has_own_gradient(maps, tf.TensorSpec([size, size, 3, 2], maps.dtype), strides) == is_own
