"""The separable convolution: depthwise, then 1x1, with nothing in between (Chollet 2016; arXiv 1610.02357)."""

import tf_keras

from tfodhelper.models import layers, normalization


class SeparableConvolution(tf_keras.layers.Layer):
    """A depthwise convolution and a 1x1 convolution that count as one layer; stands where a `Convolution` may stand.

    Args:
      depthwise: a depthwise `Convolution` without bias.
      pointwise: a 1x1 `Convolution`, perhaps with a bias.
    """

    def __init__(self, depthwise, pointwise, name=None):
        super().__init__(name=name)
        self.depthwise, self.pointwise = depthwise, pointwise
        self.built = True

    @property
    def out_channels(self):
        """Channels of the output."""
        return self.pointwise.out_channels

    def call(self, inputs, strides=1, explicit_padding=False, scale=None, offset=None):
        """As `Convolution.call`."""
        features = self.depthwise(inputs, strides, explicit_padding)
        return self.pointwise(features, scale=scale, offset=offset)

    def regularization_losses(self):
        """A list of scalars, perhaps empty."""
        return self.depthwise.regularization_losses() + self.pointwise.regularization_losses()

    def checkpoint_keys(self):
        """{name in checkpoints: variable}."""
        keys = dict(self.depthwise.checkpoint_keys())
        for key, variable in self.pointwise.checkpoint_keys().items():
            keys["pointwise_kernel" if key == "kernel" else key] = variable
        return keys


def build_separable(
    hyperparams,
    in_channels,
    out_channels,
    kernel_size,
    *,
    use_bias,
    bias_initializer="zeros",
    for_depthwise=True,
    for_pointwise=False,
    name=None,
):
    """A `SeparableConvolution`.

    The published Keras models give the configured initializer and regularizer to the depthwise kernel of most of these
    layers, and to the pointwise kernel only where the configuration asks for it; TF-Slim gives them to both.

    Args:
      hyperparams: `ConvHyperparams`; if it `covers_depthwise`, it holds for both kernels.
      in_channels: channels of the input.
      out_channels: channels of the output.
      kernel_size: height and width of the depthwise kernel.
      use_bias: whether there is a bias.
      bias_initializer: of the bias.
      for_depthwise: whether initializer and regularizer of `hyperparams` hold for the depthwise kernel; else it is
        drawn from Glorot's uniform distribution and not regularized.
      for_pointwise: likewise for the pointwise kernel.
      name: of the layer.
    """
    for_depthwise = for_depthwise or hyperparams.covers_depthwise
    for_pointwise = for_pointwise or hyperparams.covers_depthwise
    glorot = tf_keras.initializers.GlorotUniform()
    depthwise = layers.Convolution(
        in_channels,
        None,
        kernel_size,
        initializer=hyperparams.initializer if for_depthwise else glorot,
        regularizer=hyperparams.regularizer if for_depthwise else None,
    )
    pointwise = layers.Convolution(
        in_channels,
        out_channels,
        1,
        initializer=hyperparams.initializer if for_pointwise else glorot,
        regularizer=hyperparams.regularizer if for_pointwise else None,
        use_bias=use_bias,
        bias_initializer=bias_initializer,
    )
    return SeparableConvolution(depthwise, pointwise, name=name)


def build_separable_block(
    hyperparams, frozen, in_channels, out_channels, kernel_size, *, strides=1, explicit_padding=False, name=None
):
    """A `ConvBlock` with a separable convolution; for the arguments see `layers.build_block`."""
    convolution = build_separable(hyperparams, in_channels, out_channels, kernel_size, use_bias=hyperparams.use_bias)
    norm = None
    if hyperparams.norm is not None:
        norm = normalization.BatchNorm(out_channels, hyperparams.norm, frozen)
    return layers.ConvBlock(
        convolution, norm, hyperparams.activation, strides=strides, explicit_padding=explicit_padding, name=name
    )
