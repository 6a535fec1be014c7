"""What each anchor of an image should have predicted.

Shape letters: B batch, M ground truth boxes (padded), A anchors, C class columns.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tfodhelper.ops import box_coder
from tfodhelper.ops import boxes as box_ops
from tfodhelper.ops import matcher as matcher_ops


class Targets(NamedTuple):
    """What the losses compare predictions with."""

    class_targets: tf.Tensor  # float32 [B, A, C], rows are one-hot or all zero
    class_weights: tf.Tensor  # float32 [B, A]
    box_targets: tf.Tensor  # float32 [B, A, 4], codes; zero where nothing is matched
    box_weights: tf.Tensor  # float32 [B, A], zero where nothing is matched
    matches: tf.Tensor  # int32 [B, A], see `matcher`


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

    def assign(self, anchors, gt_boxes, gt_classes, gt_weights):
        """Assigns a batch.

        Args:
          anchors: float32 [A, 4].
          gt_boxes: float32 [B, M, 4] in the frame of `anchors`; padding rows have no area.
          gt_classes: int32 [B, M], 0-based; -1 in padding rows.
          gt_weights: float32 [B, M]; 0 in padding rows.

        Returns:
          `Targets`.
        """
        if not gt_boxes.shape[1]:  # 0, or unknown until the batch exists
            gt_boxes, gt_classes, gt_weights = _add_empty_row(gt_boxes, gt_classes, gt_weights)
        similarity = box_ops.iou_matrix(gt_boxes, anchors)
        matches = self.matcher.match(similarity, gt_weights > 0)
        is_matched = matches >= 0
        rows = tf.maximum(matches, 0)
        columns = tf.where(
            is_matched, tf.gather(gt_classes, rows, batch_dims=1) + self.class_offset, self.background_column
        )
        weights = tf.gather(gt_weights, rows, batch_dims=1)
        codes = box_coder.encode(tf.gather(gt_boxes, rows, batch_dims=1), anchors, self.scale_factors)
        is_unmatched = tf.equal(matches, matcher_ops.UNMATCHED)
        return Targets(
            class_targets=tf.one_hot(columns, self.num_columns),
            class_weights=tf.where(is_matched, weights, tf.where(is_unmatched, self.negative_class_weight, 0.0)),
            box_targets=tf.where(is_matched[..., tf.newaxis], codes, 0.0),
            box_weights=tf.where(is_matched, weights, 0.0),
            matches=matches,
        )


def _add_empty_row(gt_boxes, gt_classes, gt_weights):
    """Adds a padding row: if no image has a box, maxima over the rows and gathers still need a row."""
    return (
        tf.pad(gt_boxes, [[0, 0], [0, 1], [0, 0]]),
        tf.pad(gt_classes, [[0, 0], [0, 1]], constant_values=-1),
        tf.pad(gt_weights, [[0, 0], [0, 1]]),
    )
