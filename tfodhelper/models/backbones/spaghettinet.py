"""SpaghettiNet: detectors that were searched for Edge TPUs (published with the first zoo in 2021, without a paper).

A node is a row of blocks, of which only the first may change the size of the map. The nodes n0 to n5 follow one another
and are the backbone; those that also look back (`necks/spaghetti.py`) are the neck.
"""

import dataclasses

import tensorflow as tf
import tf_keras

from tfodhelper.models import layers, normalization
from tfodhelper.models.backbones import bottlenecks

STEM_DEPTH, STEM_KERNEL_SIZE = 24, 5
SLIM_NODES = "spaghetti_net"  # scope of all nodes in that of the network
ENDPOINTS = {"n2": 4, "n3": 5, "n4": 6, "n5": 7}  # levels of the nodes that the neck takes

# These networks take no hyperparameters from the configuration.
HYPERPARAMS = layers.ConvHyperparams(
    initializer=tf_keras.initializers.TruncatedNormal(stddev=0.03),
    regularizer=lambda kernel: 1e-5 * tf.nn.l2_loss(kernel),
    norm=normalization.NormHyperparams(momentum=0.97, epsilon=1e-3),
)
LINEAR = dataclasses.replace(HYPERPARAMS, activation=None)


@dataclasses.dataclass(frozen=True)
class Inverted:
    """A 1x1 convolution that multiplies the channels, a depthwise one, and a 1x1."""

    expansion: int
    strides: int = 1
    kernel_size: int = 3


@dataclasses.dataclass(frozen=True)
class Grouped:
    """A 3x3 convolution of each group of channels that multiplies them, and a 1x1 over all."""

    groups: int
    expansion: int
    strides: int = 1
    kernel_size: int = 3


@dataclasses.dataclass(frozen=True)
class Separable:
    """A depthwise convolution and a 1x1."""

    kernel_size: int
    strides: int = 1


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of the family.

    Attributes:
      slim_scope: scope of the network in first-generation checkpoints.
      nodes: {name: (number of channels, blocks)}.
    """

    slim_scope: str
    nodes: dict


NETWORKS = (
    Network(
        "spaghettinet_edgetpu_s",
        {
            "n0": (48, [Grouped(3, 8, 2)]),
            "n1": (64, [Grouped(4, 4, 2), *[Grouped(4, 4)] * 2]),
            "n2": (72, [Inverted(8, 2), Grouped(4, 8), Inverted(8), Inverted(4)]),
            "n3": (88, [Inverted(8, 2), Inverted(8), *[Inverted(4)] * 2]),
            "n4": (88, [Inverted(8, 2), *[Separable(5)] * 3]),
            "n5": (88, [Separable(5, 2), Separable(3)]),
            "c0n0": (144, [Inverted(4)] * 4),
            "c0n1": (120, [Inverted(8), *[Inverted(4)] * 3]),
            "c0n2": (168, [Inverted(4)]),
            "c0n3": (136, [Inverted(4), Separable(3)]),
            "c0n4": (136, [Inverted(4)]),
            "c0n5": (64, [Separable(3)] * 2),
        },
    ),
    Network(
        "spaghettinet_edgetpu_m",
        {
            "n0": (48, [Grouped(3, 8, 2)]),
            "n1": (64, [Grouped(4, 8, 2), *[Grouped(4, 4)] * 3]),
            "n2": (72, [Inverted(8, 2), Grouped(4, 8), *[Inverted(8)] * 2]),
            "n3": (96, [Inverted(8, 2), *[Inverted(8)] * 2, Inverted(4)]),
            "n4": (104, [Inverted(8, 2), Inverted(4), Separable(5), Inverted(4)]),
            "n5": (56, [Separable(5, 2), Separable(3)]),
            "c0n0": (152, [Inverted(8), *[Inverted(4)] * 3]),
            "c0n1": (120, [Inverted(8), *[Inverted(4)] * 3]),
            "c0n2": (168, [Inverted(4), Separable(3)]),
            "c0n3": (136, [Separable(3)] * 3),
            "c0n4": (136, [Inverted(4), Separable(5)]),
            "c0n5": (64, [Separable(3)] * 2),
        },
    ),
    Network(
        "spaghettinet_edgetpu_l",
        {
            "n0": (48, [Grouped(3, 8, 2)]),
            "n1": (64, [Grouped(4, 8, 2), *[Grouped(4, 8)] * 2, Grouped(4, 4)]),
            "n2": (80, [Inverted(8, 2), *[Inverted(8)] * 2, Inverted(4)]),
            "n3": (104, [Inverted(8, 2), *[Inverted(8)] * 3]),
            "n4": (88, [Inverted(8, 2), Inverted(4, kernel_size=5), Inverted(4), Inverted(8)]),
            "n5": (56, [Inverted(4, 2, 5), Separable(5)]),
            "c0n0": (160, [Inverted(8), *[Inverted(4)] * 3]),
            "c0n1": (120, [Inverted(8), *[Inverted(4)] * 2, Inverted(8)]),
            "c0n2": (168, [Inverted(4)] * 4),
            "c0n3": (112, [Inverted(8), Inverted(4), Separable(3)]),
            "c0n4": (128, [Inverted(4)] * 2),
            "c0n5": (64, [Separable(5)] * 2),
        },
    ),
)
BY_NAME = {network.slim_scope: network for network in NETWORKS}


class SlicedConvolution(tf_keras.layers.Layer):
    """Convolutions that see a slice of the channels each.

    The published network rounds their outputs to 8 bits even without a graph_rewriter; this one is a float network.

    Args:
      blocks: `ConvBlock`s, one for each slice.
    """

    def __init__(self, blocks, name=None):
        super().__init__(name=name)
        self.blocks = list(blocks)
        self.built = True

    def call(self, inputs, training=False):
        """float32 [b, h, w, in_channels] -> [b, h / strides, w / strides, out_channels]."""
        slices = tf.split(inputs, len(self.blocks), axis=-1)
        return tf.concat([block(part, training=training) for block, part in zip(self.blocks, slices)], axis=-1)

    def scoped_blocks(self, scope):
        """[(name of its scope in TF-Slim, `ConvBlock`)], in order."""
        return [(f"{scope}_{i}", block) for i, block in enumerate(self.blocks)]


class Node(tf_keras.layers.Layer):
    """A row of blocks; all but the first add their input.

    Args:
      blocks: a list of `Inverted`, `Grouped` and `Separable`.
      in_channels: channels of the input.
      depth: channels of the output of all blocks.
      explicit_padding: see `layers.Convolution.call`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, blocks, in_channels, depth, explicit_padding, frozen, name):
        super().__init__(name=name)
        self.rows, others = [], {"explicit_padding": explicit_padding}
        for index, block in enumerate(blocks):
            steps = _MAKERS[type(block)](block, in_channels, depth, frozen, others)
            self.rows.append(bottlenecks.Bottleneck(steps, index > 0, name=f"{name}_{index}"))
            in_channels = depth
        self.built = True

    def call(self, inputs, training=False):
        """float32 [b, h, w, in_channels] -> [b, h / strides, w / strides, depth]."""
        for row in self.rows:
            inputs, _ = row(inputs, training=training)
        return inputs

    def scoped_blocks(self):
        """[(name of its scope in TF-Slim, `ConvBlock`)], in order."""
        return [
            (f"{SLIM_NODES}/{row.name}/{scope}", block) for row in self.rows for scope, block in row.scoped_blocks()
        ]


def _make_inverted(block, in_channels, depth, frozen, others):
    """{scope: step}; the published code multiplies the channels of the output, not of the input."""
    inside, size = depth * block.expansion, {"strides": block.strides, **others}
    return {
        "expansion": layers.build_block(HYPERPARAMS, frozen, in_channels, inside, 1),
        "depthwise": layers.build_block(HYPERPARAMS, frozen, inside, None, block.kernel_size, **size),
        "projection": layers.build_block(LINEAR, frozen, inside, depth, 1),
    }


def _make_grouped(block, in_channels, depth, frozen, others):
    """{scope: step}."""
    part, size = in_channels // block.groups, {"strides": block.strides, **others}
    slices = [
        layers.build_block(HYPERPARAMS, frozen, part, part * block.expansion, block.kernel_size, **size)
        for _ in range(block.groups)
    ]
    inside = part * block.expansion * block.groups
    return {
        "slice": SlicedConvolution(slices),
        "projection": layers.build_block(LINEAR, frozen, inside, depth, 1),
    }


def _make_separable(block, in_channels, depth, frozen, others):
    """{scope: step}; nothing is between the convolutions, and the first one has a bias."""
    bare = dataclasses.replace(LINEAR, norm=None)
    return {
        "depthwise": layers.build_block(
            bare, frozen, in_channels, None, block.kernel_size, strides=block.strides, **others
        ),
        "pointwise": layers.build_block(HYPERPARAMS, frozen, in_channels, depth, 1),
    }


_MAKERS = {Inverted: _make_inverted, Grouped: _make_grouped, Separable: _make_separable}


class SpaghettiNet(bottlenecks.ScopedBackbone):
    """The stem and the nodes n0 to n5.

    Args:
      network: a `Network`.
      explicit_padding: see `layers.Convolution.call`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, network, *, explicit_padding=False, frozen=False, name="spaghettinet"):
        *_, last = ENDPOINTS
        super().__init__(network.slim_scope, last, name=name)
        self.stem = layers.build_block(
            HYPERPARAMS, frozen, 3, STEM_DEPTH, STEM_KERNEL_SIZE, strides=2, explicit_padding=explicit_padding
        )
        names = [node for node in network.nodes if node.startswith("n")]
        depths = [STEM_DEPTH, *(network.nodes[node][0] for node in names)]
        self.nodes = [
            Node(network.nodes[node][1], in_channels, depth, explicit_padding, frozen, name=node)
            for node, in_channels, depth in zip(names, depths, depths[1:])
        ]
        self._depths = [network.nodes[node][0] for node in ENDPOINTS]
        self.built = True

    @property
    def depths(self):
        """Numbers of channels of the outputs."""
        return list(self._depths)

    def call(self, inputs, training=False):
        """float32 [b, h, w, 3], -1..1 -> list of float32 [b, h / stride, w / stride, depth], one per endpoint."""
        features, maps = self.stem(inputs, training=training), {}
        for node in self.nodes:
            features = maps[node.name] = node(features, training=training)
        return [maps[node] for node in ENDPOINTS]

    def stages(self):
        """See `ScopedBackbone`."""
        return [[self.stem], *([node] for node in self.nodes)]

    def scoped_blocks(self):
        """See `ScopedBackbone`."""
        scoped = [(f"{SLIM_NODES}/stem_node/stem", self.stem)]
        return scoped + [pair for node in self.nodes for pair in node.scoped_blocks()]
