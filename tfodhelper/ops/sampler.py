"""Which anchors or proposals of an image count in the loss: a limited number, with positives and negatives balanced."""

import dataclasses

import tensorflow as tf


def random_order(shape):
    """Priorities that make every order equally likely: float32 of the given shape."""
    return tf.random.uniform(shape)


@dataclasses.dataclass(frozen=True)
class BalancedSampler:
    """Draws positives up to a fraction, and negatives for the rest.

    Attributes:
      size: maximum number of examples of an image.
      positive_fraction: maximum fraction of them that is positive.
      is_static: whether the first examples that are not candidates fill up the number to `size`, so that it is always
        the same, as in the published models for TPUs.
    """

    size: int = 256
    positive_fraction: float = 0.5
    is_static: bool = False

    def sample(self, is_candidate, is_positive, order=random_order):
        """Draws examples.

        Args:
          is_candidate: bool [B, N], which examples may be drawn.
          is_positive: bool [B, N].
          order: function from a shape to float32 priorities of that shape, not below 0; the greatest are drawn first.

        Returns:
          bool [B, N], which examples are drawn.
        """
        if self.is_static:
            missing = self.size - _count(is_candidate)
            is_candidate |= tf.cumsum(tf.cast(~is_candidate, tf.int32), axis=1) <= missing[:, tf.newaxis]
        priorities = order(tf.shape(is_candidate))
        most_positives = int(self.size * self.positive_fraction)
        positives = _take(is_candidate & is_positive, priorities, most_positives, most_positives)
        negatives = _take(
            is_candidate & ~is_positive, priorities, self.size, self.size - _count(positives)[:, tf.newaxis]
        )
        return positives | negatives


def gather_drawn(is_drawn, size, *tensors):
    """Collects the examples that are drawn, in their order.

    Args:
      is_drawn: bool [B, N], at most `size` in each row.
      size: rows of the results, at most N.
      *tensors: [B, N, ...].

    Returns:
      int32 [B], how many are drawn, and each tensor as [B, size, ...]; rows beyond that number are zero.
    """
    # Of equal values top_k takes the first ones, in their order.
    _, indices = tf.math.top_k(tf.cast(is_drawn, tf.int32), k=size)
    count = _count(is_drawn)
    results = []
    for tensor in tensors:
        rows = tf.gather(tensor, indices, batch_dims=1)
        is_used = tf.reshape(tf.sequence_mask(count, size), [-1, size] + [1] * (tensor.shape.rank - 2))
        results.append(tf.where(is_used, rows, tf.zeros_like(rows)))
    return count, *results


def _count(mask):
    """bool [B, N] -> int32 [B]."""
    return tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)


def _take(mask, priorities, most, count):
    """The `count` (at most `most`) true entries of [B, N] with the greatest priorities, as a mask."""
    shape = tf.shape(mask)
    values, indices = tf.math.top_k(tf.where(mask, priorities, -1.0), k=tf.minimum(most, shape[1]))
    is_taken = (values >= 0.0) & (tf.range(tf.shape(values)[1]) < count)
    rows = tf.broadcast_to(tf.range(shape[0])[:, tf.newaxis], tf.shape(indices))
    # Entries that are not taken are scattered too, so that all shapes are static.
    taken = tf.scatter_nd(tf.stack([rows, indices], axis=-1), tf.cast(is_taken, tf.int32), shape) > 0
    return tf.ensure_shape(taken, mask.shape)
