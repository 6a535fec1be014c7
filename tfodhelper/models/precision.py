"""Arithmetic of lower precision than float32 in the layers of a detector (Micikevicius et al. 2017; arXiv 1710.03740).

Inputs, kernels and outputs of convolutions and dense layers, and all that lies between these layers, are of the lower
type. Variables, the statistics of batch norms, predictions, losses, and what is done with boxes stay float32.
"""

import tensorflow as tf
import tf_keras

from tfodhelper.models import layers

_TYPES = {"bfloat16": tf.bfloat16, "float16": tf.float16}


def lower(detector, precision):
    """Lets the layers of a detector compute in a lower precision, before anything is traced.

    Args:
      detector: a `Detector`.
      precision: "float32", which changes nothing, "bfloat16" or "float16".
    """
    if precision not in _TYPES:
        return
    for layer in detector.submodules:
        if isinstance(layer, tf_keras.layers.Layer):
            layer._autocast = False  # else Keras turns what a layer gets into float32
        if isinstance(layer, (layers.Convolution, layers.Dense)):
            layer.arithmetic = _TYPES[precision]
    detector._autocast = False


class LossScale(tf.Module):
    """A factor that keeps small gradients of float16 above zero, and follows what does not overflow.

    The loss is multiplied by it before its gradients are computed, and the gradients are divided by it. If they are not
    finite, they count as zero and the factor is divided by `_BACKOFF`, so that few steps are lost until it fits; after
    `_GROWTH_INTERVAL` finite steps it is doubled.
    """

    _INITIAL, _BACKOFF, _GROWTH_INTERVAL = 2.0**7, 8.0, 2000

    def __init__(self):
        super().__init__(name="loss_scale")
        options = {"trainable": False, "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA}
        self.factor = tf.Variable(self._INITIAL, name="factor", **options)
        self.num_finite = tf.Variable(0, name="num_finite", **options)

    def unscale(self, gradients):
        """Gradients of the scaled loss -> those of the loss, all zero where one is not finite; follows the factor.

        Args:
          gradients: float32 tensors, None for a variable that the loss does not depend on.

        Returns:
          Gradients.
        """
        factor = tf.identity(self.factor)
        finite = [tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients if gradient is not None]
        is_finite = tf.reduce_all(finite)
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            # All replicas have to agree.
            is_finite = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(~is_finite, tf.float32)) == 0.0
        self._follow(is_finite, factor)
        return [g if g is None else tf.where(is_finite, g / factor, tf.zeros_like(g)) for g in gradients]

    def _follow(self, is_finite, factor):
        num_finite = tf.where(is_finite, self.num_finite + 1, 0)
        grows = num_finite >= self._GROWTH_INTERVAL
        grown = tf.where(grows, factor * 2.0, factor)
        self.factor.assign(tf.where(is_finite, grown, tf.maximum(factor / self._BACKOFF, 1.0)))
        self.num_finite.assign(tf.where(grows, 0, num_finite))
