"""Operations of `autoaugment` that move pixels, and with them boxes.

A transform says where the pixels of the result come from: in the frame of pixel indices, in which the center of the
first pixel is (0, 0), the pixel (x, y) of the result is the pixel

    x' = a0 x + a1 y + a2,    y' = b0 x + b1 y + b2

of the image, rounded; what is outside of the image is filled with gray.
"""

import math

import tensorflow as tf

_CENTER = 0.5  # of the first pixel, in the frame of boxes


def rotation(degrees, shape):
    """Turns the image around its center, counter-clockwise where `degrees` is positive.

    Args:
      degrees: float32 scalar.
      shape: int32 [3] of the image.

    Returns:
      A transform: float32 [6], a0 a1 a2 b0 b1 b2.
    """
    angle = degrees * (math.pi / 180.0)
    cosine, sine = tf.cos(angle), tf.sin(angle)
    y, x = tf.unstack((tf.cast(shape[:2], tf.float32) - 1.0) / 2.0)
    return tf.stack([cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y])


def translation_x(pixels, shape):
    """Moves the image to the left by a number of pixels, which may have a fraction; see `rotation`."""
    del shape
    return _stack(1.0, 0.0, pixels, 0.0, 1.0, 0.0)


def translation_y(pixels, shape):
    """Moves the image up by a number of pixels, which may have a fraction; see `rotation`."""
    del shape
    return _stack(1.0, 0.0, 0.0, 0.0, 1.0, pixels)


def shear_x(level, shape):
    """Moves each row to the left by `level` pixels more than the row above; see `rotation`."""
    del shape
    return _stack(1.0, level, 0.0, 0.0, 1.0, 0.0)


def shear_y(level, shape):
    """Moves each column up by `level` pixels more than the column to its left; see `rotation`."""
    del shape
    return _stack(1.0, 0.0, 0.0, level, 1.0, 0.0)


def _stack(*values):
    return tf.stack([tf.cast(value, tf.float32) for value in values])


def transform_image(image, transform, fill):
    """The image after a transform, uint8 [h, w, c] as before.

    Args:
      image: uint8 [h, w, c].
      transform: float32 [6].
      fill: value of the pixels that come from outside.
    """
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=tf.concat([transform, [0.0, 0.0]], axis=0)[tf.newaxis],
        output_shape=tf.shape(image)[:2],
        interpolation="NEAREST",
        fill_mode="CONSTANT",
        fill_value=float(fill),
    )
    return tf.ensure_shape(moved[0], [None, None, image.shape[-1]])


def transform_boxes(boxes, transform, shape):
    """The boxes around what was in the boxes before a transform, clipped to the image.

    Args:
      boxes: float32 [N, 4], normalized.
      transform: float32 [6].
      shape: int32 [3] of the image.

    Returns:
      float32 [N, 4]; a box outside of the image has no area.
    """
    height, width = tf.unstack(tf.cast(shape[:2], tf.float32))
    ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=1)
    x = tf.stack([xmin, xmax, xmin, xmax], axis=1) * width - _CENTER
    y = tf.stack([ymin, ymin, ymax, ymax], axis=1) * height - _CENTER
    a0, a1, a2, b0, b1, b2 = tf.unstack(transform)
    x, y = x - a2, y - b2
    determinant = a0 * b1 - a1 * b0
    new_x = ((b1 * x - a1 * y) / determinant + _CENTER) / width
    new_y = ((a0 * y - b0 * x) / determinant + _CENTER) / height
    corners = [reduce(values, axis=1) for reduce in (tf.reduce_min, tf.reduce_max) for values in (new_y, new_x)]
    return tf.clip_by_value(tf.stack(corners, axis=1), 0.0, 1.0)
