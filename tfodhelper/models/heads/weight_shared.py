"""Predicts from all feature maps with the same kernels (Lin et al. 2017, section 4; arXiv 1708.02002).

Batch norm is not shared: each map has statistics, gamma and beta of its own. Shape letters: B batch, A anchors of all
maps, C class columns.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf
import tf_keras

from tfodhelper.models import keras_keys, layers, normalization, separable, slim_naming
from tfodhelper.models.heads import convolutional
from tfodhelper.ops import box_coder

_SLIM_SCOPE = "WeightSharedConvolutionalBoxPredictor"
_BOXES, _CLASSES = "box_encodings", "class_predictions_with_background"  # names in checkpoints


@dataclasses.dataclass(frozen=True)
class HeadLayout:
    """How the predictions of a feature map are made.

    Attributes:
      depth: number of channels of the convolutions before the predicting ones.
      num_layers_before: number of those convolutions, called a tower.
      kernel_size: of all convolutions.
      use_depthwise: whether all convolutions are separable ones.
      share_tower: whether boxes and classes are predicted from one tower; else each has its own.
      dropout_rate: fraction of the features that the class prediction does not see in training; None: no dropout.
      class_bias: initial bias of the class logits.
      box_code_range: (least, greatest) value of box codes, or None.
      to_scores: class logits -> what is predicted instead of them when not training, or None.
      hyperparams_for_pointwise: whether initializer and regularizer hold for pointwise kernels of towers, too.
      hyperparams_for_last: whether they hold for the kernels of separable convolutions that predict.
    """

    depth: int
    num_layers_before: int = 0
    kernel_size: int = 3
    use_depthwise: bool = False
    share_tower: bool = False
    dropout_rate: float | None = None
    class_bias: float = 0.0
    box_code_range: tuple | None = None
    to_scores: Callable | None = None
    hyperparams_for_pointwise: bool = False
    hyperparams_for_last: bool = False


class WeightSharedHead(tf_keras.layers.Layer):
    """Box codes and class logits of all anchors.

    Feature maps whose depth differs from that of most are brought to the commonest depth by a 1x1 convolution; then
    every map has one.

    Args:
      depths: numbers of channels of the feature maps.
      num_anchors: number of anchors at each place of every map.
      num_columns: C, width of the class predictions.
      layout: a `HeadLayout`.
      hyperparams: `ConvHyperparams`; with a norm, one follows each convolution of a tower and each projection.
      frozen: whether batch norm statistics stay as they are in training.
    """

    def __init__(self, depths, num_anchors, num_columns, layout, hyperparams, frozen=False, name="head"):
        super().__init__(name=name)
        self._layout, self._num_columns = layout, num_columns
        # Unlike other layers, these have no bias where there is a norm that does not centre.
        use_bias = hyperparams.force_use_bias or hyperparams.norm is None
        channels, self.projections = depths[0], []
        if len(set(depths)) > 1:
            channels = _commonest(depths)
            linear = dataclasses.replace(hyperparams, activation=None)
            self.projections = [
                layers.build_block(linear, frozen, depth, channels, 1, use_bias=use_bias, name=f"projection_{level}")
                for level, depth in enumerate(depths)
            ]
        names = ["PredictionTower"] if layout.share_tower else ["BoxPredictionTower", "ClassPredictionTower"]
        self.towers = [Tower(channels, len(depths), layout, hyperparams, frozen, use_bias, name) for name in names]
        channels = layout.depth if layout.num_layers_before else channels
        self.box_layer = self._build_last(channels, num_anchors * box_coder.CODE_SIZE, hyperparams, "zeros", "box")
        bias = tf_keras.initializers.Constant(layout.class_bias)
        self.class_layer = self._build_last(channels, num_anchors * num_columns, hyperparams, bias, "class")
        self.built = True

    def _build_last(self, in_channels, out_channels, hyperparams, bias_initializer, name):
        """The convolution that predicts."""
        layout = self._layout
        if layout.use_depthwise:
            return separable.build_separable(
                hyperparams,
                in_channels,
                out_channels,
                layout.kernel_size,
                use_bias=True,
                bias_initializer=bias_initializer,
                for_depthwise=layout.hyperparams_for_last,
                for_pointwise=layout.hyperparams_for_last,
                name=name,
            )
        return layers.Convolution(
            in_channels,
            out_channels,
            layout.kernel_size,
            initializer=hyperparams.initializer,
            regularizer=hyperparams.regularizer,
            use_bias=True,
            bias_initializer=bias_initializer,
            name=name,
        )

    def call(self, feature_maps, training=False):
        """Predicts.

        Args:
          feature_maps: list of float32 [B, h, w, c].
          training: whether dropout works and batch norm moves.

        Returns:
          Box codes float32 [B, A, 4] and class logits float32 [B, A, C] of the anchors of all maps.
        """
        layout, codes, logits = self._layout, [], []
        for level, features in enumerate(feature_maps):
            if self.projections:
                features = self.projections[level](features, training=training)
            of_towers = [tower(features, level, training=training) for tower in self.towers]
            map_codes, of_classes = self.box_layer(of_towers[0]), of_towers[-1]
            if layout.box_code_range is not None:
                map_codes = tf.clip_by_value(map_codes, *layout.box_code_range)
            if training and layout.dropout_rate is not None:
                of_classes = tf.nn.dropout(of_classes, layout.dropout_rate)
            codes.append(convolutional.by_anchor(map_codes, box_coder.CODE_SIZE))
            logits.append(convolutional.by_anchor(self.class_layer(of_classes), self._num_columns))
        class_logits = tf.concat(logits, axis=1)
        if layout.to_scores is not None and not training:
            class_logits = layout.to_scores(class_logits)
        return tf.concat(codes, axis=1), class_logits

    def regularization_losses(self):
        """A list of scalars."""
        parts = [*self.projections, *self.towers, self.box_layer, self.class_layer]
        return [loss for part in parts for loss in part.regularization_losses()]

    def checkpoint_keys(self):
        """{name in checkpoints: variable}; dropout counts as the first layer of the class predictions."""
        keys = {}
        for level, block in enumerate(self.projections):
            for index, layer in enumerate(block.layers_in_order()):
                keys.update(keras_keys.keys_under(f"_additional_projection_layers/{level}/{index}", layer))
        for tower, branch in zip(self.towers, (_BOXES, _CLASSES)):
            keys.update(tower.checkpoint_keys(f"_base_tower_layers_for_heads/{branch}"))
        keys.update(keras_keys.keys_under("_box_prediction_head/_box_encoder_layers/0", self.box_layer))
        index = 0 if self._layout.dropout_rate is None else 1
        prefix = f"_prediction_heads/{_CLASSES}/_class_predictor_layers/{index}"
        keys.update(keras_keys.keys_under(prefix, self.class_layer))
        return keys

    def class_keys(self):
        """Own keys of the variables whose last dimension follows from the number of columns."""
        last = self.class_layer.pointwise if self._layout.use_depthwise else self.class_layer
        ids = {id(variable) for variable in last.checkpoint_keys().values()}
        return frozenset(key for key, variable in self.checkpoint_keys().items() if id(variable) in ids)

    def slim_names(self):
        """{own key: names in first-generation checkpoints}."""
        scoped = [
            ([f"{_SLIM_SCOPE}/BoxPredictor"], self.box_layer),
            ([f"{_SLIM_SCOPE}/ClassPredictor"], self.class_layer),
        ]
        scoped += [
            ([f"{_SLIM_SCOPE}/ProjectionLayer/conv2d_{level}"], block) for level, block in enumerate(self.projections)
        ]
        for tower in self.towers:
            for index, convolution in enumerate(tower.convolutions):
                scoped.append(([f"{_SLIM_SCOPE}/{tower.name}/conv2d_{index}"], convolution))
        names = slim_naming.name_variables(self, scoped)
        by_id = {id(variable): key for key, variable in self.checkpoint_keys().items()}
        for tower in self.towers:
            for (index, level), norm in tower.norms().items():
                scope = f"{_SLIM_SCOPE}/{tower.name}/conv2d_{index}/BatchNorm/feature_{level}"
                for leaf, variable in norm.checkpoint_keys().items():
                    names[by_id[id(variable)]] = (f"{scope}/{leaf}",)
        return names


class Tower(tf_keras.layers.Layer):
    """Convolutions in a row that all feature maps share, with batch norms that they do not share.

    Args:
      in_channels: channels of the feature maps.
      num_levels: number of feature maps.
      layout: a `HeadLayout`.
      hyperparams: `ConvHyperparams`.
      frozen: whether batch norm statistics stay as they are in training.
      use_bias: whether the convolutions have a bias.
      name: scope of the tower in checkpoints.
    """

    def __init__(self, in_channels, num_levels, layout, hyperparams, frozen, use_bias, name):
        super().__init__(name=name)
        self._depth = layout.depth
        self.convolutions = []
        for _ in range(layout.num_layers_before):
            self.convolutions.append(_build_shared(in_channels, layout, hyperparams, use_bias))
            in_channels = layout.depth
        self.blocks = [
            [self._build_block(convolution, hyperparams, frozen) for convolution in self.convolutions]
            for _ in range(num_levels)
        ]
        self.built = True

    def _build_block(self, convolution, hyperparams, frozen):
        norm = None
        if hyperparams.norm is not None:
            norm = normalization.BatchNorm(self._depth, hyperparams.norm, frozen)
        return layers.ConvBlock(convolution, norm, hyperparams.activation)

    def call(self, features, level, training=False):
        """float32 [B, h, w, in_channels] of the map `level` -> [B, h, w, depth]."""
        for block in self.blocks[level]:
            features = block(features, training=training)
        return features

    def norms(self):
        """{(index in the tower, level): batch norm}."""
        return {
            (index, level): block.norm
            for level, blocks in enumerate(self.blocks)
            for index, block in enumerate(blocks)
            if block.norm is not None
        }

    def regularization_losses(self):
        """A list of scalars."""
        return [loss for convolution in self.convolutions for loss in convolution.regularization_losses()]

    def checkpoint_keys(self, branch):
        """{name in checkpoints: variable}.

        Args:
          branch: where the batch norms are, each of which follows a convolution and precedes an activation.
        """
        keys = {}
        for index, convolution in enumerate(self.convolutions):
            keys.update(keras_keys.keys_under(f"_head_scope_conv_layers/{self.name}/{index}", convolution))
        for (index, level), norm in self.norms().items():
            keys.update(keras_keys.keys_under(f"{branch}/{level}/{3 * index + 1}", norm))
        return keys


def _build_shared(in_channels, layout, hyperparams, use_bias):
    """A convolution of a tower."""
    if layout.use_depthwise:
        return separable.build_separable(
            hyperparams,
            in_channels,
            layout.depth,
            layout.kernel_size,
            use_bias=use_bias,
            for_pointwise=layout.hyperparams_for_pointwise,
        )
    return layers.Convolution(
        in_channels,
        layout.depth,
        layout.kernel_size,
        initializer=hyperparams.initializer,
        regularizer=hyperparams.regularizer,
        use_bias=use_bias,
    )


def _commonest(depths):
    """The most frequent depth; of several, the one that a set yields first, as the published code chooses."""
    counts = {depth: depths.count(depth) for depth in set(depths)}
    return max(counts, key=counts.get)
