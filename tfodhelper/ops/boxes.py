"""Geometry of boxes: [..., 4] ymin, xmin, ymax, xmax, float32, in any one unit.

Shape letters: M and A boxes of two sets, B batch.
"""

import tensorflow as tf


def area(boxes):
    """[..., 4] boxes -> [...] areas; a box whose corners are inverted has the product of its signed sides."""
    ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=-1)
    return (ymax - ymin) * (xmax - xmin)


def to_center_and_size(boxes):
    """[..., 4] boxes -> four tensors [...]: center y, center x, height, width."""
    ymin, xmin, ymax, xmax = tf.unstack(boxes, axis=-1)
    height, width = ymax - ymin, xmax - xmin
    return ymin + height / 2.0, xmin + width / 2.0, height, width


def from_center_and_size(ycenter, xcenter, height, width):
    """The inverse of `to_center_and_size`: four tensors [...] -> [..., 4] boxes."""
    half_height, half_width = height / 2.0, width / 2.0
    return tf.stack([ycenter - half_height, xcenter - half_width, ycenter + half_height, xcenter + half_width], axis=-1)


def iou_matrix(boxes, others):
    """Intersection over union of every box with every other box; 0 where they do not overlap.

    Args:
      boxes: [..., M, 4].
      others: [A, 4], or [..., A, 4] with the same leading dimensions.

    Returns:
      [..., M, A].
    """
    intersection = _intersections(boxes, others)
    union = area(boxes)[..., :, tf.newaxis] + area(others)[..., tf.newaxis, :] - intersection
    return tf.math.divide_no_nan(intersection, union)


def coverage_matrix(boxes, others):
    """Which fraction of every other box is inside each box; arguments and result as in `iou_matrix`."""
    return tf.math.divide_no_nan(_intersections(boxes, others), area(others)[..., tf.newaxis, :])


def _intersections(boxes, others):
    ymin, xmin, ymax, xmax = (side[..., :, tf.newaxis] for side in tf.unstack(boxes, axis=-1))
    ymin2, xmin2, ymax2, xmax2 = (side[..., tf.newaxis, :] for side in tf.unstack(others, axis=-1))
    height = tf.maximum(tf.minimum(ymax, ymax2) - tf.maximum(ymin, ymin2), 0.0)
    width = tf.maximum(tf.minimum(xmax, xmax2) - tf.maximum(xmin, xmin2), 0.0)
    return height * width


def clip_to_window(boxes, windows):
    """Clips boxes to windows; a box outside becomes one without area on the window's border.

    Args:
      boxes: [B, N, 4].
      windows: [B, 4], one for each image.

    Returns:
      [B, N, 4].
    """
    low = tf.tile(windows[:, tf.newaxis, :2], [1, 1, 2])
    high = tf.tile(windows[:, tf.newaxis, 2:], [1, 1, 2])
    return tf.maximum(tf.minimum(boxes, high), low)


def change_frame(boxes, windows):
    """Expresses boxes relative to windows: a window's own corners become 0, 0, 1, 1.

    Args:
      boxes: [B, N, 4].
      windows: [B, 4], one for each image, in the frame of `boxes`.

    Returns:
      [B, N, 4].
    """
    origin = tf.tile(windows[:, tf.newaxis, :2], [1, 1, 2])
    size = tf.tile((windows[:, 2:] - windows[:, :2])[:, tf.newaxis], [1, 1, 2])
    return (boxes - origin) * (1.0 / size)


def scale(boxes, height, width):
    """[..., 4] boxes with y multiplied by `height` and x by `width`, numbers or scalar tensors."""
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    return boxes * tf.stack([height, width, height, width])
