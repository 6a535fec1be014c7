"""MobileNet V1 (Howard et al. 2017, table 1; arXiv 1704.04861) without its classification top."""

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, layers, normalization, slim_naming

STEM_DEPTH = 32
# (stride, output channels) of the 13 pairs of a depthwise 3x3 and a pointwise 1x1 convolution.
PAIRS = (
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024),
)

# With fewer channels at the end, as feature pyramids with separable convolutions take them.
SLENDER_PAIRS = (*PAIRS[:11], (2, 512), (1, 256))

# What the convolutions have where the configuration does not override them.
DEFAULT_HYPERPARAMS = layers.ConvHyperparams(
    initializer=tf_keras.initializers.TruncatedNormal(stddev=0.09),
    regularizer=lambda kernel: 4e-5 * tf.nn.l2_loss(kernel),
    activation=tf.nn.relu6,
    norm=normalization.NormHyperparams(momentum=0.9997, epsilon=1e-3),
)


class MobileNetV1(tf_keras.layers.Layer):
    """The 27 convolutions, each with batch norm and activation.

    Args:
      hyperparams: `ConvHyperparams`; its bias setting is not used, since these convolutions never have one.
      frozen: whether batch norm statistics stay as they are in training.
      depth_multiplier: of all numbers of channels, applied once.
      min_depth: least number of channels.
      explicit_padding: see `layers.Convolution.call`.
      endpoints: numbers of the pairs (1 to 13) whose outputs are returned.
      pairs: (stride, output channels) of the pairs.
    """

    def __init__(
        self,
        hyperparams=DEFAULT_HYPERPARAMS,
        *,
        frozen=False,
        depth_multiplier=1.0,
        min_depth=16,
        explicit_padding=False,
        endpoints=(11, 13),
        pairs=PAIRS,
        name="mobilenet_v1",
    ):
        super().__init__(name=name)
        self._endpoints = tuple(endpoints)

        def block(in_channels, out_channels, kernel_size, strides, block_name):
            return _build_block(
                hyperparams, frozen, in_channels, out_channels, kernel_size, strides, explicit_padding, block_name
            )

        channels = layers.scale_depth(STEM_DEPTH, depth_multiplier, min_depth)
        blocks = [block(3, channels, 3, 2, "conv_0")]
        self._depths = {}
        for number, (strides, depth) in enumerate(pairs, start=1):
            if number > max(endpoints):
                break
            out_channels = layers.scale_depth(depth, depth_multiplier, min_depth)
            blocks.append(block(channels, None, 3, strides, f"conv_{number}_depthwise"))
            blocks.append(block(channels, out_channels, 1, 1, f"conv_{number}_pointwise"))
            self._depths[number] = channels = out_channels
        self.blocks = blocks
        self.built = True

    @property
    def depths(self):
        """Numbers of channels of the outputs."""
        return [self._depths[number] for number in self._endpoints]

    def call(self, inputs, training=False):
        """float32 [b, h, w, 3], -1..1 -> list of float32 [b, h / stride, w / stride, depth], one for each endpoint."""
        outputs, features = inputs, {}
        for index, block in enumerate(self.blocks):
            outputs = block(outputs, training=training)
            if index % 2 == 0:
                features[index // 2] = outputs
        return [features[number] for number in self._endpoints]

    def stages(self):
        """The network in steps, from the input on: lists of layers."""
        return [self.blocks[:1], *(self.blocks[i : i + 2] for i in range(1, len(self.blocks), 2))]

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for block in self.blocks for loss in block.regularization_losses()]

    def checkpoint_keys(self):
        """{`layer_with_weights-N/name`: variable}, N counting convolutions and batch norms in order."""
        return keras_keys.number_keys([layer for block in self.blocks for layer in block.layers_in_order()])

    @property
    def slim_scope(self):
        """Scope of the network in first-generation checkpoints."""
        return "MobilenetV1"

    @property
    def slim_output(self):
        """The layer there that the last output comes from."""
        return f"Conv2d_{max(self._endpoints)}_pointwise"

    def slim_names(self, stage):
        """{own key: names in first-generation checkpoints}; see `slim_naming.scopes_of`."""
        scopes = [f"{stage}/MobilenetV1", f"{stage}/MobilenetV1/MobilenetV1", "MobilenetV1"]
        names = ["Conv2d_0"]
        for number in range(1, len(self.blocks) // 2 + 1):
            names += [f"Conv2d_{number}_depthwise", f"Conv2d_{number}_pointwise"]
        scoped = [([f"{scope}/{name}" for scope in scopes], block) for name, block in zip(names, self.blocks)]
        return slim_naming.name_variables(self, scoped)


def _build_block(hyperparams, frozen, in_channels, out_channels, kernel_size, strides, explicit_padding, name):
    without_bias = layers.Convolution(
        in_channels, out_channels, kernel_size, initializer=hyperparams.initializer, regularizer=hyperparams.regularizer
    )
    norm = None
    if hyperparams.norm is not None:
        norm = normalization.BatchNorm(without_bias.out_channels, hyperparams.norm, frozen)
    return layers.ConvBlock(
        without_bias, norm, hyperparams.activation, strides=strides, explicit_padding=explicit_padding, name=name
    )
