"""From a feature map to another level of a pyramid; level n has 1/2^n of the size of the image."""

import tensorflow as tf

from tfodhelper.models import pixels


def shrink(features, steps, window=3, explicit_padding=False):
    """The largest of `window` x `window` values at every 2^steps-th position.

    Args:
      features: float32 [b, h, w, c].
      steps: number of levels.
      window: side of the window.
      explicit_padding: whether zeros are added as much at either side, whatever the size of the map, instead of
        where the map needs it.

    Returns:
      float32 [b, height, width, c].
    """
    if not explicit_padding:
        return tf.nn.max_pool2d(features, window, 2**steps, "SAME")
    sides = [(window - 1) // 2, window // 2]
    return tf.nn.max_pool2d(tf.pad(features, [[0, 0], sides, sides, [0, 0]]), window, 2**steps, "VALID")


def enlarge(features, steps, like):
    """Each value 2^steps x 2^steps times.

    Sides need not be multiples of the strides: where the finer map has an odd side, the enlarged map is larger and
    loses its last rows or columns. (The published code asks for inputs of multiples of the largest stride.)

    Args:
      features: float32 [b, h, w, c].
      steps: number of levels.
      like: a map of the finer level.

    Returns:
      float32 [b, height, width, c], of the size of `like`.
    """
    (height, width), factor = pixels.size_of(like), 2**steps
    return tf.repeat(tf.repeat(features, factor, axis=1), factor, axis=2)[:, :height, :width]
