"""Position-sensitive pooling of regions (Dai et al. 2016, section 3; arXiv 1605.06409).

A box is divided into bins. Each bin has channels of its own, which are sampled at a grid of points inside the bin, as
`ops.crops` samples; the mean of all bins and points is the value of the box. Both steps are linear in the features and
separate into lines and columns, so that each bin is one matrix product, with static shapes and an exact gradient.

Shape letters: B batch, N boxes of an image, c channels of a bin.
"""

import tensorflow as tf


def pool(features, boxes, num_bins, crop_size, drops_outside=False):
    """Pools the features of boxes.

    Args:
      features: float32 [B, h, w, bins * c]; the channels of the bins follow each other, line by line.
      boxes: float32 [B, N, 4], normalized so that 0 and 1 are the centers of the first and the last cell; they get no
        gradient.
      num_bins: (lines, columns) of bins.
      crop_size: (lines, columns) of points in all bins together, multiples of `num_bins`.
      drops_outside: whether a point outside the map, by however little, is 0, as in tf.image.crop_and_resize; else
        values fall to 0 within one cell outside.

    Returns:
      float32 [B * N, c].
    """
    boxes = tf.stop_gradient(boxes)
    dynamic = tf.shape(features)
    height, width = (features.shape[i] or dynamic[i] for i in (1, 2))
    channels = features.shape[-1] // (num_bins[0] * num_bins[1])
    bins = tf.split(tf.reshape(features, [-1, height * width, features.shape[-1]]), num_bins[0] * num_bins[1], axis=-1)
    lines, columns = (
        _mean_weights(boxes[..., axis], boxes[..., axis + 2], size, num_bins[axis], crop_size[axis], drops_outside)
        for axis, size in enumerate((height, width))
    )
    num_boxes = boxes.shape[1] or tf.shape(boxes)[1]
    products = []
    for index, of_bin in enumerate(bins):
        line, column = divmod(index, num_bins[1])
        weights = lines[:, :, line, :, tf.newaxis] * columns[:, :, column, tf.newaxis]
        products.append(tf.matmul(tf.reshape(weights, [-1, num_boxes, height * width]), of_bin))
    return tf.reshape(tf.add_n(products) / float(len(bins)), [-1, channels])


def _mean_weights(low, high, length, num_bins, num_points, drops_outside):
    """Mean weights of the cells along an axis, over the points of each bin.

    Args:
      low: float32 [B, N], first corner, normalized.
      high: float32 [B, N], second corner.
      length: number of cells along the axis.
      num_bins: along the axis.
      num_points: along the axis, of all bins.
      drops_outside: see `pool`.

    Returns:
      float32 [B, N, num_bins, length].
    """
    last = tf.cast(length - 1, tf.float32)
    numbers = tf.range(num_bins, dtype=tf.float32)
    low, step = low[..., tf.newaxis], ((high - low) / float(num_bins))[..., tf.newaxis]
    first, end = low + numbers * step, low + (numbers + 1.0) * step  # of the bins
    points_of_bin = num_points // num_bins
    if points_of_bin > 1:
        distance = (end - first) * last / float(points_of_bin - 1)
        steps = tf.range(points_of_bin, dtype=tf.float32)
        points = (first * last)[..., tf.newaxis] + steps * distance[..., tf.newaxis]
    else:
        points = (0.5 * (first + end) * last)[..., tf.newaxis]
    weights = tf.maximum(1.0 - tf.abs(points[..., tf.newaxis] - tf.range(tf.cast(length, tf.float32))), 0.0)
    if drops_outside:
        is_inside = (points >= 0.0) & (points <= last)
        weights *= tf.cast(is_inside, tf.float32)[..., tf.newaxis]
    return tf.reduce_mean(weights, axis=-2)
