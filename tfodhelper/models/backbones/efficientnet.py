"""EfficientNet (Tan and Le 2019; arXiv 1905.11946), and the end of the classification network that checkpoints have.

Shape letters: b batch, h and w size of a map, c channels.
"""

import dataclasses
import math

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, layers, normalization
from tfodhelper.models.backbones import bottlenecks

_DEPTH_DIVISOR = 8
_STEM_DEPTH, _TOP_DEPTH = 32, 1280
_SQUEEZE_RATIO = 0.25
NUM_CLASSES = 1000  # of ImageNet


@dataclasses.dataclass(frozen=True)
class Scaling:
    """By how much a network is wider and deeper than B0 (Tan and Le 2019, section 3.3)."""

    width: float = 1.0
    depth: float = 1.0

    def num_channels(self, of_b0):
        """Number of channels of a layer: a multiple of 8, and not less than 90 % of the exact number."""
        exact = of_b0 * self.width
        rounded = max(_DEPTH_DIVISOR, int(exact + _DEPTH_DIVISOR / 2) // _DEPTH_DIVISOR * _DEPTH_DIVISOR)
        return rounded + _DEPTH_DIVISOR if rounded < 0.9 * exact else rounded

    def num_blocks(self, of_b0):
        """Number of blocks of a stage."""
        return math.ceil(self.depth * of_b0)


# The coefficients of the published networks.
SCALINGS = {
    "b0": Scaling(1.0, 1.0),
    "b1": Scaling(1.0, 1.1),
    "b2": Scaling(1.1, 1.2),
    "b3": Scaling(1.2, 1.4),
    "b4": Scaling(1.4, 1.8),
    "b5": Scaling(1.6, 2.2),
    "b6": Scaling(1.8, 2.6),
    "b7": Scaling(2.0, 3.1),
}


@dataclasses.dataclass(frozen=True)
class Stage:
    """Blocks in a row; the first one has the strides.

    Attributes:
      depth: channels of the output.
      num_blocks: how many there are.
      kernel_size: of the depthwise convolutions.
      strides: of the first block.
      expansion: how many times more channels there are inside a block than at its input.
    """

    depth: int
    num_blocks: int
    kernel_size: int
    strides: int
    expansion: int


STAGES = (  # of B0 (Tan and Le 2019, table 1)
    Stage(16, 1, 3, 1, 1),
    Stage(24, 2, 3, 2, 6),
    Stage(40, 2, 5, 2, 6),
    Stage(80, 3, 3, 2, 6),
    Stage(112, 3, 5, 1, 6),
    Stage(192, 4, 5, 2, 6),
    Stage(320, 1, 3, 1, 6),
)
# {level: (stage, block) whose output it is}. These blocks are the last ones of their stages in B0. The published
# detectors take the outputs of the same blocks in larger networks, where their stages have more of them.
ENDPOINTS = {1: (0, 0), 2: (1, 1), 3: (2, 1), 4: (4, 2), 5: (6, 0)}


def make_hyperparams():
    """`ConvHyperparams` of the published networks; the weight decay of 1e-5 is theirs, too."""
    return layers.ConvHyperparams(
        initializer=tf_keras.initializers.VarianceScaling(2.0, mode="fan_out", distribution="truncated_normal"),
        regularizer=lambda variable: 1e-5 * tf.nn.l2_loss(variable),
        activation=tf.nn.silu,
        norm=normalization.NormHyperparams(momentum=0.99, epsilon=1e-3),
    )


def drop_connect(features, rate):
    """Sets the features of some images to zero and scales the others up, so that the expected value stays.

    Args:
      features: float32 [b, h, w, c].
      rate: share of the images (stochastic depth; Huang et al. 2016, section 3; arXiv 1603.09382).

    Returns:
      float32, same shape.
    """
    survives = tf.random.uniform([tf.shape(features)[0], 1, 1, 1]) >= rate
    return features * tf.cast(tf.where(survives, 1.0 / (1.0 - rate), 0.0), features.dtype)


class InvertedBottleneck(tf_keras.layers.Layer):
    """1x1 expansion, depthwise convolution, squeeze and excitation, 1x1 projection (Tan and Le 2019, section 4).

    Args:
      in_channels: channels of the input.
      depth: channels of the output.
      stage: a `Stage`, for size of the kernel and expansion.
      strides: of the depthwise convolution.
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, in_channels, depth, stage, strides, hyperparams, frozen, name=None):
        super().__init__(name=name)
        self.depth, self._has_shortcut = depth, strides == 1 and in_channels == depth
        width, build = in_channels * stage.expansion, layers.build_block
        self.expansion = []
        if stage.expansion > 1:
            self.expansion = [build(hyperparams, frozen, in_channels, width, 1, name="expand")]
        self.depthwise = build(
            hyperparams, frozen, width, None, stage.kernel_size, strides=strides, regularize=False, name="depthwise"
        )
        reduced = max(1, int(in_channels * _SQUEEZE_RATIO))
        self.excitation = bottlenecks.SqueezeExcitation(
            width, reduced, hyperparams, tf.sigmoid, regularize_bias=True, name="excitation"
        )
        linear = dataclasses.replace(hyperparams, activation=None)
        self.projection = build(linear, frozen, width, depth, 1, name="project")
        self.built = True

    def call(self, inputs, training=False, drop_rate=0.0):
        """float32 [b, h, w, in_channels] -> [b, h / strides, w / strides, depth].

        Args:
          inputs: see above.
          training: whether batch norm moves.
          drop_rate: see `drop_connect`; where there is no shortcut, nothing is dropped.
        """
        features = inputs
        for block in (*self.expansion, self.depthwise):
            features = block(features, training=training)
        features = self.projection(self.excitation(features), training=training)
        if not self._has_shortcut:
            return features
        return inputs + (drop_connect(features, drop_rate) if drop_rate > 0 else features)

    def _blocks(self):
        return [*self.expansion, self.depthwise, self.excitation.reduce, self.excitation.expand, self.projection]

    def layers_in_order(self):
        """Convolutions and batch norms, as Keras orders them."""
        return [layer for block in self._blocks() for layer in block.layers_in_order()]

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for block in self._blocks() for loss in block.regularization_losses()]


class Classifier(tf_keras.layers.Layer):
    """The layers of the classification network that a detector does not use. They are never called.

    Checkpoints of detectors have them, and so they are stored here, too: a checkpoint is read and written whole. In
    training they stay as they are.

    Args:
      blocks: `InvertedBottleneck`s.
      top: the last `ConvBlock`.
      first: number of layers with variables before these.
    """

    def __init__(self, blocks, top, first, name="classifier"):
        super().__init__(name=name)
        self._first = first
        self.blocks, self.top = blocks, top
        self.logits = layers.Dense(top.convolution.out_channels, NUM_CLASSES)
        self.built = True

    def _layers_in_order(self):
        of_blocks = [layer for block in self.blocks for layer in block.layers_in_order()]
        return [*of_blocks, *self.top.layers_in_order(), self.logits]

    def regularization_losses(self):
        """A list of scalars, constants as long as nothing changes the variables."""
        losses = [loss for part in (*self.blocks, self.top) for loss in part.regularization_losses()]
        losses += [make_hyperparams().regularizer(variable) for variable in self.logits.checkpoint_keys().values()]
        return [tf.stop_gradient(loss) for loss in losses]

    def checkpoint_keys(self):
        """{`layer_with_weights-N/name`: variable}, N continuing that of the backbone."""
        return keras_keys.number_keys(self._layers_in_order(), self._first)


class EfficientNet(tf_keras.layers.Layer):
    """The network up to level 5.

    Args:
      scaling: a `Scaling`.
      frozen: whether batch norm statistics stay as they are in training.
      levels: ascending levels whose maps are returned, keys of `ENDPOINTS`; a map of level n has 1/2^n of the size.

    Attributes:
      classifier: the `Classifier` that follows; its variables belong to this layer, but not to its keys and losses.
      drop_connect_rate: share of the images that the last block's residual is left out for in training; it grows
        from 0 with the number of the block (0.2 in the published networks).
    """

    def __init__(self, scaling, frozen, levels=(3, 4, 5), name="efficientnet"):
        super().__init__(name=name)
        self.drop_connect_rate = 0.2
        hyperparams = make_hyperparams()
        in_channels = scaling.num_channels(_STEM_DEPTH)
        self.stem = layers.build_block(hyperparams, frozen, 3, in_channels, 3, strides=2, name="stem")
        blocks, numbers = [], {}
        for number, stage in enumerate(STAGES):
            for index in range(scaling.num_blocks(stage.num_blocks)):
                depth, strides = scaling.num_channels(stage.depth), stage.strides if index == 0 else 1
                name = f"stage_{number}_block_{index}"
                numbers[number, index] = len(blocks)
                blocks.append(InvertedBottleneck(in_channels, depth, stage, strides, hyperparams, frozen, name=name))
                in_channels = depth
        self._num_blocks = len(blocks)
        self._outputs = [numbers[ENDPOINTS[level]] for level in levels]
        self.blocks = blocks[: self._outputs[-1] + 1]
        top = layers.build_block(hyperparams, True, in_channels, scaling.num_channels(_TOP_DEPTH), 1, name="top")
        unused = blocks[self._outputs[-1] + 1 :]
        self.classifier = Classifier(unused, top, first=len(self._layers_in_order()))
        self.built = True

    @property
    def depths(self):
        """Numbers of channels of the outputs."""
        return [self.blocks[number].depth for number in self._outputs]

    def call(self, inputs, training=False):
        """float32 [b, h, w, 3] -> list of float32 [b, h / 2^level, w / 2^level, depth], one for each level."""
        features = self.stem(inputs, training=training)
        outputs = []
        for number, block in enumerate(self.blocks):
            drop_rate = self.drop_connect_rate * number / self._num_blocks if training else 0.0
            features = block(features, training=training, drop_rate=drop_rate)
            if number in self._outputs:
                outputs.append(features)
        return outputs

    def stages(self):
        """The network in steps, from the input on: lists of layers."""
        return [[self.stem], *([block] for block in self.blocks)]

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for part in (self.stem, *self.blocks) for loss in part.regularization_losses()]

    def _layers_in_order(self):
        return self.stem.layers_in_order() + [layer for block in self.blocks for layer in block.layers_in_order()]

    def checkpoint_keys(self):
        """{`layer_with_weights-N/name`: variable}, N counting convolutions and batch norms in order."""
        return keras_keys.number_keys(self._layers_in_order())

    def slim_names(self, stage):
        """{}: the first generation has no EfficientNet."""
        del stage
        return {}
