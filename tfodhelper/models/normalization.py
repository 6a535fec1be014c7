"""Batch normalization whose statistics may be frozen."""

import dataclasses

import tensorflow as tf
import tf_keras


@dataclasses.dataclass(frozen=True)
class NormHyperparams:
    """Batch norm: momentum of the moving statistics, which parameters it has, and whether its statistics move."""

    momentum: float = 0.9997
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    moves: bool = True


class BatchNorm(tf_keras.layers.Layer):
    """Batch normalization over all axes but the last (Ioffe and Szegedy 2015; arXiv 1502.03167).

    Args:
      channels: of input and output.
      hyperparams: `NormHyperparams`.
      frozen: whether the moving statistics are used, and stay as they are, in training too. gamma and beta are
        trained either way.
    """

    def __init__(self, channels, hyperparams, frozen, name=None):
        super().__init__(name=name)
        self._hyperparams = hyperparams
        self._channels = channels
        self.frozen = frozen or not hyperparams.moves
        self._count_updates = None
        self.gamma = self._add("gamma", "ones") if hyperparams.scale else None
        self.beta = self._add("beta", "zeros") if hyperparams.center else None
        self.moving_mean = self._add_statistic("moving_mean", "zeros")
        self.moving_variance = self._add_statistic("moving_variance", "ones")
        self.built = True

    def _add(self, name, initializer):
        return self.add_weight(name=name, shape=[self._channels], initializer=initializer)

    def _add_statistic(self, name, initializer):
        return self.add_weight(
            name=name,
            shape=[self._channels],
            initializer=initializer,
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.MEAN,
        )

    def freeze(self, frozen):
        """Keeps the statistics as they are if the variables that the layer could learn are frozen.

        Args:
          frozen: ids of variables that training leaves as they are.
        """
        learned = [variable for variable in (self.gamma, self.beta) if variable is not None]
        self.frozen = self.frozen or all(id(v) in frozen for v in learned or [self.moving_mean, self.moving_variance])

    def warm_up(self, num_updates):
        """Lets the moving statistics follow closely at first, while there is little that they could average.

        Update n, counted from 0, has a momentum of at most (1 + n) / (10 + n), as tf.train.ExponentialMovingAverage
        with `num_updates` has it: the average goes over the last tenth of the training, until that is as long as the
        momentum's own memory.

        Args:
          num_updates: integer scalar variable, the updates so far. It is not a weight of this layer.
        """
        self._count_updates = lambda: num_updates

    @property
    def momentum(self):
        """What the next update leaves of the moving statistics, 0 to 1."""
        if self._count_updates is None:
            return self._hyperparams.momentum
        count = tf.cast(self._count_updates(), tf.float32)
        return tf.minimum(self._hyperparams.momentum, (1.0 + count) / (10.0 + count))

    def scale_and_offset(self):
        """The normalization by the moving statistics as `y = x * scale + offset`, two tensors [channels]."""
        scale = tf.math.rsqrt(self.moving_variance + self._hyperparams.epsilon)
        if self.gamma is not None:
            scale = scale * self.gamma
        offset = -self.moving_mean * scale
        return scale, offset if self.beta is None else offset + self.beta

    def call(self, inputs, training=False):
        """Normalizes [b, height, width, channels] or [b, channels]; in training by the batch, which moves statistics.

        Statistics are computed in float32, whatever the type of the inputs.

        As in Keras, the variance that is taken over is the sample's where there are maps, else the batch's own.
        """
        if self.frozen or not training:
            scale, offset = (tf.cast(tensor, inputs.dtype) for tensor in self.scale_and_offset())
            return inputs * scale + offset
        gamma = tf.ones([self._channels]) if self.gamma is None else self.gamma
        beta = tf.zeros([self._channels]) if self.beta is None else self.beta
        epsilon = self._hyperparams.epsilon
        if inputs.shape.rank == 2:
            exact = tf.cast(inputs, tf.float32)
            mean, variance = tf.nn.moments(exact, [0])
            outputs = tf.cast(tf.nn.batch_normalization(exact, mean, variance, beta, gamma, epsilon), inputs.dtype)
        else:
            outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(inputs, gamma, beta, epsilon=epsilon)
        step = 1.0 - self.momentum
        self.moving_mean.assign_sub((self.moving_mean - mean) * step)
        self.moving_variance.assign_sub((self.moving_variance - variance) * step)
        return outputs

    def checkpoint_keys(self):
        """{name in checkpoints: variable}."""
        keys = {"moving_mean": self.moving_mean, "moving_variance": self.moving_variance}
        if self.gamma is not None:
            keys["gamma"] = self.gamma
        if self.beta is not None:
            keys["beta"] = self.beta
        return keys


def warm_up_statistics(model, num_updates):
    """Calls `BatchNorm.warm_up` for every batch norm of a model whose statistics move; returns their number."""
    norms = [module for module in model.submodules if isinstance(module, BatchNorm) and not module.frozen]
    for norm in norms:
        norm.warm_up(num_updates)
    return len(norms)
