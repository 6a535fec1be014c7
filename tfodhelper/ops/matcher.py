"""Which ground truth box each anchor answers for."""

import dataclasses

import tensorflow as tf

UNMATCHED = -1
IGNORED = -2


@dataclasses.dataclass(frozen=True)
class ArgmaxMatcher:
    """Gives each anchor the most similar ground truth box, when it is similar enough.

    Attributes:
      matched_threshold: least similarity of a match; None: every anchor is matched.
      unmatched_threshold: anchors below it are unmatched, those from it up to `matched_threshold` are ignored.
      negatives_lower_than_unmatched: False swaps unmatched and ignored.
      force_match_for_each_row: whether each ground truth box of positive weight also gets the anchor that is most
        similar to it, however little that is; if several boxes want the same anchor, the first one gets it.
    """

    matched_threshold: float | None = 0.5
    unmatched_threshold: float | None = 0.5
    negatives_lower_than_unmatched: bool = True
    force_match_for_each_row: bool = False

    def match(self, similarity, is_row_valid):
        """Matches a batch.

        Args:
          similarity: float32 [B, M, A], ground truth boxes against anchors.
          is_row_valid: bool [B, M], which boxes may force a match.

        Returns:
          int32 [B, A]: index of a ground truth box, `UNMATCHED` or `IGNORED`.
        """
        num_rows = similarity.shape[1] if similarity.shape[1] is not None else tf.shape(similarity)[1]
        if isinstance(num_rows, int) and num_rows == 0:
            return tf.fill([tf.shape(similarity)[0], tf.shape(similarity)[2]], UNMATCHED)
        matches = tf.argmax(similarity, axis=1, output_type=tf.int32)
        if self.matched_threshold is not None:
            matches = self._apply_thresholds(matches, tf.reduce_max(similarity, axis=1))
        if self.force_match_for_each_row:
            matches = _force_matches(matches, similarity, is_row_valid)
        return matches

    def _apply_thresholds(self, matches, best):
        below, between = UNMATCHED, IGNORED
        if not self.negatives_lower_than_unmatched:
            below, between = IGNORED, UNMATCHED
        matches = tf.where(best < self.matched_threshold, between, matches)
        return tf.where(best < self.unmatched_threshold, below, matches)


def _force_matches(matches, similarity, is_row_valid):
    """Gives each valid row its best column; if several rows want a column, the lowest row gets it."""
    num_rows, num_columns = tf.shape(similarity)[1], tf.shape(similarity)[2]
    best_columns = tf.argmax(similarity, axis=2, output_type=tf.int32)  # [B, M]
    wanted = tf.equal(best_columns[:, :, tf.newaxis], tf.range(num_columns)) & is_row_valid[:, :, tf.newaxis]
    rows = tf.where(wanted, tf.range(num_rows)[:, tf.newaxis], num_rows)  # [B, M, A]
    first_row = tf.reduce_min(rows, axis=1)
    return tf.where(first_row < num_rows, first_row, matches)
