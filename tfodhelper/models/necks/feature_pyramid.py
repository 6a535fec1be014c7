"""Feature pyramid (Lin et al. 2016; arXiv 1612.03144) after a backbone."""

import dataclasses

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, layers, pixels, separable, slim_naming
from tfodhelper.ops import own_gradients


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the maps are made.

    Attributes:
      depth: number of channels of all results.
      num_coarse: number of maps that are made from the backbone's coarsest one, each half the size of the last.
      use_depthwise: whether 3x3 convolutions are separable ones.
      doubles_smoothed: whether what is added to a finer map comes from the result of a level, as in the published Keras
        models, or from the sum before its 3x3 convolution, as in the paper and in the first generation.
      explicit_padding: see `layers.Convolution.call`; it counts as a step of its own in checkpoints.
      key_prefix: before the names of the neck's parts in object-graph checkpoints.
      slim_coarse: what a name of a coarse layer begins with in first-generation checkpoints, and the number with which
        the first one ends.
    """

    depth: int
    num_coarse: int
    use_depthwise: bool = False
    doubles_smoothed: bool = True
    explicit_padding: bool = False
    key_prefix: str = "_"
    slim_coarse: tuple = ("bottom_up_Conv2d_", 14)


class FeaturePyramid(tf_keras.layers.Layer):
    """Maps of one depth at each level: what the backbone has, from coarse to fine, followed by coarser ones.

    Sizes need not be multiples of the strides: where a map has an odd side, the doubled coarser map is one row or
    column too large, which is cut off.

    Args:
      in_depths: numbers of channels of the backbone's maps, the finest first.
      layout: a `Layout`.
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, in_depths, layout, hyperparams, frozen, name="pyramid"):
        super().__init__(name=name)
        self._num_maps, self._layout = len(in_depths) + layout.num_coarse, layout
        plain = dataclasses.replace(hyperparams, activation=None, norm=None)  # without norm there is a bias
        coarsest_first = list(reversed(in_depths))
        self.top = layers.build_block(plain, frozen, coarsest_first[0], layout.depth, 1, name="top")
        self.lateral = [
            layers.build_block(plain, frozen, channels, layout.depth, 1, name=f"lateral_{i}")
            for i, channels in enumerate(coarsest_first[1:])
        ]
        self.smoothing = [self._build_3x3(hyperparams, frozen, 1, f"smoothing_{i}") for i in range(len(self.lateral))]
        self.coarse = [self._build_3x3(hyperparams, frozen, 2, f"coarse_{i}") for i in range(layout.num_coarse)]
        self.built = True

    def _build_3x3(self, hyperparams, frozen, strides, name):
        build = separable.build_separable_block if self._layout.use_depthwise else layers.build_block
        depth, is_explicit = self._layout.depth, self._layout.explicit_padding
        # Without strides, explicit padding is the same as any other.
        return build(
            hyperparams,
            frozen,
            depth,
            depth,
            3,
            strides=strides,
            explicit_padding=is_explicit and strides > 1,
            name=name,
        )

    @property
    def depths(self):
        """Numbers of channels of the results."""
        return [self._layout.depth] * self._num_maps

    def call(self, feature_maps, training=False):
        """A list of maps float32 [b, h, w, c], each half the size of the last -> all levels, the finest first."""
        *finer, coarsest = feature_maps
        merged = self.top(coarsest, training=training)
        levels = [merged]
        for features, lateral, smoothing in zip(reversed(finer), self.lateral, self.smoothing):
            features = lateral(features, training=training)
            merged = features + _double(levels[0] if self._layout.doubles_smoothed else merged, features)
            levels.insert(0, smoothing(merged, training=training))
        for block in self.coarse:
            levels.append(block(levels[-1], training=training))
        return levels

    def regularization_losses(self):
        """A list of scalars."""
        blocks = [self.top, *self.lateral, *self.smoothing, *self.coarse]
        return [loss for block in blocks for loss in block.regularization_losses()]

    def checkpoint_keys(self):
        """{name in checkpoints: variable}; a smoothing or coarse block counts as convolution, then batch norm."""
        prefix, first = self._layout.key_prefix, int(self._layout.explicit_padding)
        generator = f"{prefix}fpn_features_generator"
        keys = keras_keys.keys_under(f"{generator}/top_layers/0", self.top.convolution)
        for i, block in enumerate(self.lateral):
            keys.update(keras_keys.keys_under(f"{generator}/residual_blocks/{i}/0", block.convolution))
        scoped = ((f"{generator}/conv_layers", self.smoothing), (f"{prefix}coarse_feature_layers", self.coarse))
        for scope, blocks in scoped:
            for i, block in enumerate(blocks):
                keys.update(keras_keys.keys_under(f"{scope}/{i}/{first}", block.convolution))
                keys.update(keras_keys.keys_under(f"{scope}/{i}/{first + 1}", block.norm))
        return keys

    def slim_names(self, stage, backbone):
        """{own key: names in first-generation checkpoints}; empty for the pyramid of the second generation.

        That is another network of the same shapes, in which the weights of the first one would not fit together.

        Args:
          stage: scope of the feature extractor.
          backbone: has `slim_scope`, in which the pyramid is.
        """
        if self._layout.doubles_smoothed:
            return {}
        named = [(f"projection_{len(self.lateral) + 1}", self.top)]
        for name, blocks in (("projection", self.lateral), ("smoothing", self.smoothing)):
            named += [(f"{name}_{number}", block) for number, block in enumerate(reversed(blocks), start=1)]
        name, first = self._layout.slim_coarse
        named += [(f"{name}{number}", block) for number, block in enumerate(self.coarse, start=first)]
        scope = f"{stage}/{backbone.slim_scope}/fpn"
        return slim_naming.name_variables(self, [([f"{scope}/{name}"], block) for name, block in named])


def _double(features, finer):
    """Nearest-neighbour upsampling of [b, h, w, c] to twice the size, cut off at the size of `finer`."""
    height, width = pixels.size_of(features)
    doubled = _resize_to_double(features, height, width)
    if doubled.shape[1:3].is_fully_defined() and doubled.shape[1:3] == finer.shape[1:3]:
        return doubled
    height, width = pixels.size_of(finer)
    return doubled[:, :height, :width]


def _resize_to_double(features, height, width):
    """Nearest-neighbour upsampling whose gradient, the sum of 2 x 2 pixels, XLA can compile; same bits and time."""

    def resize_plainly(values):
        return tf.image.resize(values, [height * 2, width * 2], "nearest")

    @own_gradients.with_own_gradient(plain=resize_plainly)
    def resize(values):
        def gradient(upstream):
            return tf.nn.avg_pool2d(upstream, 2, 2, "VALID") * 4.0

        return resize_plainly(values), gradient

    return resize(features)
