"""The second stage's layers: features of each proposal to a box correction and a class."""

import dataclasses

import tensorflow as tf
import tf_keras

from tfodhelper.checkpoints import keys
from tfodhelper.models import keras_keys, layers, normalization, slim_naming
from tfodhelper.ops import box_coder


@dataclasses.dataclass(frozen=True)
class HeadLayout:
    """What is predicted for each proposal.

    Attributes:
      num_classes: K, without background.
      share_boxes: whether one box serves all classes; else there is one for each.
      dropout_rate: fraction of the features that the predictions do not see in training; None: no dropout.
      norm: `NormHyperparams` of a batch norm after the predictions, or None.
    """

    num_classes: int
    share_boxes: bool = False
    dropout_rate: float | None = None
    norm: normalization.NormHyperparams | None = None


class BoxClassifierHead(tf_keras.layers.Layer):
    """Box codes and class logits from the mean of a proposal's features.

    Args:
      in_channels: channels of the features.
      layout: a `HeadLayout`.
      frozen: whether batch norm statistics stay as they are in training.

    Attributes:
      scope: in object-graph checkpoints.
    """

    scope = "_mask_rcnn_box_predictor"

    def __init__(self, in_channels, layout, frozen, name="head"):
        super().__init__(name=name)
        self._layout = layout
        self._num_boxes = 1 if layout.share_boxes else layout.num_classes
        widths = (self._num_boxes * box_coder.CODE_SIZE, layout.num_classes + 1)
        self.dense = [layers.Dense(in_channels, width) for width in widths]
        self.norms = []
        if layout.norm is not None:
            self.norms = [normalization.BatchNorm(width, layout.norm, frozen) for width in widths]
        self.built = True

    def call(self, features, training=False):
        """Predicts.

        Args:
          features: float32 [n, h, w, in_channels], one row for each proposal.
          training: whether dropout works and batch norm moves.

        Returns:
          Box codes float32 [n, 1 or K, 4] and class logits float32 [n, K + 1], background first.
        """
        means = tf.reduce_mean(tf.cast(features, tf.float32), axis=[1, 2])
        outputs = []
        for index, dense in enumerate(self.dense):
            seen = means
            if training and self._layout.dropout_rate is not None:
                seen = tf.nn.dropout(means, self._layout.dropout_rate)
            output = tf.cast(dense(seen), tf.float32)
            outputs.append(self.norms[index](output, training=training) if self.norms else output)
        codes, class_logits = outputs
        return tf.reshape(codes, [-1, self._num_boxes, box_coder.CODE_SIZE]), class_logits

    def regularization_losses(self):
        """An empty list: the published models do not regularize these kernels."""
        return []

    def checkpoint_keys(self):
        """{name in checkpoints: variable}; flattening and dropout count as layers before the dense one."""
        dense_index = 1 if self._layout.dropout_rate is None else 2
        own_keys = {}
        for index, prefix in enumerate(
            ("_box_prediction_head/_box_encoder_layers", "_class_prediction_head/_class_predictor_layers")
        ):
            own_keys.update(keras_keys.keys_under(f"{prefix}/{dense_index}", self.dense[index]))
            if self.norms:
                own_keys.update(keras_keys.keys_under(f"{prefix}/{dense_index + 1}", self.norms[index]))
        return own_keys

    def class_columns(self):
        """{own key: `ClassColumns`} of the variables whose last dimension follows from the number of classes."""
        columns = [keys.ClassColumns(0, box_coder.CODE_SIZE), keys.ClassColumns(1)]
        widened = {}
        for index in (1,) if self._layout.share_boxes else (0, 1):
            for layer in (self.dense[index], *self.norms[index : index + 1]):
                widened |= {id(variable): columns[index] for variable in layer.checkpoint_keys().values()}
        own_keys = self.checkpoint_keys().items()
        return {key: widened[id(variable)] for key, variable in own_keys if id(variable) in widened}

    def slim_names(self, scope):
        """{own key: names in first-generation checkpoints}."""
        boxes, classes = self.dense
        return slim_naming.name_variables(
            self, [([f"{scope}/BoxEncodingPredictor"], boxes), ([f"{scope}/ClassPredictor"], classes)]
        )


class DenseFeatures(tf_keras.layers.Layer):
    """Two fully connected layers over all of a proposal's features, for backbones with a feature pyramid.

    Args:
      in_size: height x width x channels of the features.
      hyperparams: `ConvHyperparams`, of which the batch norm between the layers is taken.
      frozen: whether batch norm statistics stay as they are in training.
      depth: width of both layers.
    """

    def __init__(self, in_size, hyperparams, frozen, depth=1024, name="classifier_backbone"):
        super().__init__(name=name)
        self.depths = [depth]
        self.first, self.second = layers.Dense(in_size, depth), layers.Dense(depth, depth)
        self.norm = None
        if hyperparams.norm is not None:
            self.norm = normalization.BatchNorm(depth, hyperparams.norm, frozen)
        self.built = True

    def call(self, inputs, training=False):
        """float32 [n, h, w, c] -> a list of one float32 [n, 1, 1, depth]."""
        features = tf.nn.relu(self.first(tf.reshape(inputs, [-1, self.first.kernel.shape[0]])))
        if self.norm is not None:
            features = self.norm(features, training=training)
        return [tf.nn.relu(self.second(features))[:, tf.newaxis, tf.newaxis]]

    def regularization_losses(self):
        """An empty list: the published models do not regularize these kernels."""
        return []

    def checkpoint_keys(self):
        """{`layer_with_weights-N/name`: variable}."""
        return keras_keys.number_keys([layer for layer in (self.first, self.norm, self.second) if layer is not None])

    def slim_names(self, stage):
        """An empty dict: the first generation has no such layers."""
        del stage
        return {}
