"""Bidirectional feature pyramid (Tan, Pang and Le 2019, section 3; arXiv 1911.09070).

Level n has 1/2^n of the size of the image. A node makes one map from maps of its own level and of those next to it.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, layers, normalization, separable
from tfodhelper.models.necks import resampling

_EPSILON = 1e-4  # of fast attention


class Node(NamedTuple):
    """One map that is made.

    Attributes:
      level: of the map.
      sources: indices of the maps from which it is made; the maps of the backbone come first, those of all nodes after
        them.
    """

    level: int
    sources: tuple


def make_nodes(input_levels, max_level, num_iterations):
    """The nodes of a pyramid, in the order in which they are computed.

    Args:
      input_levels: ascending levels of the backbone's maps.
      max_level: the coarsest level; those above the backbone's come from the map below them.
      num_iterations: how many times the pyramid is passed through, down and up again.

    Returns:
      A list of `Node`; the last ones, one for each level, are the results, the finest first.
    """
    nodes = []

    def add(level, *sources):
        nodes.append(Node(level, sources))
        return len(input_levels) + len(nodes) - 1

    newest = {level: index for index, level in enumerate(input_levels)}
    min_level = input_levels[0]
    for level in range(input_levels[-1] + 1, max_level + 1):
        newest[level] = add(level, newest[level - 1])
    for _ in range(num_iterations):
        down, before = {}, newest[max_level]
        for level in reversed(range(min_level, max_level)):
            down[level] = before = add(level, newest[level], before)
        up = {min_level: before}
        for level in range(min_level + 1, max_level):
            up[level] = before = add(level, newest[level], down[level], before)
        up[max_level] = add(max_level, newest[max_level], before)
        newest = up
    return nodes


def _fast_attention(weights):
    positive = tf.nn.relu(weights)
    return positive / (tf.reduce_sum(positive) + _EPSILON)


# {name in the configuration: weights [n, 1] -> factors [n, 1]}; without a function the maps are added as they are.
# "attention" is a softmax over an axis of length 1 in the published code, and thus in models trained with it, and so
# every factor is 1.
COMBINE_METHODS = {
    "sum": None,
    "weighted_sum": tf.identity,
    "attention": tf.nn.softmax,
    "fast_attention": _fast_attention,
}


class Combination(tf_keras.layers.Layer):
    """The sum of maps of one shape, weighted by learned factors (Tan et al. 2019, section 3.3).

    Args:
      num_maps: n, at least 2.
      method: a key of `COMBINE_METHODS`.
    """

    def __init__(self, num_maps, method, name=None):
        super().__init__(name=name)
        self._to_factors, self.weight = COMBINE_METHODS[method], None
        if self._to_factors is not None:
            self.weight = self.add_weight(name="bifpn_combine_weights", shape=[num_maps, 1], initializer="ones")
        self.built = True

    def call(self, maps):
        """n of float32 [b, h, w, c] -> float32 [b, h, w, c]."""
        if self._to_factors is not None:
            factors = tf.unstack(self._to_factors(self.weight)[:, 0])
            maps = [tf.cast(factor, features.dtype) * features for factor, features in zip(factors, maps)]
        return tf.add_n(maps)

    def checkpoint_keys(self):
        """{name in checkpoints: variable}."""
        return {} if self.weight is None else {"bifpn_combine_weights": self.weight}


class NodeLayers(tf_keras.layers.Layer):
    """The layers of one node.

    Args:
      node: a `Node`.
      levels: levels of all maps, by index.
      source_depths: {index of a map of the backbone: its number of channels}.
      depth: number of channels of the result.
      method: see `Combination`.
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, node, levels, source_depths, depth, method, hyperparams, frozen, name=None):
        super().__init__(name=name)
        self._level, self._sources, self._levels = node.level, node.sources, [levels[i] for i in node.sources]
        linear = dataclasses.replace(hyperparams, activation=None)
        self.lateral = [
            layers.build_block(linear, frozen, source_depths[index], depth, 1, name=f"lateral_{i}")
            if index in source_depths
            else None
            for i, index in enumerate(node.sources)
        ]
        self.combination = self.smoothing = None
        self._activation = hyperparams.activation or tf.identity
        if len(node.sources) > 1:
            self.combination = Combination(len(node.sources), method, name="combination")
            self.smoothing = _build_smoothing(linear, frozen, depth)
        self.built = True

    def call(self, maps, training=False):
        """All maps so far, float32 [b, h, w, c] each -> the map of this node."""
        sources = [
            maps[index] if lateral is None else lateral(maps[index], training=training)
            for index, lateral in zip(self._sources, self.lateral)
        ]
        inputs = [
            self._resample(features, self._level - level, like=sources[0])
            for features, level in zip(sources, self._levels)
        ]
        if self.combination is None:
            return inputs[0]
        return self.smoothing(self._activation(self.combination(inputs)), training=training)

    def _resample(self, features, steps, like):
        if steps > 0:
            return resampling.shrink(features, steps)
        return resampling.enlarge(features, -steps, like) if steps < 0 else features

    def regularization_losses(self):
        """A list of scalars."""
        blocks = [block for block in (*self.lateral, self.smoothing) if block is not None]
        return [loss for block in blocks for loss in block.regularization_losses()]

    def checkpoint_keys(self, number):
        """{name in checkpoints: variable}; `number` is that of the node."""
        keys = keras_keys.keys_under(f"node_combine_op/{number}", self.combination)
        for i, block in enumerate(self.lateral):
            if block is not None:
                prefix = f"node_input_blocks/{number}/{i}/1"  # 0 is the index of the map
                keys.update(keras_keys.keys_under(f"{prefix}/0", block.convolution))
                keys.update(keras_keys.keys_under(f"{prefix}/1", block.norm))
        if self.smoothing is not None:
            prefix = f"node_post_combine_block/{number}"  # 0 is the activation
            keys.update(keras_keys.keys_under(f"{prefix}/1", self.smoothing.convolution))
            keys.update(keras_keys.keys_under(f"{prefix}/2", self.smoothing.norm))
        return keys


class BiFPN(tf_keras.layers.Layer):
    """Maps of one depth at each level, from those of the backbone.

    Args:
      in_depths: numbers of channels of the backbone's maps, the finest first.
      min_level: level of the first of them; each has half the size of the one before.
      max_level: level of the coarsest result.
      num_iterations: see `make_nodes`.
      depth: number of channels of all results.
      method: see `Combination`.
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(
        self, in_depths, min_level, max_level, num_iterations, depth, method, hyperparams, frozen, name="bifpn"
    ):
        super().__init__(name=name)
        input_levels = range(min_level, min_level + len(in_depths))
        nodes = make_nodes(input_levels, max_level, num_iterations)
        levels, source_depths = [*input_levels, *(node.level for node in nodes)], dict(enumerate(in_depths))
        self._depths = [depth] * (max_level - min_level + 1)
        self.nodes = [
            NodeLayers(node, levels, source_depths, depth, method, hyperparams, frozen, name=f"node_{number}")
            for number, node in enumerate(nodes)
        ]
        self.built = True

    @property
    def depths(self):
        """Numbers of channels of the results."""
        return list(self._depths)

    def call(self, feature_maps, training=False):
        """A list of maps float32 [b, h, w, c], each half the size of the last -> all levels, the finest first."""
        maps = list(feature_maps)
        for node in self.nodes:
            maps.append(node(maps, training=training))
        return maps[-len(self._depths) :]

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for node in self.nodes for loss in node.regularization_losses()]

    def checkpoint_keys(self):
        """{name in checkpoints: variable}."""
        keys = {}
        for number, node in enumerate(self.nodes):
            keys.update({f"_bifpn_stage/{key}": value for key, value in node.checkpoint_keys(number).items()})
        return keys

    def slim_names(self, stage, backbone):
        """{}: the first generation has no BiFPN."""
        del stage, backbone
        return {}


def _build_smoothing(hyperparams, frozen, depth):
    """The 3x3 separable convolution with batch norm after a combination; both its kernels are regularized."""
    convolution = separable.build_separable(
        hyperparams, depth, depth, 3, use_bias=hyperparams.use_bias, for_pointwise=True
    )
    norm = None if hyperparams.norm is None else normalization.BatchNorm(depth, hyperparams.norm, frozen)
    return layers.ConvBlock(convolution, norm, None, name="smoothing")
