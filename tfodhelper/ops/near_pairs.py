"""Non-maximum suppression that compares only boxes that are near each other, for high thresholds and many boxes.

Two boxes whose IoU is above t also have one above t along each axis, so that their lower corners differ by less than
(1 - t) / t of either box's side. Boxes are sorted along one line, and compared with those that follow so closely.
"""

import dataclasses

import tensorflow as tf

_SLANT = 1.41  # of the line: rows of a grid of boxes do not fall on one point
_MARGIN = 1.001  # for rounding


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Which boxes are compared.

    Attributes:
      order: int32 [B, N], indices of the boxes along the line.
      counts: int32 [B, N], with how many of the following ones each box is compared, in this order.
      total: int64 scalar.
    """

    order: tf.Tensor
    counts: tf.Tensor
    total: tf.Tensor


def count_pairs(boxes, iou_threshold):
    """Finds `Pairs` without comparing any.

    Args:
      boxes: float32 [B, N, 4], corners in any order.
      iou_threshold: 0 to 1.

    Returns:
      `Pairs`; of boxes that are not finite, all are compared.
    """
    low, high = tf.minimum(boxes[..., :2], boxes[..., 2:]), tf.maximum(boxes[..., :2], boxes[..., 2:])
    slope = tf.constant([1.0, _SLANT])
    positions = tf.reduce_sum(low * slope, axis=2)
    reach = tf.reduce_sum((high - low) * slope, axis=2) * (_MARGIN * (1.0 - iou_threshold) / max(iou_threshold, 1e-3))
    is_finite = tf.reduce_all(tf.math.is_finite(reach) & tf.math.is_finite(positions))
    order = tf.argsort(positions)
    positions, reach = tf.gather(positions, order, batch_dims=1), tf.gather(reach, order, batch_dims=1)
    # Positions are rounded: of a box far from 0, that can be more than its reach.
    ends = positions + reach + tf.abs(positions) * 1e-6
    following = tf.range(1, tf.shape(positions)[1] + 1)
    counts = tf.searchsorted(positions, ends, side="right") - following
    counts = tf.where(is_finite, tf.maximum(counts, 0), tf.shape(positions)[1] - following)
    return Pairs(order, counts, tf.reduce_sum(tf.cast(counts, tf.int64)))


def suppress(boxes, scores, pairs, iou_threshold):
    """Non-maximum suppression, greedy as tf.image.non_max_suppression, without a limit of the number.

    Args:
      boxes: float32 [B, N, 4].
      scores: float32 [B, N]; of equal ones the first is the better one.
      pairs: of `count_pairs` with this threshold.
      iou_threshold: a box whose IoU with a better one that is kept is above it is left out.

    Returns:
      bool [B, N].
    """
    shape, num = tf.shape(scores), tf.size(scores)
    starts = tf.range(shape[0])[:, tf.newaxis] * shape[1]
    flat = tf.reshape(pairs.order + starts, [-1])  # index of a box of the whole batch, along the lines
    counts = tf.reshape(pairs.counts, [-1])
    first = tf.repeat(tf.range(num), counts)
    distance = tf.range(tf.size(first)) - tf.repeat(tf.cumsum(counts, exclusive=True), counts) + 1
    first, second = tf.gather(flat, first), tf.gather(flat, first + distance)
    is_near = _iou(tf.reshape(boxes, [-1, 4]), first, second) > iou_threshold
    first, second = tf.boolean_mask(first, is_near), tf.boolean_mask(second, is_near)
    ranks = tf.reshape(tf.argsort(tf.argsort(scores, direction="DESCENDING", stable=True)), [-1])
    is_first_better = tf.gather(ranks, first) < tf.gather(ranks, second)
    better, worse = tf.where(is_first_better, first, second), tf.where(is_first_better, second, first)

    everything = tf.ones([num], tf.bool)

    def leave_out(kept):
        is_left_out = tf.math.unsorted_segment_max(tf.cast(tf.gather(kept, better), tf.int32), worse, num) > 0
        return tf.ensure_shape(~is_left_out, everything.shape)

    # What is kept follows from better boxes alone: after n rounds it is right for the n best of any chain of overlaps.
    def step(_, kept):
        return kept, leave_out(kept)

    _, kept = tf.while_loop(
        lambda before, kept: tf.reduce_any(before != kept), step, (everything, leave_out(everything))
    )
    return tf.reshape(kept, shape)


def _iou(boxes, first, second):
    """IoU of two boxes each, of float32 [M, 4] by indices int32 [P]; rounded as TensorFlow's own operation rounds."""
    low, high = tf.minimum(boxes[:, :2], boxes[:, 2:]), tf.maximum(boxes[:, :2], boxes[:, 2:])
    area = (high[:, 0] - low[:, 0]) * (high[:, 1] - low[:, 1])
    sides = tf.minimum(tf.gather(high, first), tf.gather(high, second)) - tf.maximum(
        tf.gather(low, first), tf.gather(low, second)
    )
    sides = tf.maximum(sides, 0.0)
    intersection = sides[:, 0] * sides[:, 1]
    of_first, of_second = tf.gather(area, first), tf.gather(area, second)
    iou = intersection / (of_first + of_second - intersection)
    return tf.where((of_first <= 0.0) | (of_second <= 0.0), 0.0, iou)
