"""Which anchors of an image count in the loss: the hard ones.

Shrivastava et al. 2016 (arXiv 1604.03540) and Liu et al. 2016, section 2.2 (arXiv 1512.02325).
"""

import dataclasses

import tensorflow as tf

from tfodhelper.ops import matcher as matcher_ops


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
    """

    num_hard_examples: int | None = 64
    iou_threshold: float = 0.7
    localization_weight: float = 0.06
    classification_weight: float = 0.05
    max_negatives_per_positive: float | None = None
    min_negatives_per_image: int = 0

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
        num_anchors = tf.shape(matches)[1]
        most = num_anchors if self.num_hard_examples is None else tf.minimum(self.num_hard_examples, num_anchors)

        def mine(image):
            image_boxes, image_hardness, image_matches = image
            order = tf.image.non_max_suppression(image_boxes, image_hardness, most, self.iou_threshold)
            if self.max_negatives_per_positive is not None:
                order = self._thin_out_negatives(order, tf.gather(image_matches, order))
            return tf.scatter_nd(order[:, tf.newaxis], tf.ones_like(order, tf.float32), [num_anchors])

        mask = tf.map_fn(
            mine,
            (tf.stop_gradient(boxes), tf.stop_gradient(hardness), matches),
            fn_output_signature=tf.TensorSpec([matches.shape[1]], tf.float32),
            parallel_iterations=1 if tf.executing_eagerly() else 16,
        )
        return tf.stop_gradient(mask)

    def _thin_out_negatives(self, order, matches):
        """Keeps all positives and the hardest negatives of anchors in descending order of hardness."""
        is_positive = matches >= 0
        is_negative = tf.equal(matches, matcher_ops.UNMATCHED)
        num_positives = tf.reduce_sum(tf.cast(is_positive, tf.float32))
        num_negatives = tf.cast(self.max_negatives_per_positive * num_positives, tf.int32)
        num_negatives = tf.maximum(num_negatives, self.min_negatives_per_image)
        is_kept = is_positive | (tf.cumsum(tf.cast(is_negative, tf.int32)) <= num_negatives)
        return tf.boolean_mask(order, is_kept)
