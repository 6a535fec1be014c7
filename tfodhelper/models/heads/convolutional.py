"""Predicts box codes and class logits from each feature map with convolutions of its own.

Shape letters: B batch, C class columns, a anchors of one map.
"""

import dataclasses

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, layers, slim_naming
from tfodhelper.ops import box_coder


@dataclasses.dataclass(frozen=True)
class HeadLayout:
    """How each feature map's predictions are made.

    Attributes:
      kernel_size: of the predicting convolutions.
      use_depthwise: whether a depthwise convolution of that size stands before a 1x1 one.
      num_layers_before: number of 1x1 convolutions that boxes and classes share, before the predicting ones.
      min_depth: least number of channels of those.
      max_depth: greatest number of channels of those; with `min_depth` also 0 there are none.
      dropout_rate: fraction of the features that the class prediction does not see in training; None: no dropout.
      class_bias: initial bias of the class logits.
      box_code_range: (least, greatest) value of box codes, or None.
    """

    kernel_size: int = 1
    use_depthwise: bool = False
    num_layers_before: int = 0
    min_depth: int = 0
    max_depth: int = 0
    dropout_rate: float | None = None
    class_bias: float = 0.0
    box_code_range: tuple | None = None


class ConvolutionalHead(tf_keras.layers.Layer):
    """Box codes and class logits of all anchors.

    Args:
      depths: numbers of channels of the feature maps.
      num_anchors: numbers of anchors at one place of each map.
      num_columns: C, width of the class predictions.
      layout: a `HeadLayout`.
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, depths, num_anchors, num_columns, layout, hyperparams, frozen=False, name="head"):
        super().__init__(name=name)
        self._layout, self._num_columns = layout, num_columns
        self.shared, self.box_layers, self.class_layers = [], [], []
        for number, (depth, anchors) in enumerate(zip(depths, num_anchors)):
            shared, depth = self._build_shared(depth, number, hyperparams, frozen)
            self.shared.append(shared)
            self.box_layers.append(
                self._build_predictor(
                    depth, anchors * box_coder.CODE_SIZE, hyperparams, frozen, "zeros", f"box_{number}"
                )
            )
            # Behind a depthwise convolution the published models start the class logits at 0.
            bias = "zeros" if layout.use_depthwise else tf_keras.initializers.Constant(layout.class_bias)
            self.class_layers.append(
                self._build_predictor(depth, anchors * num_columns, hyperparams, frozen, bias, f"class_{number}")
            )
        self.built = True

    def _build_shared(self, in_channels, number, hyperparams, frozen):
        """The 1x1 blocks before the predictions of one map, and their number of channels."""
        layout = self._layout
        depth = max(min(in_channels, layout.max_depth), layout.min_depth)
        blocks = []
        if depth > 0:
            for i in range(layout.num_layers_before):
                blocks.append(
                    layers.build_block(hyperparams, frozen, in_channels, depth, 1, name=f"shared_{number}_{i}")
                )
                in_channels = depth
        return blocks, in_channels

    def _build_predictor(self, in_channels, out_channels, hyperparams, frozen, bias_initializer, name):
        """The blocks that predict one thing from one map: perhaps a depthwise one, then the last convolution."""
        layout, blocks = self._layout, []
        if layout.use_depthwise:
            blocks.append(
                layers.build_depthwise_block(
                    hyperparams, frozen, in_channels, layout.kernel_size, name=f"{name}_depthwise"
                )
            )
        last = layers.Convolution(
            in_channels,
            out_channels,
            1 if layout.use_depthwise else layout.kernel_size,
            initializer=hyperparams.initializer,
            regularizer=hyperparams.regularizer,
            use_bias=True,
            bias_initializer=bias_initializer,
        )
        blocks.append(layers.ConvBlock(last, None, None, name=name))
        return blocks

    def call(self, feature_maps, training=False):
        """Predicts.

        Args:
          feature_maps: list of float32 [B, h, w, c].
          training: whether dropout works and batch norm moves.

        Returns:
          Box codes float32 [B, A, 4] and class logits float32 [B, A, C] of the anchors of all maps.
        """
        codes, logits = [], []
        for number, features in enumerate(feature_maps):
            for block in self.shared[number]:
                features = block(features, training=training)
            map_codes = _apply(self.box_layers[number], features, training)
            if self._layout.box_code_range is not None:
                map_codes = tf.clip_by_value(map_codes, *self._layout.box_code_range)
            codes.append(by_anchor(map_codes, box_coder.CODE_SIZE))
            if training and self._layout.dropout_rate is not None:
                features = tf.nn.dropout(features, self._layout.dropout_rate)
            logits.append(by_anchor(_apply(self.class_layers[number], features, training), self._num_columns))
        return tf.concat(codes, axis=1), tf.concat(logits, axis=1)

    def regularization_losses(self):
        """A list of scalars."""
        return [
            loss
            for blocks in (*self.shared, *self.box_layers, *self.class_layers)
            for block in blocks
            for loss in block.regularization_losses()
        ]

    def checkpoint_keys(self):
        """{name in checkpoints: variable}; dropout counts as the first layer of the class predictions."""
        keys = {}
        first_class_layer = 0 if self._layout.dropout_rate is None else 1
        for number in range(len(self.shared)):
            keys.update(_block_keys(f"_shared_nets/{number}", self.shared[number]))
            keys.update(
                _block_keys(f"_prediction_heads/box_encodings/{number}/_box_encoder_layers", self.box_layers[number])
            )
            keys.update(
                _block_keys(
                    f"_prediction_heads/class_predictions_with_background/{number}/_class_predictor_layers",
                    self.class_layers[number],
                    first_class_layer,
                )
            )
        return keys

    def class_keys(self):
        """Own keys of the variables whose last dimension follows from the number of columns."""
        last = {id(v) for blocks in self.class_layers for v in blocks[-1].convolution.checkpoint_keys().values()}
        return frozenset(key for key, variable in self.checkpoint_keys().items() if id(variable) in last)

    def slim_names(self, scopes=None):
        """{own key: names in first-generation checkpoints}.

        Args:
          scopes: one for each feature map, the finest first; the layers of further maps have no names. When omitted,
            those of SSD, where a single map has none.
        """
        if scopes is None:
            count = len(self.box_layers)
            scopes = [f"BoxPredictor_{i}/" for i in range(count)] if count > 1 else [""]
        else:
            scopes = [f"{scope}/" for scope in scopes]
        scoped = []
        for scope, shared, boxes, classes in zip(scopes, self.shared, self.box_layers, self.class_layers):
            for index, block in enumerate(shared):
                scoped.append(([f"{scope}Conv2d_{index}_1x1_{block.convolution.out_channels}"], block))
            for name, blocks in (("BoxEncodingPredictor", boxes), ("ClassPredictor", classes)):
                names = [f"{scope}{name}_depthwise", f"{scope}{name}"] if len(blocks) > 1 else [f"{scope}{name}"]
                scoped += [([layer_name], block) for layer_name, block in zip(names, blocks)]
        return slim_naming.name_variables(self, scoped)


def _apply(blocks, features, training):
    for block in blocks:
        features = block(features, training=training)
    return features


def by_anchor(predictions, width):
    """One row for each anchor of a map: [B, h, w, a * width] -> float32 [B, h * w * a, width]."""
    predictions = tf.cast(predictions, tf.float32)
    _, height, map_width, channels = predictions.shape
    if height is None or map_width is None:
        return tf.reshape(predictions, [tf.shape(predictions)[0], -1, width])
    return tf.reshape(predictions, [-1, height * map_width * channels // width, width])


def _block_keys(prefix, blocks, first=0):
    """Keys of blocks in a row, each of which counts as convolution, batch norm and activation."""
    keys = {}
    for index, block in enumerate(blocks):
        keys.update(keras_keys.keys_under(f"{prefix}/{first + 3 * index}", block.convolution))
        keys.update(keras_keys.keys_under(f"{prefix}/{first + 3 * index + 1}", block.norm))
    return keys
