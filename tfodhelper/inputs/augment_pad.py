"""Augmentation that puts an image into a larger one."""

import tensorflow as tf

from tfodhelper.inputs import masks
from tfodhelper.inputs import sample as samples


def pad_image(image, y, x, height, width, color=None):
    """Puts an image into a larger one at (y, x).

    Args:
      image: float32 [h, w, 3].
      y: int32 scalar, as are the other numbers; y + h <= height and x + w <= width.
      x: see y.
      height: of the result.
      width: of the result.
      color: float32 [3], or None for zeros.

    Returns:
      float32 [height, width, 3].
    """
    shape = tf.shape(image)
    around = [[y, height - y - shape[0]], [x, width - x - shape[1]], [0, 0]]
    padded = tf.pad(image, around)
    if color is None:
        return padded
    outside = tf.pad(tf.zeros([shape[0], shape[1], 1]), around, constant_values=1.0)
    return padded + outside * color


def random_pad_image(sample, draws, min_size=None, max_size=None, color=None, image=None):
    """Puts the image into a larger one of random size, at a random position.

    Args:
      sample: a `Sample`.
      draws: `Draws`.
      min_size: int32 [2] (height, width), at least the size of the image; None: the size of the image.
      max_size: int32 [2], excluded; None: twice the size of the image.
      color: float32 [3], or None for the mean of the image.
      image: what `samples.read_image` returns, if the caller already has it.
    """
    image = samples.read_image(sample) if image is None else image
    size = tf.shape(image)[:2]
    min_size = size if min_size is None else tf.maximum(tf.cast(min_size, tf.int32), size)
    max_size = size * 2 if max_size is None else tf.maximum(tf.cast(max_size, tf.int32), size)
    color = tf.reduce_mean(image, axis=[0, 1]) if color is None else tf.cast(color, tf.float32)
    (height, y), (width, x) = (_draw_side(draws, min_size[axis], max_size[axis], size[axis]) for axis in (0, 1))
    window = tf.cast(tf.stack([-y, -x, height - y, width - x]), tf.float32)
    window /= tf.cast(tf.tile(size, [2]), tf.float32)
    padded = pad_image(image, y, x, height, width, color)
    moved = samples.move_boxes(sample, window)
    return samples.replace_image(moved, padded, lambda mask: masks.pad(mask, y, x, height, width))


def random_absolute_pad_image(sample, draws, max_height_padding=1, max_width_padding=1, color=None):
    """Pads by less than the given number of pixels in each direction; zero counts as one, which means no padding."""
    height, width = sample.picture.size
    size = tf.stack([height, width])
    room = tf.constant([max_height_padding or 1, max_width_padding or 1], tf.int32)
    return random_pad_image(sample, draws, size, size + room, color)


def random_pad_to_aspect_ratio(sample, draws, aspect_ratio=1.0, min_ratio=(1.0, 1.0), max_ratio=(2.0, 2.0)):
    """Adds zeros below and to the right up to an aspect ratio (width / height), and a random number of further ones.

    Args:
      sample: a `Sample`.
      draws: `Draws`.
      aspect_ratio: of the result.
      min_ratio: (height, width): least size of the result as multiples of the image's, where the shape allows.
      max_ratio: (height, width): greatest size, likewise.
    """
    image = samples.read_image(sample)
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    ratio = size[1] / size[0]
    target = tf.stack(
        [
            tf.where(ratio <= aspect_ratio, size[0], size[1] / aspect_ratio),
            tf.where(ratio >= aspect_ratio, size[1], size[0] * aspect_ratio),
        ]
    )
    max_scale = tf.reduce_min(tf.maximum(max_ratio * size, target) / target)
    min_scale = tf.minimum(max_scale, tf.reduce_max(tf.maximum(min_ratio * size, target) / target))
    target = tf.round(draws.uniform(min_scale, max_scale) * target)
    height, width = tf.unstack(tf.cast(target, tf.int32))
    window = tf.concat([[0.0, 0.0], target / size], axis=0)
    moved, padded = samples.move_boxes(sample, window), pad_image(image, 0, 0, height, width)
    return samples.replace_image(moved, padded, lambda mask: masks.pad(mask, 0, 0, height, width))


def _draw_side(draws, min_size, max_size, size):
    """A random side in min_size..max_size-1 and a random offset that leaves room for `size`."""
    target = tf.where(max_size > min_size, draws.integer(min_size, max_size), max_size)
    return target, draws.integer(0, target - size)
