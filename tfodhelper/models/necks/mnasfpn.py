"""The feature pyramid that was searched for phones (Chen et al. 2019, figures 2 and 4; arXiv 1912.01106).

Level n has 1/2^n of the size of the image. A block makes one map from two others, each of which is widened by a 1x1
convolution while it is small: before it is enlarged, but after it is made coarser (section 3.2).
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf
import tf_keras

from tfodhelper.models import layers, normalization, separable
from tfodhelper.models.necks import resampling, scoped

SLIM_SCOPE = "MnasFPN"
MIN_LEVEL, MAX_LEVEL = 3, 6
NUM_CELLS = 4
_LEVELS = range(MIN_LEVEL, MAX_LEVEL + 1)


class Block(NamedTuple):
    """One map of a cell.

    Attributes:
      sources: indices of the maps from which it is made: those of the cell's input, then those of its blocks.
      level: of the map.
      kernel_size: of the separable convolution.
      inner_depth: number of channels between the 1x1 convolutions and the separable one.
    """

    sources: tuple
    level: int
    kernel_size: int
    inner_depth: int


# The last four are the cell's output.
CELL = (
    Block((1, 2), 4, 3, 256),
    Block((0, 4), 3, 3, 128),
    Block((5, 4), 4, 3, 128),
    Block((4, 3), 5, 5, 128),
    Block((4, 3), 6, 3, 96),
)

_NORM = normalization.NormHyperparams(momentum=0.99, epsilon=1e-2)
POINTWISE_HYPERPARAMS = layers.ConvHyperparams(
    initializer=tf_keras.initializers.HeNormal(),
    regularizer=lambda kernel: 1e-4 * tf.nn.l2_loss(kernel),
    activation=None,
    norm=_NORM,
)
DEPTHWISE_STDDEV = 0.536  # that of He et al. (2015) for a kernel of 3 x 3 with one channel
_SEPARABLE_HYPERPARAMS = dataclasses.replace(
    POINTWISE_HYPERPARAMS,
    initializer=tf_keras.initializers.TruncatedNormal(stddev=DEPTHWISE_STDDEV),
    covers_depthwise=True,
)


class BlockLayers(tf_keras.layers.Layer):
    """The layers of one block.

    Args:
      block: a `Block`.
      levels: levels of its sources.
      depths: numbers of channels of its sources.
      inner_depth: number of channels between the convolutions.
      depth: number of channels of the result.
      explicit_padding: see `layers.Convolution.call`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, block, levels, depths, inner_depth, depth, explicit_padding, frozen, name=None):
        super().__init__(name=name)
        self._sources, self._explicit_padding = block.sources, explicit_padding
        self._steps = [block.level - level for level in levels]
        self.widening = [
            layers.build_block(POINTWISE_HYPERPARAMS, frozen, source, inner_depth, 1, name=f"input_{i}")
            for i, source in enumerate(depths)
        ]
        self.separable = separable.build_separable_block(
            _SEPARABLE_HYPERPARAMS,
            frozen,
            inner_depth,
            depth,
            block.kernel_size,
            explicit_padding=explicit_padding,
            name="separable",
        )
        self.built = True

    def call(self, maps, like, training=False):
        """All maps of the cell so far, float32 [b, h, w, c] each, and one of this level -> the map of this block."""
        total = None
        for index, steps, widening in zip(self._sources, self._steps, self.widening):
            features = maps[index]
            if steps > 0:
                features = resampling.shrink(features, steps, explicit_padding=self._explicit_padding)
            features = widening(features, training=training)
            if steps < 0:
                features = resampling.enlarge(features, -steps, like)
            total = features if total is None else total + features
        return self.separable(tf.nn.relu6(total), training=training)

    def scoped_blocks(self):
        """[(name of its scope in TF-Slim, `ConvBlock`)], in order."""
        widening = [(f"input_{i}/Conv1x1", block) for i, block in enumerate(self.widening)]
        return [*widening, ("SepConv", self.separable)]


class MnasFPN(scoped.ScopedNeck):
    """Maps of levels 3 to 6 and of one depth, from the backbone's maps of levels 3 to 5; published as TF-Slim alone.

    Args:
      in_depths: numbers of channels of the backbone's maps, the finest first.
      depth: number of channels of the results, before the multiplier.
      scale: number of channels -> number of channels, the multiplier.
      explicit_padding: see `layers.Convolution.call`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, in_depths, depth, scale, *, explicit_padding=False, frozen=False, name="mnasfpn"):
        super().__init__(name=name)
        depth, self._explicit_padding = scale(depth), explicit_padding
        # The published network has no weight decay on this one.
        coarse = dataclasses.replace(POINTWISE_HYPERPARAMS, regularizer=None)
        self.coarse = layers.build_block(coarse, frozen, in_depths[-1], depth, 1, name="coarse")
        self._depths = [depth] * len(_LEVELS)
        inputs = [[*in_depths, depth]] + [self._depths] * (NUM_CELLS - 1)
        self._has_shortcuts = [[source == depth for source in depths] for depths in inputs]
        self.cells = [
            self._build_cell(depths, depth, scale, frozen, f"cell_{number}") for number, depths in enumerate(inputs)
        ]
        self.built = True

    def _build_cell(self, depths, depth, scale, frozen, name):
        levels, depths = [*_LEVELS, *(block.level for block in CELL)], [*depths, *([depth] * len(CELL))]
        return [
            BlockLayers(
                block,
                [levels[source] for source in block.sources],
                [depths[source] for source in block.sources],
                scale(block.inner_depth),
                depth,
                self._explicit_padding,
                frozen,
                name=f"{name}_block_{number}",
            )
            for number, block in enumerate(CELL)
        ]

    @property
    def depths(self):
        """Numbers of channels of the results."""
        return list(self._depths)

    def call(self, feature_maps, training=False):
        """A list of maps float32 [b, h, w, c] of levels 3 to 5 -> those of levels 3 to 6, the finest first."""
        pooled = resampling.shrink(feature_maps[-1], 1, explicit_padding=self._explicit_padding)
        maps = [*feature_maps, self.coarse(pooled, training=training)]
        for cell, has_shortcuts in zip(self.cells, self._has_shortcuts):
            inputs = list(maps)
            for block, spec in zip(cell, CELL):
                maps.append(block(maps, inputs[spec.level - MIN_LEVEL], training=training))
            outputs = maps[-len(_LEVELS) :]
            maps = [
                features + source if has_shortcut else features
                for features, source, has_shortcut in zip(outputs, inputs, has_shortcuts)
            ]
        return maps

    def scoped_blocks(self):
        """[(name of its scope in TF-Slim, `ConvBlock`)], in order."""
        blocks = [("C6_Conv1x1", self.coarse)]
        for i, cell in enumerate(self.cells):
            for j, block in enumerate(cell):
                blocks += [(f"cell_{i}/block_{j}/{scope}", inner) for scope, inner in block.scoped_blocks()]
        return blocks

    def slim_scope(self, backbone):
        """See `scoped.ScopedNeck`."""
        del backbone
        return SLIM_SCOPE
