"""What each anchor of an image should have predicted.

A box of weight 0 is an ignored region: what is there is unknown. It matches no anchor, and an anchor that it would
match, or of which half is inside it, is not background either. (The OD API lets such a box match, and trains the
anchors around it as background.) A padding row has weight 0, too, but no area.

Shape letters: B batch, M ground truth boxes (padded), A anchors, C class columns.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfodhelper.ops import box_coder
from tfodhelper.ops import boxes as box_ops
from tfodhelper.ops import matcher as matcher_ops

_INSIDE = 0.5  # of an anchor, from which on it is inside an ignored region


class Targets(NamedTuple):
    """What the losses compare predictions with."""

    class_targets: tf.Tensor  # float32 [B, A, C], rows are one-hot or all zero
    class_weights: tf.Tensor  # float32 [B, A]
    box_targets: tf.Tensor  # float32 [B, A, 4], codes; zero where nothing is matched
    box_weights: tf.Tensor  # float32 [B, A], zero where nothing is matched
    match_weights: tf.Tensor  # float32 [B, A], weight of the matched box, zero where nothing is matched
    matches: tf.Tensor  # int32 [B, A], see `matcher`
    is_in_region: tf.Tensor  # bool [B, A], unmatched anchors in ignored regions, of which nothing is known


@dataclasses.dataclass(frozen=True)
class TargetAssigner:
    """Assigns ground truth to anchors by intersection over union.

    Attributes:
      matcher: an `ArgmaxMatcher`.
      num_columns: C, the width of the class predictions.
      class_offset: column of class 0: 1 where column 0 is the background, else 0.
      background_column: column of the target of an unmatched anchor; -1 makes that target all zero.
      negative_class_weight: weight of the classification loss of unmatched anchors.
      scale_factors: of the box coder.
    """

    matcher: matcher_ops.ArgmaxMatcher
    num_columns: int
    class_offset: int = 1
    background_column: int = 0
    negative_class_weight: float = 1.0
    scale_factors: tuple = (10.0, 10.0, 5.0, 5.0)

    def assign(self, anchors, gt_boxes, gt_classes, gt_weights, gt_location_weights=None):
        """Assigns a batch.

        Args:
          anchors: float32 [A, 4].
          gt_boxes: float32 [B, M, 4] in the frame of `anchors`; padding rows have no area.
          gt_classes: int32 [B, M], 0-based; -1 in padding rows.
          gt_weights: float32 [B, M]; 0 in padding rows and for ignored regions.
          gt_location_weights: float32 [B, M], factors of the weights of `box_targets`; None: all 1.

        Returns:
          `Targets`.
        """
        if gt_location_weights is None:
            gt_location_weights = tf.ones_like(gt_weights)
        if not gt_boxes.shape[1]:  # 0, or unknown until the batch exists
            rows = _add_empty_row(gt_boxes, gt_classes, gt_weights, gt_location_weights)
            gt_boxes, gt_classes, gt_weights, gt_location_weights = rows
        is_object = gt_weights > 0.0
        objects = tf.where(is_object[..., tf.newaxis], gt_boxes, 0.0)
        matches = self.matcher.match(box_ops.iou_matrix(objects, anchors), is_object)
        is_in_region = tf.ensure_shape(self._find_in_regions(anchors, gt_boxes, is_object), matches.shape)
        is_in_region &= matches < 0
        matches = tf.where(is_in_region, matcher_ops.IGNORED, matches)
        is_matched = matches >= 0
        rows = tf.maximum(matches, 0)
        columns = tf.where(
            is_matched, tf.gather(gt_classes, rows, batch_dims=1) + self.class_offset, self.background_column
        )
        weights = tf.where(is_matched, tf.gather(gt_weights, rows, batch_dims=1), 0.0)
        codes = box_coder.encode(tf.gather(gt_boxes, rows, batch_dims=1), anchors, self.scale_factors)
        is_unmatched = tf.equal(matches, matcher_ops.UNMATCHED)
        return Targets(
            class_targets=tf.one_hot(columns, self.num_columns),
            class_weights=tf.where(is_matched, weights, tf.where(is_unmatched, self.negative_class_weight, 0.0)),
            box_targets=tf.where(is_matched[..., tf.newaxis], codes, 0.0),
            box_weights=weights * tf.gather(gt_location_weights, rows, batch_dims=1),
            match_weights=weights,
            matches=matches,
            is_in_region=is_in_region,
        )

    def _find_in_regions(self, anchors, gt_boxes, is_object):
        """bool [B, A]: which anchors no background can be learned from.

        These are those that a box of weight 0 would have kept from being background as an object, and those of which
        half is inside it, however large it is. Most batches have no such box, and then nothing is compared.
        """
        is_region = ~is_object & (box_ops.area(gt_boxes) > 0.0)

        def find():
            regions = tf.where(is_region[..., tf.newaxis], gt_boxes, 0.0)
            similarity = box_ops.iou_matrix(regions, anchors)
            is_inside = box_ops.coverage_matrix(regions, anchors) >= _INSIDE
            if self.matcher.unmatched_threshold is not None:
                is_inside |= (similarity >= self.matcher.unmatched_threshold) & (similarity > 0.0)
            return tf.reduce_any(is_inside, axis=1)

        def find_none():
            return tf.zeros([tf.shape(gt_boxes)[0], tf.shape(anchors)[-2]], tf.bool)

        return tf.cond(tf.reduce_any(is_region), find, find_none)


def _add_empty_row(gt_boxes, gt_classes, gt_weights, gt_location_weights):
    """Adds a padding row: if no image has a box, maxima over the rows and gathers still need a row."""
    return (
        tf.pad(gt_boxes, [[0, 0], [0, 1], [0, 0]]),
        tf.pad(gt_classes, [[0, 0], [0, 1]], constant_values=-1),
        tf.pad(gt_weights, [[0, 0], [0, 1]]),
        tf.pad(gt_location_weights, [[0, 0], [0, 1]]),
    )
