"""Losses of boxes and classes, one number for each anchor.

Shape letters: B batch, A anchors, C class columns. A weight multiplies its anchor's loss and its gradient.
"""

import tensorflow as tf


def l1(codes, targets, weights):
    """Sum over the code of |difference|.

    Args:
      codes: float32 [B, A, 4], predicted box codes.
      targets: float32 [B, A, 4].
      weights: float32 [B, A].

    Returns:
      float32 [B, A].
    """
    return tf.reduce_sum(tf.abs(codes - targets), axis=-1) * weights


def l2(codes, targets, weights):
    """Half the sum of squares of the weighted difference; arguments as in `l1`. The weight counts squared."""
    return 0.5 * tf.reduce_sum(tf.square((codes - targets) * weights[..., tf.newaxis]), axis=-1)


def smooth_l1(codes, targets, weights, delta=1.0):
    """Quadratic near zero, linear beyond `delta` (Girshick 2015, eq. 3; arXiv 1504.08083); arguments as in `l1`.

    0.5 x^2 where |x| <= delta, elsewhere delta (|x| - 0.5 delta), summed over the code.
    """
    error = tf.abs(codes - targets)
    quadratic_part = tf.minimum(error, delta)
    linear_part = error - quadratic_part
    return tf.reduce_sum(0.5 * quadratic_part * quadratic_part + delta * linear_part, axis=-1) * weights


def sigmoid(class_logits, targets, weights):
    """Cross entropy of independent classes, summed over them.

    Args:
      class_logits: float32 [B, A, C].
      targets: float32 [B, A, C], 0 to 1.
      weights: float32 [B, A].

    Returns:
      float32 [B, A].
    """
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=class_logits)
    return tf.reduce_sum(entropy, axis=-1) * weights


def sigmoid_focal(class_logits, targets, weights, gamma=2.0, alpha=None):
    """Focal loss (Lin et al. 2017, eq. 5; arXiv 1708.02002), summed over the classes.

    Args:
      class_logits: float32 [B, A, C].
      targets: float32 [B, A, C], each 0 or 1.
      weights: float32 [B, A].
      gamma: exponent of (1 - p_t), which makes easy examples count less.
      alpha: weight of targets of 1; those of 0 have the weight 1 - alpha. None: all have the weight 1.

    Returns:
      float32 [B, A].
    """
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=class_logits)
    if gamma:
        # For targets of 0 and 1, 1 - p_t = sigmoid(-z) with z = logit * (2 target - 1).
        miss = tf.sigmoid(class_logits * (1.0 - 2.0 * targets))
        entropy *= tf.square(miss) if gamma == 2.0 else tf.pow(miss, gamma)
    if alpha is not None:
        entropy *= targets * (2.0 * alpha - 1.0) + (1.0 - alpha)
    return tf.reduce_sum(entropy, axis=-1) * weights


def softmax(class_logits, targets, weights, logit_scale=1.0):
    """Cross entropy of mutually exclusive classes.

    Args:
      class_logits: float32 [B, A, C].
      targets: float32 [B, A, C], rows that sum to 1.
      weights: float32 [B, A].
      logit_scale: divides the logits.

    Returns:
      float32 [B, A].
    """
    return tf.nn.softmax_cross_entropy_with_logits(labels=targets, logits=class_logits / logit_scale) * weights


def bootstrapped_sigmoid(class_logits, targets, weights, alpha, hard=False):
    """Cross entropy with targets softened by the prediction itself, for noisy labels; otherwise as `sigmoid`.

    The target becomes alpha * target + (1 - alpha) * p, where p is the predicted probability, or with `hard` 1 where
    that is above 0.5 and 0 elsewhere (Reed et al. 2014, section 3; arXiv 1412.6596).
    """
    probabilities = tf.sigmoid(class_logits)
    if hard:
        probabilities = tf.cast(probabilities > 0.5, tf.float32)
    return sigmoid(class_logits, alpha * targets + (1.0 - alpha) * probabilities, weights)
