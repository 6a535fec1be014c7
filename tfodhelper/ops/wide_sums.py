"""Depthwise convolutions and products of matrices whose sums are float32, where numbers of 16 bits are given.

Accelerators sum so. TensorFlow's kernels for CPUs do not (2.20): a depthwise convolution rounds each partial sum to 16
bits, so that its gradients of kernels, which are sums over all pixels, are off by several percent; and a product of
bfloat16 matrices is cut off instead of rounded, and so on average 0.3 % too small. oneDNN's other convolutions are
exact to one rounding.
"""

import tensorflow as tf

_NARROW = (tf.bfloat16, tf.float16)


def depthwise_convolve(maps, kernel, strides=1, padding="SAME"):
    """As `tf.nn.depthwise_conv2d`.

    Args:
      maps: [b, height, width, c].
      kernel: [h, w, c, multiplier], of the same type.
      strides: in both directions.
      padding: "SAME" or "VALID".

    Returns:
      [b, height / strides, width / strides, c * multiplier], of that type.
    """
    return _widely(lambda *given: tf.nn.depthwise_conv2d(*given, [1, strides, strides, 1], padding), maps, kernel)


def matmul(left, right):
    """As `tf.matmul` of [..., n, k] and [..., k, m], which have the same type."""
    return _widely(tf.matmul, left, right)


def has_accelerator():
    """Whether TensorFlow computes on a GPU or TPU."""
    return any(tf.config.list_logical_devices(kind) for kind in ("GPU", "TPU"))


def _widely(operation, *operands):
    narrow = operands[0].dtype
    if narrow not in _NARROW or has_accelerator():
        return operation(*operands)
    return tf.cast(operation(*(tf.cast(operand, tf.float32) for operand in operands)), narrow)
