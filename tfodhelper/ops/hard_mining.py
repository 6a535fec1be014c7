"""Which anchors of an image count in the loss: the hard ones.

Shrivastava et al. 2016 (arXiv 1604.03540) and Liu et al. 2016, section 2.2 (arXiv 1512.02325).
"""

import dataclasses

import tensorflow as tf

from tfodhelper.ops import matcher as matcher_ops
from tfodhelper.ops import near_pairs


@dataclasses.dataclass(frozen=True)
class HardExampleMiner:
    """Keeps the anchors of highest loss, no two of which overlap too much, with few negatives for each positive.

    Attributes:
      num_hard_examples: maximum number of anchors of an image before negatives are thinned out; None: no limit.
      iou_threshold: an anchor whose predicted box overlaps that of a harder one by more is left out.
      localization_weight: of the localization loss in an anchor's hardness.
      classification_weight: of the classification loss in an anchor's hardness.
      max_negatives_per_positive: negatives kept for each positive; None: all.
      min_negatives_per_image: negatives kept in any case, however few positives there are.
      is_compiled: whether XLA compiles it, which needs a slower way to the same anchors.
    """

    num_hard_examples: int | None = 64
    iou_threshold: float = 0.7
    localization_weight: float = 0.06
    classification_weight: float = 0.05
    max_negatives_per_positive: float | None = None
    min_negatives_per_image: int = 0
    is_compiled: bool = False

    def select(self, localization_losses, classification_losses, boxes, matches):
        """Marks the anchors that count.

        Args:
          localization_losses: float32 [B, A].
          classification_losses: float32 [B, A].
          boxes: float32 [B, A, 4], the predicted boxes.
          matches: int32 [B, A], see `matcher`.

        Returns:
          float32 [B, A], 1 where an anchor counts and 0 elsewhere; no gradient passes through it.
        """
        hardness = localization_losses * self.localization_weight + classification_losses * self.classification_weight
        boxes, hardness = tf.stop_gradient(boxes), tf.stop_gradient(hardness)
        order = tf.argsort(hardness, direction="DESCENDING", stable=True)
        is_kept = tf.gather(self._find_apart(boxes, hardness), order, batch_dims=1)
        if self.num_hard_examples is not None:
            is_kept &= tf.cumsum(tf.cast(is_kept, tf.int32), axis=1) <= self.num_hard_examples
        if self.max_negatives_per_positive is not None:
            is_kept = self._thin_out_negatives(is_kept, tf.gather(matches, order, batch_dims=1))
        mask = tf.gather(tf.cast(is_kept, tf.float32), tf.argsort(order), batch_dims=1)  # sorting inverts it
        return tf.stop_gradient(tf.ensure_shape(mask, matches.shape))

    def _find_apart(self, boxes, hardness):
        """bool [B, A], what non-maximum suppression by hardness leaves, however many that are."""
        if self.is_compiled:
            return _suppress(boxes, hardness, self.iou_threshold, _suppress_in_fixed_shapes)
        pairs = near_pairs.count_pairs(boxes, self.iou_threshold)
        return tf.cond(
            pairs.total <= _MOST_PAIRS * tf.cast(tf.size(hardness), tf.int64),
            lambda: near_pairs.suppress(boxes, hardness, pairs, self.iou_threshold),
            lambda: _suppress(boxes, hardness, self.iou_threshold, tf.image.non_max_suppression),
        )

    def _thin_out_negatives(self, is_kept, matches):
        """Of the kept anchors, in descending order of hardness, keeps all positives and the hardest negatives."""
        is_positive = is_kept & (matches >= 0)
        is_negative = is_kept & tf.equal(matches, matcher_ops.UNMATCHED)
        num_positives = tf.reduce_sum(tf.cast(is_positive, tf.float32), axis=1, keepdims=True)
        num_negatives = tf.cast(self.max_negatives_per_positive * num_positives, tf.int32)
        num_negatives = tf.maximum(num_negatives, self.min_negatives_per_image)
        return is_kept & (is_positive | (tf.cumsum(tf.cast(is_negative, tf.int32), axis=1) <= num_negatives))


_MOST_PAIRS = 200  # for each anchor, as many as TensorFlow's own operation compares in the same time and less memory


def _suppress(boxes, hardness, iou_threshold, operation):
    """bool [B, A]; an operation takes one image and returns indices."""
    num_anchors = tf.shape(hardness)[1]

    def suppress(image):
        kept = operation(*image, num_anchors, iou_threshold)
        return tf.scatter_nd(kept[:, tf.newaxis], tf.ones_like(kept), [num_anchors]) > 0

    return tf.map_fn(
        suppress,
        (boxes, hardness),
        fn_output_signature=tf.TensorSpec([hardness.shape[1]], tf.bool),
        parallel_iterations=1 if tf.executing_eagerly() else 16,
    )


def _suppress_in_fixed_shapes(boxes, hardness, most, iou_threshold):
    """As tf.image.non_max_suppression, but the first index fills up to the number of boxes."""
    kept, count = tf.image.non_max_suppression_padded(boxes, hardness, most, iou_threshold, pad_to_max_output_size=True)
    return tf.where(tf.range(most) < count, kept, kept[0])
