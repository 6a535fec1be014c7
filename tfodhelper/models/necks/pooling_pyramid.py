"""Pooling pyramid (Jin et al. 2018; arXiv 1807.03284): every map is the one before, pooled to half its size."""

import tensorflow as tf
import tf_keras


class PoolingPyramid(tf_keras.layers.Layer):
    """Max poolings of the backbone's last map; there are no variables.

    All maps are in the same feature space, so that a head with shared weights suits them.

    Args:
      depth: number of channels of the backbone's last map.
      num_maps: number of results, the backbone's map included.
    """

    def __init__(self, depth, num_maps=6, name="neck"):
        super().__init__(name=name)
        self._depth, self._num_maps = depth, num_maps
        self.built = True

    @property
    def depths(self):
        """Numbers of channels of all maps."""
        return [self._depth] * self._num_maps

    def call(self, feature_maps, training=False):
        """A list of maps, of which the last one float32 [b, h, w, depth] counts -> list of maps, the finest first.

        Sides are halved and rounded up.
        """
        del training
        results = [feature_maps[-1]]
        for _ in range(self._num_maps - 1):
            results.append(tf.nn.max_pool2d(results[-1], 2, 2, "SAME"))
        return results

    def regularization_losses(self):
        """An empty list."""
        return []

    def checkpoint_keys(self):
        """An empty dict."""
        return {}

    def slim_names(self, stage, backbone):
        """An empty dict."""
        del stage, backbone
        return {}
