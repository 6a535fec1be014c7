"""The second stage's layers of R-FCN: maps with channels for each part of a box (Dai et al. 2016; arXiv 1605.06409).

They see the whole image; only what is pooled from their maps belongs to a proposal.
"""

import dataclasses

import tensorflow as tf
import tf_keras

from tfodhelper.checkpoints import keys
from tfodhelper.models import keras_keys, layers, slim_naming
from tfodhelper.ops import box_coder, position_sensitive


@dataclasses.dataclass(frozen=True)
class HeadLayout:
    """What is predicted for each proposal: a box and a logit of each class, and a logit of the background.

    Attributes:
      num_classes: K, without background.
      depth: channels before the predictions.
      num_bins: (lines, columns) of parts of a box.
      crop_size: (lines, columns) of points at which a box is sampled, multiples of `num_bins`.
      drops_outside: whether points outside the map count as in `position_sensitive.pool` when it drops them, except in
        training.
    """

    num_classes: int
    depth: int
    num_bins: tuple[int, int]
    crop_size: tuple[int, int]
    drops_outside: bool = False


class PositionSensitiveHead(tf_keras.layers.Layer):
    """Box codes and class logits of proposals from features of the image.

    Args:
      in_channels: channels of the features.
      layout: a `HeadLayout`.
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.

    Attributes:
      scope: in object-graph checkpoints.
    """

    scope = "_rfcn_box_predictor"

    def __init__(self, in_channels, layout, hyperparams, frozen, name="head"):
        super().__init__(name=name)
        self._layout = layout
        linear = dataclasses.replace(hyperparams, activation=None)
        num_bins = layout.num_bins[0] * layout.num_bins[1]
        widths = (num_bins * layout.num_classes * box_coder.CODE_SIZE, num_bins * (layout.num_classes + 1))
        self.reduction = layers.build_block(hyperparams, frozen, in_channels, layout.depth, 1, name="reduction")
        self.boxes, self.classes = (
            layers.build_block(linear, frozen, layout.depth, width, 1, name=name)
            for width, name in zip(widths, ("boxes", "classes"))
        )
        self.built = True

    def call(self, features, proposals, training=False):
        """Predicts.

        Args:
          features: float32 [B, h, w, in_channels].
          proposals: float32 [B, P, 4], normalized to the image.
          training: whether batch norm moves.

        Returns:
          Box codes float32 [B * P, K, 4] and class logits float32 [B * P, K + 1], background first.
        """
        layout = self._layout
        reduced = self.reduction(features, training=training)
        codes, class_logits = (
            position_sensitive.pool(
                tf.cast(block(reduced, training=training), tf.float32),
                proposals,
                layout.num_bins,
                layout.crop_size,
                layout.drops_outside and not training,
            )
            for block in (self.boxes, self.classes)
        )
        return tf.reshape(codes, [-1, layout.num_classes, box_coder.CODE_SIZE]), class_logits

    def regularization_losses(self):
        """A list of scalars."""
        blocks = (self.reduction, self.boxes, self.classes)
        return [loss for block in blocks for loss in block.regularization_losses()]

    def checkpoint_keys(self):
        """{name in checkpoints: variable}."""
        own_keys = {}
        for name, block in (
            ("_shared_conv_layers", self.reduction),
            ("_box_encoder_layers", self.boxes),
            ("_class_predictor_layers", self.classes),
        ):
            for number, layer in enumerate(block.layers_in_order()):
                own_keys.update(keras_keys.keys_under(f"{name}/{number}", layer))
        return own_keys

    def class_columns(self):
        """{own key: `ClassColumns`} of the variables whose last dimension follows from the number of classes."""
        columns = {"_box_encoder_layers": keys.ClassColumns(0, box_coder.CODE_SIZE)}
        columns["_class_predictor_layers"] = keys.ClassColumns(1)
        own = {key: key.partition("/")[0] for key in self.checkpoint_keys()}
        return {key: columns[name] for key, name in own.items() if name in columns}

    def slim_names(self, scope):
        """{own key: names in first-generation checkpoints}."""
        named = (
            ("reduce_depth", self.reduction),
            ("refined_locations", self.boxes),
            ("class_predictions", self.classes),
        )
        return slim_naming.name_variables(self, [([f"{scope}/{name}"], block) for name, block in named])
