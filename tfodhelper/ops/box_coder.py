"""Boxes as corrections of anchors."""

import tensorflow as tf

from tfodhelper.ops import boxes as box_ops

CODE_SIZE = 4
_EPSILON = 1e-8  # keeps the logarithm of a box without area finite


def encode(boxes, anchors, scale_factors=(10.0, 10.0, 5.0, 5.0)):
    """Expresses boxes relative to anchors: the regression targets of SSD and Faster R-CNN.

    `decode(encode(boxes, anchors), anchors) == boxes` for boxes of positive size.
    Matching is the caller's work: row i of `boxes` belongs to row i of `anchors`.

    Args:
      boxes: [..., 4] ymin, xmin, ymax, xmax, in the unit of `anchors`.
      anchors: [..., 4], a shape that broadcasts against `boxes`.
      scale_factors: multipliers of ty, tx, th, tw.

    Returns:
      [..., 4] ty, tx, th, tw (Ren et al. 2015, section 3.1.2, eq. 2; arXiv 1506.01497).
    """
    ycenter, xcenter, height, width = box_ops.to_center_and_size(boxes)
    anchor_y, anchor_x, anchor_height, anchor_width = box_ops.to_center_and_size(anchors)
    anchor_height, anchor_width = anchor_height + _EPSILON, anchor_width + _EPSILON
    codes = tf.stack(
        [
            (ycenter - anchor_y) / anchor_height,
            (xcenter - anchor_x) / anchor_width,
            tf.math.log((height + _EPSILON) / anchor_height),
            tf.math.log((width + _EPSILON) / anchor_width),
        ],
        axis=-1,
    )
    return codes * tf.constant(scale_factors, codes.dtype)


def decode(codes, anchors, scale_factors=(10.0, 10.0, 5.0, 5.0)):
    """Boxes from codes: the inverse of `encode`. th and tw are not limited.

    Args:
      codes: [..., 4] ty, tx, th, tw.
      anchors: [..., 4], a shape that broadcasts against `codes`.
      scale_factors: divisors of ty, tx, th, tw, as they multiplied in `encode`.

    Returns:
      [..., 4] ymin, xmin, ymax, xmax, in the unit of `anchors`.
    """
    anchor_y, anchor_x, anchor_height, anchor_width = box_ops.to_center_and_size(anchors)
    ty, tx, th, tw = tf.unstack(codes / tf.constant(scale_factors, codes.dtype), axis=-1)
    return box_ops.from_center_and_size(
        ty * anchor_height + anchor_y,
        tx * anchor_width + anchor_x,
        tf.exp(th) * anchor_height,
        tf.exp(tw) * anchor_width,
    )
