"""The convolution with normalization and activation of which the networks are built.

Batch norm with fixed statistics is a multiplication and an addition for each channel. It is carried out on the kernel
and the bias before the convolution, which gives the same function and the same gradients for a fraction of the work:
the kernel is thousands of times smaller than the activations, and convolution, bias and activation then run as one
operation.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, normalization
from tfodhelper.ops import own_gradients, small_maps, wide_sums


@dataclasses.dataclass(frozen=True)
class ConvHyperparams:
    """How the convolutions of one part of a network are made.

    Attributes:
      initializer: of kernels, a tf_keras initializer.
      regularizer: kernel -> scalar, or None.
      activation: tensor -> tensor, or None.
      norm: `NormHyperparams`, or None for no normalization.
      force_use_bias: whether convolutions have a bias although the normalization has one.
      covers_depthwise: whether initializer and regularizer hold for all kernels of the depthwise and separable
        convolutions of necks and heads, as in TF-Slim. In the published Keras models some of these are drawn from
        Glorot's uniform distribution and not regularized.
    """

    initializer: Callable
    regularizer: Callable | None = None
    activation: Callable | None = tf.nn.relu6
    norm: normalization.NormHyperparams | None = None
    force_use_bias: bool = False
    covers_depthwise: bool = False

    @property
    def use_bias(self):
        """Whether a convolution before the normalization has a bias."""
        return self.force_use_bias or self.norm is None or not self.norm.center


class Convolution(tf_keras.layers.Layer):
    """The variables of a convolution: kernel [h, w, in, out], depthwise [h, w, in, multiplier], and perhaps a bias.

    Args:
      in_channels: channels of the input.
      out_channels: channels of the output; None: a depthwise convolution with `multiplier` times those of the input.
      kernel_size: height and width of the kernel, one number or two.
      initializer: of the kernel.
      regularizer: kernel -> scalar, or None.
      use_bias: whether there is a bias.
      bias_initializer: of the bias.
      dilation: distance of the kernel's points on the input (atrous convolution); without strides and explicit padding.
      regularize_bias: whether the regularizer holds for the bias too.
      padded: whether the input is padded so that the output is the input's size divided by the stride.
      multiplier: outputs of a depthwise convolution per channel of the input.

    Attributes:
      arithmetic: type of input, kernel and output, see `models.precision`; the variables are float32 either way.
    """

    arithmetic = tf.float32

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        *,
        initializer,
        regularizer=None,
        use_bias=False,
        bias_initializer="zeros",
        dilation=1,
        regularize_bias=False,
        padded=True,
        multiplier=1,
        name=None,
    ):
        super().__init__(name=name)
        self.is_depthwise = out_channels is None
        self.kernel_size = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
        self._dilation, self._padding = dilation, "SAME" if padded else "VALID"
        self.out_channels = in_channels * multiplier if self.is_depthwise else out_channels
        self._kernel_regularizer = regularizer
        shape = [*self.kernel_size, in_channels, multiplier if self.is_depthwise else out_channels]
        kernel_name = "depthwise_kernel" if self.is_depthwise else "kernel"
        self.kernel = self.add_weight(name=kernel_name, shape=shape, initializer=_fresh(initializer))
        self.bias = None
        if use_bias:
            self.bias = self.add_weight(name="bias", shape=[self.out_channels], initializer=bias_initializer)
        self._regularized = [self.kernel, self.bias] if use_bias and regularize_bias else [self.kernel]
        self.built = True

    def call(self, inputs, strides=1, explicit_padding=False, scale=None, offset=None):
        """Convolves; unless made otherwise, zero padding makes the output the input's size divided by the stride.

        Args:
          inputs: float32 [b, height, width, in_channels].
          strides: in both directions.
          explicit_padding: whether to pad as much at either side, whatever the size of the input.
          scale: [out_channels], multiplies the output, or None.
          offset: [out_channels], is added after that, or None.

        Returns:
          [b, height / strides, width / strides, out_channels].
        """
        kernel, bias = self.fold(scale, offset)
        return self.convolve(inputs, kernel, bias, strides, explicit_padding)

    def fold(self, scale=None, offset=None):
        """Kernel and bias with which `convolve` does what `call` does; the bias may be None."""
        kernel, bias = self.kernel, self.bias
        if scale is not None:
            kernel = _scale_kernel(tf.convert_to_tensor(kernel), scale)
            bias = None if bias is None else bias * scale
        if offset is not None:
            bias = offset if bias is None else bias + offset
        return kernel, bias

    def convolve(self, inputs, kernel, bias, strides=1, explicit_padding=False):
        """As `call`, with kernel and bias [out] in place of the layer's own; their channels may be others."""
        arithmetic = self._arithmetic_for(inputs.shape)
        inputs, kernel = tf.cast(inputs, arithmetic), tf.cast(kernel, arithmetic)
        padding = self._padding
        if explicit_padding and self.kernel_size != (1, 1):
            around = [((size - 1) // 2, size // 2) for size in self.kernel_size]
            inputs = tf.pad(inputs, [[0, 0], *around, [0, 0]])
            padding = "VALID"
        if self.is_depthwise:
            outputs = wide_sums.depthwise_convolve(inputs, kernel, strides, padding)
        elif self._dilation > 1:
            outputs = tf.nn.convolution(inputs, kernel, padding=padding, dilations=self._dilation)
        else:
            outputs = small_maps.convolve(inputs, kernel, strides, padding)
        # Not tf.nn.bias_add: its gradient would be fused with that of the kernel, which is several times slower on CPUs
        # for wide maps of few channels. The addition runs inside the convolution either way.
        outputs = outputs if bias is None else add_to_channels(outputs, tf.cast(bias, arithmetic))
        return tf.cast(outputs, self.arithmetic)

    def _arithmetic_for(self, shape):
        """float32 for maps smaller than the kernel, which cost nothing.

        In one of two runs, oneDNN's gradient of a bfloat16 kernel on such a map had values of 1e28 in place of 1
        (TensorFlow 2.20, a 3x3 kernel with stride 2 on a map of one pixel), and trainings became NaN.
        """
        is_smaller = any(side is not None and side < size for side, size in zip(shape[1:3], self.kernel_size))
        return tf.float32 if is_smaller else self.arithmetic

    def freeze(self, frozen):
        """Leaves variables out of the regularization.

        Args:
          frozen: ids of variables that training leaves as they are.
        """
        self._regularized = [variable for variable in self._regularized if id(variable) not in frozen]

    def regularization_losses(self):
        """A list with the kernel's regularization loss, perhaps the bias's, or an empty one."""
        if self._kernel_regularizer is None:
            return []
        return [self._kernel_regularizer(variable) for variable in self._regularized]

    def checkpoint_keys(self):
        """{name in checkpoints: variable}."""
        keys = {"depthwise_kernel" if self.is_depthwise else "kernel": self.kernel}
        if self.bias is not None:
            keys["bias"] = self.bias
        return keys


def _scale_kernel(kernel, scale):
    """Multiplies the channels of the output, [out]; a depthwise kernel has them in its last two dimensions."""
    return tf.reshape(scale_channels(tf.reshape(kernel, [-1, scale.shape[0]]), scale), kernel.shape)


@own_gradients.with_own_gradient(plain=tf.multiply)
def scale_channels(values, scale):
    """Multiplies [n, c] by [c]; for the gradient see `add_to_channels`."""
    return values * scale, lambda upstream: (upstream * scale, _sum_channels(upstream * values))


@own_gradients.with_own_gradient(plain=tf.add)
def add_to_channels(maps, bias):
    """Adds [c] to float [b, height, width, c]; on CPUs, the gradient takes a fourth of the time of TensorFlow's own."""
    return maps + bias, lambda upstream: (upstream, _sum_channels(upstream))


def _sum_channels(values):
    """[..., c] -> [c]."""
    pixels = tf.reshape(values, [-1, values.shape[-1]])
    if tf.config.list_logical_devices("GPU"):  # where products have fewer bits
        return tf.reduce_sum(pixels, 0)
    return wide_sums.matmul(tf.ones([1, tf.shape(pixels)[0]], pixels.dtype), pixels)[0]


class Dense(tf_keras.layers.Layer):
    """A fully connected layer: kernel [in, out], drawn from Glorot's uniform distribution, and bias.

    Attributes:
      arithmetic: as of `Convolution`.
    """

    arithmetic = tf.float32

    def __init__(self, in_channels, out_channels, name=None):
        super().__init__(name=name)
        initializer = tf_keras.initializers.GlorotUniform()
        self.kernel = self.add_weight(name="kernel", shape=[in_channels, out_channels], initializer=initializer)
        self.bias = self.add_weight(name="bias", shape=[out_channels], initializer="zeros")
        self.built = True

    def call(self, inputs):
        """[n, in] -> [n, out]."""
        inputs, kernel, bias = (tf.cast(tensor, self.arithmetic) for tensor in (inputs, self.kernel, self.bias))
        return wide_sums.matmul(inputs, kernel) + bias

    def checkpoint_keys(self):
        """{name in checkpoints: variable}."""
        return {"kernel": self.kernel, "bias": self.bias}


class ConvBlock(tf_keras.layers.Layer):
    """Convolution, normalization, activation.

    Args:
      convolution: a `Convolution` or a `separable.SeparableConvolution`.
      norm: a `BatchNorm`, or None.
      activation: tensor -> tensor, or None.
      strides: of the convolution.
      explicit_padding: see `Convolution.call`.
    """

    def __init__(self, convolution, norm, activation, *, strides=1, explicit_padding=False, name=None):
        super().__init__(name=name)
        self.convolution, self.norm, self._activation = convolution, norm, activation
        self._strides, self._explicit_padding = strides, explicit_padding
        self.built = True

    def call(self, inputs, training=False):
        """float32 [b, height, width, in_channels] -> [b, height / strides, width / strides, out_channels]."""
        scale, offset = self._scale_and_offset(training)
        outputs = self.convolution(inputs, self._strides, self._explicit_padding, scale, offset)
        return self.finish(outputs, training)

    def _scale_and_offset(self, training):
        """Of the batch norm, where it uses its statistics; else None, None."""
        return self.norm.scale_and_offset() if self._is_linear(training) else (None, None)

    def _is_linear(self, training):
        return self.norm is not None and (self.norm.frozen or not training)

    @property
    def is_pointwise(self):
        """Whether it sees each pixel alone: a 1x1 convolution without strides."""
        is_plain = isinstance(self.convolution, Convolution) and not self.convolution.is_depthwise
        return is_plain and self.convolution.kernel_size == (1, 1) and self._strides == 1

    def fold(self, training=False):
        """Kernel and bias of the convolution; batch norm is in them where it uses its statistics."""
        return self.convolution.fold(*self._scale_and_offset(training))

    def finish(self, outputs, training=False):
        """What comes after the convolution with the folded kernel: batch norm where it is not in it, and activation."""
        if self.norm is not None and not self._is_linear(training):
            outputs = self.norm(outputs, training=training)
        return outputs if self._activation is None else self._activation(outputs)

    def layers_in_order(self):
        """The convolution, and the batch norm where there is one."""
        return [layer for layer in (self.convolution, self.norm) if layer is not None]

    def regularization_losses(self):
        """A list of scalars."""
        return self.convolution.regularization_losses()

    def checkpoint_keys(self):
        """{`layer_with_weights-N/name`: variable}, for a block that is a network of its own."""
        return keras_keys.number_keys(self.layers_in_order())


def build_block(
    hyperparams,
    frozen,
    in_channels,
    out_channels,
    kernel_size,
    *,
    strides=1,
    explicit_padding=False,
    dilation=1,
    padded=True,
    initializer=None,
    regularize=True,
    use_bias=None,
    name=None,
):
    """A `ConvBlock` with its layers.

    Args:
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are.
      in_channels: channels of the input.
      out_channels: channels of the output; None: depthwise.
      kernel_size: height and width of the kernel.
      strides: of the convolution.
      explicit_padding: see `Convolution.call`.
      dilation: see `Convolution`.
      padded: see `Convolution`.
      initializer: of the kernel, in place of that of `hyperparams`.
      regularize: whether the regularizer of `hyperparams` holds for this kernel.
      use_bias: whether the convolution has a bias, in place of that of `hyperparams`.
      name: of the layer.
    """
    convolution = Convolution(
        in_channels,
        out_channels,
        kernel_size,
        initializer=initializer or hyperparams.initializer,
        regularizer=hyperparams.regularizer if regularize else None,
        use_bias=hyperparams.use_bias if use_bias is None else use_bias,
        dilation=dilation,
        padded=padded,
    )
    norm = None
    if hyperparams.norm is not None:
        norm = normalization.BatchNorm(convolution.out_channels, hyperparams.norm, frozen)
    return ConvBlock(
        convolution, norm, hyperparams.activation, strides=strides, explicit_padding=explicit_padding, name=name
    )


def build_depthwise_block(hyperparams, frozen, channels, kernel_size, **others):
    """A depthwise `ConvBlock` of a neck or a head, see `ConvHyperparams.covers_depthwise`.

    Args:
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are.
      channels: of input and output.
      kernel_size: height and width of the kernel.
      **others: see `build_block`.
    """
    if not hyperparams.covers_depthwise:
        others = {**others, "regularize": False, "initializer": tf_keras.initializers.GlorotUniform()}
    return build_block(hyperparams, frozen, channels, None, kernel_size, **others)


def _fresh(initializer):
    """A copy of an initializer: tf_keras gives equal values to all variables that share one."""
    initializer = tf_keras.initializers.get(initializer)
    return type(initializer).from_config(initializer.get_config())


def scale_depth(depth, multiplier, minimum):
    """Number of channels of a layer whose width is multiplied, rounded down, and at least `minimum`."""
    return max(int(depth * multiplier), minimum)


def round_depth(depth, divisor=8):
    """The multiple of `divisor` next to a number of channels, at least `divisor`, and at least 90 % of `depth`."""
    rounded = max(int(depth + divisor / 2) // divisor * divisor, divisor)
    return rounded + divisor if rounded < 0.9 * depth else rounded
