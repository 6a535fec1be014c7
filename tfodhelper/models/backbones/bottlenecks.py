"""Bottlenecks of efficient networks: rows of convolutions, perhaps with squeeze and excitation, beside a shortcut."""

import abc

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, layers, slim_naming


def hard_swish(features):
    """x * min(max(x + 3, 0), 6) / 6, a tensor of any shape (Howard et al. 2019, section 5.2; arXiv 1905.02244)."""
    return features * tf.nn.relu6(features + 3.0) * (1.0 / 6.0)


class SqueezeExcitation(tf_keras.layers.Layer):
    """Weights channels by what all of them are on average in the image (Hu et al. 2017; arXiv 1709.01507).

    Args:
      channels: of input and output.
      reduced: number of channels between the two 1x1 convolutions.
      hyperparams: `ConvHyperparams`, for initializer, regularizer and the activation between the convolutions.
      gate: tensor -> tensor; makes weights of channels from the second convolution.
      regularize_bias: whether the regularizer holds for biases too.
    """

    def __init__(self, channels, reduced, hyperparams, gate, regularize_bias=False, name=None):
        super().__init__(name=name)
        own = {
            "initializer": hyperparams.initializer,
            "regularizer": hyperparams.regularizer,
            "use_bias": True,
            "regularize_bias": regularize_bias,
        }
        self.reduce = layers.ConvBlock(layers.Convolution(channels, reduced, 1, **own), None, hyperparams.activation)
        self.expand = layers.ConvBlock(layers.Convolution(reduced, channels, 1, **own), None, gate)
        self.built = True

    def call(self, inputs, training=False):
        """float32 [b, h, w, channels] -> same shape."""
        del training
        return inputs * self.expand(self.reduce(tf.reduce_mean(inputs, axis=[1, 2], keepdims=True)))

    def scoped_blocks(self, scope):
        """[(name of its scope in TF-Slim, block)], in order."""
        return [(f"{scope}/Conv", self.reduce), (f"{scope}/Conv_1", self.expand)]


class Bottleneck(tf_keras.layers.Layer):
    """Steps in a row, whose output is perhaps added to their input.

    Args:
      steps: {name of its scope in TF-Slim: `ConvBlock`, or a layer with `scoped_blocks(scope)`}, in order.
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
            scoped += [(scope, step)] if isinstance(step, layers.ConvBlock) else step.scoped_blocks(scope)
        return scoped


class ScopedBackbone(tf_keras.layers.Layer, abc.ABC):
    """A backbone whose layers follow one another.

    Args:
      slim_scope: scope of the network in first-generation checkpoints.
      slim_output: the layer there that the last output comes from.
    """

    def __init__(self, slim_scope, slim_output, name=None):
        super().__init__(name=name)
        self.slim_scope: str = slim_scope
        self.slim_output: str = slim_output

    @abc.abstractmethod
    def scoped_blocks(self):
        """[(name of its scope in TF-Slim, `ConvBlock`)], in order."""

    @abc.abstractmethod
    def stages(self):
        """The network in steps, from the input on: lists of layers."""

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for _, block in self.scoped_blocks() for loss in block.regularization_losses()]

    def checkpoint_keys(self):
        """{`layer_with_weights-N/name`: variable}, N counting convolutions and batch norms in order, as Keras does.

        Of these networks, the Object Detection API has object-graph checkpoints of MobileNet V2 alone.
        """
        return keras_keys.number_keys([layer for _, block in self.scoped_blocks() for layer in block.layers_in_order()])

    def slim_names(self, stage):
        """{own key: names in first-generation checkpoints}; see `slim_naming.scopes_of`."""
        scopes = slim_naming.scopes_of(stage, [self.slim_scope])
        scoped = [([f"{scope}/{name}" for scope in scopes], block) for name, block in self.scoped_blocks()]
        return slim_naming.name_variables(self, scoped)


class BottleneckNetwork(ScopedBackbone):
    """Stem, bottlenecks and perhaps a last convolution; layer 1 is the stem, the bottlenecks follow.

    A network sets `stem`, `units`, `last` and `channels`, {endpoint: number of channels}.

    Args:
      slim_scope: see `ScopedBackbone`.
      endpoints: what is returned: `layer_N` for the output of that layer, `layer_N/expansion_output` for what its
        expanding convolution gives.
    """

    FIRST_UNIT = 2  # number of its layer

    def __init__(self, slim_scope, endpoints, name=None):
        super().__init__(slim_scope, endpoints[-1], name=name)
        self._endpoints = tuple(endpoints)
        self.stem, self.units, self.last, self.channels = None, [], None, {}

    @property
    def depths(self):
        """Numbers of channels of the outputs."""
        return [self.channels[endpoint] for endpoint in self._endpoints]

    def call(self, inputs, training=False):
        """float32 [b, h, w, 3], -1..1 -> list of float32 [b, h / stride, w / stride, depth], one per endpoint."""
        features, outputs = {}, self.stem(inputs, training=training)
        for number, unit in enumerate(self.units, start=self.FIRST_UNIT):
            outputs, expanded = unit(outputs, training=training)
            features[f"layer_{number}"], features[f"layer_{number}/expansion_output"] = outputs, expanded
        if self.last is not None:
            features[f"layer_{self.FIRST_UNIT + len(self.units)}"] = self.last(outputs, training=training)
        return [features[endpoint] for endpoint in self._endpoints]

    def stages(self):
        """See `ScopedBackbone`."""
        return [[layer] for layer in (self.stem, *self.units, self.last) if layer is not None]

    def scoped_blocks(self):
        """See `ScopedBackbone`."""
        scoped = [("Conv", self.stem)]
        for index, unit in enumerate(self.units):
            scope = f"expanded_conv_{index}" if index else "expanded_conv"
            scoped += [(f"{scope}/{name}", block) for name, block in unit.scoped_blocks()]
        return scoped if self.last is None else [*scoped, ("Conv_1", self.last)]
