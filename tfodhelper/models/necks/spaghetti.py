"""The nodes of SpaghettiNet that join maps of two levels; level n has 1/2^n of the size of the image.

See `backbones/spaghettinet.py`.
"""

from typing import NamedTuple

import tensorflow as tf
import tf_keras

from tfodhelper.models import layers
from tfodhelper.models.backbones import spaghettinet
from tfodhelper.models.necks import resampling, scoped

_CONVOLUTIONS = {-1: "1x1_before_upsample", 0: "1x1_no_resampling", 1: "1x1_after_downsampling"}


class Join(NamedTuple):
    """How a node comes by its input.

    Attributes:
      level: of the node.
      sources: names of the nodes whose maps are added after a 1x1 convolution each; of a single one the map itself is
        the input, whatever its level.
    """

    level: int
    sources: tuple


JOINS = {
    "c0n0": Join(5, ("n3", "n4")),
    "c0n1": Join(4, ("n2", "c0n0")),
    "c0n2": Join(5, ("c0n1", "c0n0")),
    "c0n3": Join(6, ("n5", "c0n0")),
    "c0n4": Join(7, ("n5", "c0n0")),
    "c0n5": Join(8, ("c0n4",)),
}
_LEVELS = spaghettinet.ENDPOINTS | {name: join.level for name, join in JOINS.items()}
_OUTPUTS = ("c0n1", "c0n2", "c0n3", "c0n4", "c0n5")


class Edge(tf_keras.layers.Layer):
    """A map of one level made into one of another; its 1x1 convolution runs where the map is small.

    Args:
      steps: levels upward.
      in_channels: channels of the input.
      depth: channels of the output.
      explicit_padding: see `resampling.shrink`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, steps, in_channels, depth, explicit_padding, frozen, name=None):
        super().__init__(name=name)
        self._steps, self._explicit_padding = steps, explicit_padding
        self.convolution = layers.build_block(spaghettinet.LINEAR, frozen, in_channels, depth, 1)
        self.built = True

    def call(self, features, like, training=False):
        """float32 [b, h, w, in_channels] -> [b, height, width, depth]; `like` is needed where the map is enlarged."""
        if self._steps > 0:
            window = 2**self._steps + 1
            features = resampling.shrink(features, self._steps, window, self._explicit_padding)
        features = self.convolution(features, training=training)
        return resampling.enlarge(features, -self._steps, like) if self._steps < 0 else features

    def scope(self):
        """Name of the convolution's scope in TF-Slim, in that of the edge."""
        return _CONVOLUTIONS[(self._steps > 0) - (self._steps < 0)]


class SpaghettiNeck(scoped.ScopedNeck):
    """Maps of the levels 4 to 7, and one more of the size of the last.

    Args:
      network: a `spaghettinet.Network`.
      explicit_padding: see `layers.Convolution.call`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, network, *, explicit_padding=False, frozen=False, name="spaghetti"):
        super().__init__(name=name)
        depths = {node: depth for node, (depth, _) in network.nodes.items()}
        self._depths = [depths[node] for node in _OUTPUTS]
        edges, nodes = {}, {}
        for node, join in JOINS.items():
            depth, blocks = network.nodes[node]
            is_joined = len(join.sources) > 1
            for source in join.sources if is_joined else ():
                steps = join.level - _LEVELS[source]
                edges[f"edge_{source}_{node}"] = Edge(steps, depths[source], depth, explicit_padding, frozen)
            in_channels = depth if is_joined else depths[join.sources[0]]
            nodes[node] = spaghettinet.Node(blocks, in_channels, depth, explicit_padding, frozen, name=node)
        self.edges, self.nodes = edges, nodes
        self.built = True

    @property
    def depths(self):
        """Numbers of channels of the results."""
        return list(self._depths)

    def call(self, feature_maps, training=False):
        """A list of maps float32 [b, h, w, c], one per endpoint of the backbone -> five maps, the finest first."""
        maps = dict(zip(spaghettinet.ENDPOINTS, feature_maps))
        for node, join in JOINS.items():
            maps[node] = self.nodes[node](self._join(node, join, maps, training), training=training)
        return [maps[node] for node in _OUTPUTS]

    def _join(self, node, join, maps, training):
        if len(join.sources) == 1:
            return maps[join.sources[0]]
        total = None
        for source in sorted(join.sources, key=_LEVELS.get):  # the finest one gives the size
            features = self.edges[f"edge_{source}_{node}"](maps[source], total, training=training)
            total = features if total is None else total + features
        return tf.nn.relu6(total)

    def scoped_blocks(self):
        """[(name of its scope in TF-Slim, `ConvBlock`)], in order."""
        blocks = [(f"{name}/{edge.scope()}", edge.convolution) for name, edge in self.edges.items()]
        return blocks + [pair for node in self.nodes.values() for pair in node.scoped_blocks()]

    def slim_scope(self, backbone):
        """See `scoped.ScopedNeck`."""
        return backbone.slim_scope
