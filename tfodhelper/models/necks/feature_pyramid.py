"""Feature pyramid (Lin et al. 2016; arXiv 1612.03144) after a backbone, for Faster R-CNN."""

import dataclasses

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, layers


class FeaturePyramid(tf_keras.layers.Layer):
    """Maps of one depth at each level: what the backbone has, from coarse to fine, followed by coarser ones.

    Args:
      in_depths: numbers of channels of the backbone's maps, the finest first.
      depth: number of channels of all results.
      num_coarse: number of maps that are made from the coarsest one, each half the size of the last.
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, in_depths, depth, num_coarse, hyperparams, frozen, name="pyramid"):
        super().__init__(name=name)
        self._num_maps, self._depth = len(in_depths) + num_coarse, depth
        plain = dataclasses.replace(hyperparams, activation=None, norm=None)  # without norm there is a bias
        coarsest_first = list(reversed(in_depths))
        self.top = layers.build_block(plain, frozen, coarsest_first[0], depth, 1, name="top")
        self.lateral = [
            layers.build_block(plain, frozen, channels, depth, 1, name=f"lateral_{i}")
            for i, channels in enumerate(coarsest_first[1:])
        ]
        self.smoothing = [
            layers.build_block(hyperparams, frozen, depth, depth, 3, name=f"smoothing_{i}")
            for i in range(len(self.lateral))
        ]
        self.coarse = [
            layers.build_block(hyperparams, frozen, depth, depth, 3, strides=2, name=f"coarse_{i}")
            for i in range(num_coarse)
        ]
        self.built = True

    @property
    def depths(self):
        """Numbers of channels of the results."""
        return [self._depth] * self._num_maps

    def call(self, feature_maps, training=False):
        """A list of maps float32 [b, h, w, c], each half the size of the last -> all levels, the finest first."""
        *finer, coarsest = feature_maps
        levels = [self.top(coarsest, training=training)]
        for features, lateral, smoothing in zip(reversed(finer), self.lateral, self.smoothing):
            merged = _double(levels[0]) + lateral(features, training=training)
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
        generator = "fpn_features_generator"
        keys = keras_keys.keys_under(f"{generator}/top_layers/0", self.top.convolution)
        for i, block in enumerate(self.lateral):
            keys.update(keras_keys.keys_under(f"{generator}/residual_blocks/{i}/0", block.convolution))
        for scope, blocks in ((f"{generator}/conv_layers", self.smoothing), ("coarse_feature_layers", self.coarse)):
            for i, block in enumerate(blocks):
                keys.update(keras_keys.keys_under(f"{scope}/{i}/0", block.convolution))
                keys.update(keras_keys.keys_under(f"{scope}/{i}/1", block.norm))
        return keys


def _double(features):
    """Nearest-neighbour upsampling of [b, h, w, c] to twice the size."""
    return tf.repeat(tf.repeat(features, 2, axis=1), 2, axis=2)
