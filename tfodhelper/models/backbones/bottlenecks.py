"""Bottlenecks of networks for phones: rows of convolutions, perhaps with squeeze and excitation, beside a shortcut."""

import tensorflow as tf
import tf_keras

from tfodhelper.models import layers


def hard_swish(features):
    """x * min(max(x + 3, 0), 6) / 6, a tensor of any shape (Howard et al. 2019, section 5.2; arXiv 1905.02244)."""
    return features * tf.nn.relu6(features + 3.0) * (1.0 / 6.0)


class SqueezeExcitation(tf_keras.layers.Layer):
    """Weights channels by what all of them are on average in the image (Hu et al. 2017; arXiv 1709.01507).

    Args:
      channels: of input and output.
      reduced: number of channels between the two 1x1 convolutions.
      hyperparams: `ConvHyperparams`, for initializer, regularizer and the activation between the convolutions. Their
        biases are not regularized.
      gate: tensor -> tensor; makes weights of channels from the second convolution.
    """

    def __init__(self, channels, reduced, hyperparams, gate, name=None):
        super().__init__(name=name)
        own = {"initializer": hyperparams.initializer, "regularizer": hyperparams.regularizer, "use_bias": True}
        self.reduce = layers.ConvBlock(layers.Convolution(channels, reduced, 1, **own), None, hyperparams.activation)
        self.expand = layers.ConvBlock(layers.Convolution(reduced, channels, 1, **own), None, gate)
        self.built = True

    def call(self, inputs, training=False):
        """float32 [b, h, w, channels] -> same shape."""
        del training
        return inputs * self.expand(self.reduce(tf.reduce_mean(inputs, axis=[1, 2], keepdims=True)))

    def scoped_blocks(self):
        """[(name of its scope in TF-Slim, block)], in order."""
        return [("Conv", self.reduce), ("Conv_1", self.expand)]


class Bottleneck(tf_keras.layers.Layer):
    """Steps in a row, whose output is perhaps added to their input.

    Args:
      steps: {name of its scope in TF-Slim: `ConvBlock` or `SqueezeExcitation`}, in order.
      has_shortcut: whether the input is added to the output.
    """

    def __init__(self, steps, has_shortcut, name=None):
        super().__init__(name=name)
        self.steps = list(steps.values())
        self._scopes, self._has_shortcut = tuple(steps), has_shortcut
        self.built = True

    def call(self, inputs, training=False):
        """Returns the output and what the first step gives.

        Args:
          inputs: float32 [b, h, w, in_channels].
          training: whether batch norm moves.

        Returns:
          float32 [b, h / strides, w / strides, depth], and the first step's output.
        """
        outputs, first = inputs, None
        for step in self.steps:
            outputs = step(outputs, training=training)
            first = outputs if first is None else first
        return (inputs + outputs if self._has_shortcut else outputs), first

    def scoped_blocks(self):
        """[(name of its scope in TF-Slim, `ConvBlock`)], in order."""
        scoped = []
        for scope, step in zip(self._scopes, self.steps):
            if isinstance(step, SqueezeExcitation):
                scoped += [(f"{scope}/{inner}", block) for inner, block in step.scoped_blocks()]
            else:
                scoped.append((scope, step))
        return scoped
