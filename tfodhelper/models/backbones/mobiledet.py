"""MobileDet (Xiong et al. 2020; arXiv 2004.14525): backbones that were searched for processors, Edge TPUs and DSPs."""

import collections
import dataclasses
import itertools

import tensorflow as tf
import tf_keras

from tfodhelper.models import layers, normalization
from tfodhelper.models.backbones import bottlenecks
from tfodhelper.models.backbones.bottlenecks import hard_swish

# Kinds of blocks (section 3), as their scopes are called in TF-Slim.
UNEXPANDED, INVERTED, FUSED, TUCKER = "IBNNoExpansion", "IBN", "FusedConv", "TuckerConv"
_DIVISOR = 8
_SQUEEZE = 0.25  # of the channels, between the convolutions of squeeze and excitation

# These networks take no hyperparameters from the configuration.
HYPERPARAMS = layers.ConvHyperparams(
    initializer=tf_keras.initializers.HeNormal(),
    regularizer=lambda kernel: 4e-5 * tf.nn.l2_loss(kernel),
    norm=normalization.NormHyperparams(momentum=0.99, epsilon=0.01),
)


@dataclasses.dataclass(frozen=True)
class Block:
    """A bottleneck.

    Attributes:
      kind: `UNEXPANDED`: depthwise and 1x1 convolutions; `INVERTED`: a 1x1 convolution that expands before them;
        `FUSED`: a full convolution that expands, and a 1x1; `TUCKER`: a 1x1 that compresses, a full one, and a 1x1.
      depth: channels of the output.
      expansion: how many times more channels there are inside than at the input; for `TUCKER` (share of the input's
        channels before the full convolution, share of the output's after it).
      kernel_size: of the full or the depthwise convolution.
      strides: of the same.
      adds: whether the input is added to the output.
    """

    kind: str
    depth: int
    expansion: object = None
    kernel_size: int = 3
    strides: int = 1
    adds: bool = True


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of the family.

    Attributes:
      stem_depth: channels of the stem, a 3x3 convolution with stride 2.
      stages: lists of `Block`s; a detector takes the outputs of the last two.
      slim_scope: scope of the network in first-generation checkpoints.
      activation: of all convolutions but the last one of a block.
      squeezes: whether squeeze and excitation stands before the last convolution of a block.
    """

    stem_depth: int
    stages: tuple
    slim_scope: str
    activation: object = tf.nn.relu6
    squeezes: bool = False


def _first(kind, depth, expansion, kernel_size=3, strides=1):
    """A block that changes the width, or begins a sequence; its input is not added."""
    return Block(kind, depth, expansion, kernel_size, strides, adds=False)


CPU = Network(
    stem_depth=16,
    stages=(
        (_first(UNEXPANDED, 8, None),),
        (_first(INVERTED, 16, 4, strides=2),),
        (_first(INVERTED, 32, 8, strides=2), *[Block(INVERTED, 32, 4)] * 3),
        (
            _first(INVERTED, 72, 8, 5, strides=2),
            Block(INVERTED, 72, 8),
            Block(INVERTED, 72, 4, 5),
            Block(INVERTED, 72, 4),
            _first(INVERTED, 72, 8),
            *[Block(INVERTED, 72, 8)] * 3,
        ),
        (
            _first(INVERTED, 104, 8, 5, strides=2),
            *[Block(INVERTED, 104, 4, 5)] * 2,
            Block(INVERTED, 104, 4),
            _first(INVERTED, 144, 8),
        ),
    ),
    slim_scope="MobileDetCPU",
    activation=hard_swish,
    squeezes=True,
)
DSP = Network(
    stem_depth=32,
    stages=(
        (_first(UNEXPANDED, 24, None),),
        (
            _first(FUSED, 32, 4, strides=2),
            Block(FUSED, 32, 4),
            Block(INVERTED, 32, 4),
            Block(TUCKER, 32, (0.25, 0.75)),
        ),
        (_first(FUSED, 64, 8, strides=2), Block(INVERTED, 64, 4), *[Block(FUSED, 64, 4)] * 2),
        (
            _first(FUSED, 120, 8, strides=2),
            Block(INVERTED, 120, 4),
            *[Block(INVERTED, 120, 8)] * 2,
            _first(FUSED, 144, 8),
            *[Block(INVERTED, 144, 8)] * 3,
        ),
        (
            _first(INVERTED, 160, 4, strides=2),
            Block(INVERTED, 160, 4),
            Block(FUSED, 160, 4),
            Block(TUCKER, 160, (0.75, 0.75)),
            _first(INVERTED, 240, 8),
        ),
    ),
    slim_scope="MobileDetDSP",
)
EDGETPU = Network(
    stem_depth=32,
    stages=(
        (_first(TUCKER, 16, (0.25, 0.75)),),
        (_first(FUSED, 16, 8, strides=2), Block(FUSED, 16, 4), Block(FUSED, 16, 8), Block(FUSED, 16, 4)),
        (_first(FUSED, 40, 8, 5, strides=2), *[Block(FUSED, 40, 4)] * 3),
        (
            _first(INVERTED, 72, 8, strides=2),
            Block(INVERTED, 72, 8),
            *[Block(FUSED, 72, 4)] * 2,
            _first(INVERTED, 96, 8, 5),
            Block(INVERTED, 96, 8, 5),
            *[Block(INVERTED, 96, 8)] * 2,
        ),
        (
            _first(INVERTED, 120, 8, 5, strides=2),
            Block(INVERTED, 120, 8),
            Block(INVERTED, 120, 4, 5),
            Block(INVERTED, 120, 8),
            _first(INVERTED, 384, 8, 5),
        ),
    ),
    slim_scope="MobileDetEdgeTPU",
)


def scale(depth, multiplier):
    """The multiple of 8 next to a number of channels times `multiplier`, at least 8; halves are rounded up."""
    return max(int(int(depth) * multiplier / _DIVISOR + 0.5) * _DIVISOR, _DIVISOR)


class MobileDet(bottlenecks.ScopedBackbone):
    """The stem and five stages; batch norm follows all convolutions but those of squeeze and excitation.

    Args:
      network: a `Network`.
      frozen: whether batch norm statistics stay as they are in training.
      depth_multiplier: of all numbers of channels.
    """

    def __init__(self, network, *, frozen=False, depth_multiplier=1.0, name="mobiledet"):
        super().__init__(network.slim_scope, f"C{len(network.stages)}", name=name)
        make = _Builder(network, frozen)
        channels = scale(network.stem_depth, depth_multiplier)
        self.stem = make.convolution(network.activation, 3, channels, 3, strides=2)
        self.units, self._scopes, self._depths, counts = [], [], [], collections.Counter()
        for block in itertools.chain(*network.stages):
            depth = scale(block.depth, depth_multiplier)
            self._scopes.append(f"{block.kind}_{counts[block.kind]}" if counts[block.kind] else block.kind)
            counts[block.kind] += 1
            self.units.append(make.bottleneck(block, channels, depth))
            self._depths.append(depth)
            channels = depth
        self._endpoints = (len(self.units) - len(network.stages[-1]) - 1, len(self.units) - 1)
        self.built = True

    @property
    def depths(self):
        """Numbers of channels of the outputs."""
        return [self._depths[index] for index in self._endpoints]

    def call(self, inputs, training=False):
        """float32 [b, h, w, 3], -1..1 -> two maps float32 [b, h / stride, w / stride, depth] of strides 16 and 32."""
        outputs, features = self.stem(inputs, training=training), []
        for unit in self.units:
            outputs, _ = unit(outputs, training=training)
            features.append(outputs)
        return [features[index] for index in self._endpoints]

    def stages(self):
        """See `ScopedBackbone`."""
        return [[self.stem], *([unit] for unit in self.units)]

    def scoped_blocks(self):
        """See `ScopedBackbone`."""
        scoped = [("Conv", self.stem)]
        for scope, unit in zip(self._scopes, self.units):
            scoped += [(f"{scope}/{name}", block) for name, block in unit.scoped_blocks()]
        return scoped


class _Builder:
    """Makes the blocks of one network.

    Args:
      network: a `Network`.
      frozen: see `MobileDet`.
    """

    def __init__(self, network, frozen):
        self._network, self._frozen = network, frozen

    def convolution(self, activation, in_channels, out_channels, kernel_size, strides=1):
        """A `ConvBlock`; depthwise where `out_channels` is None."""
        initializer = HYPERPARAMS.initializer
        if out_channels is None:  # as He's, for a fan-in of one channel
            initializer = tf_keras.initializers.TruncatedNormal(stddev=(2.0 / kernel_size**2) ** 0.5 / 0.87962566)
        return layers.build_block(
            dataclasses.replace(HYPERPARAMS, activation=activation),
            self._frozen,
            in_channels,
            out_channels,
            kernel_size,
            strides=strides,
            initializer=initializer,
        )

    def bottleneck(self, block, in_channels, depth):
        """A `Bottleneck` from a `Block` and its numbers of channels."""
        activation, size = self._network.activation, (block.kernel_size, block.strides)
        convolutions, inside = [], in_channels
        if block.kind == TUCKER:
            rank, inside = scale(in_channels, block.expansion[0]), scale(depth, block.expansion[1])
            convolutions.append(self.convolution(activation, in_channels, rank, 1))
            convolutions.append(self.convolution(activation, rank, inside, *size))
        elif block.kind == FUSED:
            inside = in_channels * block.expansion
            convolutions.append(self.convolution(activation, in_channels, inside, *size))
        elif block.kind == INVERTED:
            inside = in_channels * block.expansion
            convolutions.append(self.convolution(activation, in_channels, inside, 1))
        convolutions.append(self.convolution(None, inside, depth, 1))
        steps = {f"Conv_{i}" if i else "Conv": convolution for i, convolution in enumerate(convolutions)}
        last = steps.popitem()
        if block.kind in (UNEXPANDED, INVERTED):
            steps["SeparableConv2d"] = self.convolution(activation, inside, None, *size)
        if self._network.squeezes:
            own = dataclasses.replace(HYPERPARAMS, activation=activation)
            steps["SqueezeExcite"] = bottlenecks.SqueezeExcitation(inside, scale(inside, _SQUEEZE), own, tf.sigmoid)
        return bottlenecks.Bottleneck(steps | dict([last]), block.adds)
