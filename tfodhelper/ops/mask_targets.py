"""What the masks of boxes should have been predicted as: masks of objects, sampled at a grid of points of each box.

Shape letters: B batch, M ground truth masks (padded), P boxes of an image, (h, w) points of a box.
"""

import tensorflow as tf


def crop_masks(masks, boxes, rows, size, drops_outside=True):
    """Samples a mask for each box, by bilinear interpolation between four pixels of it.

    The points are those of `crops`: 0 and 1 are the centers of the first and the last pixel. Only the sampled pixels
    are converted to float32, so that masks of whole images stay uint8, on every device.

    Args:
      masks: uint8 [B, M, height, width], 0 or 1, in the frame in which the boxes are normalized.
      boxes: float32 [B, P, 4], normalized; they get no gradient.
      rows: int32 [B, P], which mask belongs to each box; any row where there is none.
      size: (h, w).
      drops_outside: whether a point outside the mask, by however little, is 0 (tf.image.crop_and_resize); otherwise
        values fall to 0 within one pixel (`crops.crop_by_matmul`).

    Returns:
      float32 [B, P, h, w], 0 to 1.
    """
    if not masks.shape[1]:  # 0, or unknown until the batch exists
        masks = tf.pad(masks, [[0, 0], [0, 1], [0, 0], [0, 0]])
    shape = tf.shape(masks)
    ymin, xmin, ymax, xmax = tf.unstack(tf.stop_gradient(boxes), axis=-1)
    lines = _neighbours(ymin, ymax, shape[2], size[0], drops_outside)
    columns = _neighbours(xmin, xmax, shape[3], size[1], drops_outside)
    # A mask is one of B x M, as lines of B x M x height: indices stay far below the limit of int32.
    first_line = (tf.range(shape[0])[:, tf.newaxis] * shape[1] + tf.maximum(rows, 0)) * shape[2]
    flat = tf.reshape(masks, [-1, shape[3]])
    total = 0.0
    for line, line_weight in lines:
        for column, column_weight in columns:
            line_of_all = (first_line[..., tf.newaxis] + line)[..., :, tf.newaxis]
            indices = tf.stack(tf.broadcast_dynamic_shape(tf.shape(line_of_all), tf.shape(column[..., tf.newaxis, :])))
            where = tf.stack(
                [tf.broadcast_to(line_of_all, indices), tf.broadcast_to(column[..., tf.newaxis, :], indices)], axis=-1
            )
            values = tf.cast(tf.gather_nd(flat, where), tf.float32)
            total += values * line_weight[..., :, tf.newaxis] * column_weight[..., tf.newaxis, :]
    return total


def _neighbours(low, high, length, count, drops_outside):
    """The two pixels next to each point along an axis.

    Args:
      low: float32 [B, P], first corner, normalized.
      high: float32 [B, P], second corner.
      length: int32 scalar, pixels along the axis.
      count: points of a box.
      drops_outside: see `crop_masks`.

    Returns:
      Two pairs of int32 [B, P, count] within the axis, and float32 [B, P, count], the weight of this pixel.
    """
    last = tf.cast(length - 1, tf.float32)
    if count > 1:
        step = (high - low) * last / float(count - 1)
        points = (low * last)[..., tf.newaxis] + step[..., tf.newaxis] * tf.range(count, dtype=tf.float32)
    else:
        points = (0.5 * (low + high) * last)[..., tf.newaxis]
    before = tf.floor(points)
    fraction = points - before
    is_known = (points >= 0.0) & (points <= last) if drops_outside else tf.ones_like(points, tf.bool)
    pairs = []
    for pixel, weight in ((before, 1.0 - fraction), (before + 1.0, fraction)):
        is_inside = is_known & (pixel >= 0.0) & (pixel <= last)
        pairs.append((tf.cast(tf.clip_by_value(pixel, 0.0, last), tf.int32), tf.where(is_inside, weight, 0.0)))
    return pairs
