"""From a BoxPredictor message to a head."""

import tensorflow as tf

from tfodhelper.models import hyperparams, parts
from tfodhelper.models.heads import convolutional, weight_shared


def build_head(message, depths, num_anchors, num_columns, frozen, slim=False):
    """A head from a BoxPredictor message.

    Args:
      message: a BoxPredictor message.
      depths: numbers of channels of the feature maps.
      num_anchors: numbers of anchors at one place of each map.
      num_columns: width of the class predictions.
      frozen: whether batch norm statistics stay as they are in training.
      slim: whether the network is one of the first generation.
    """
    build, values = parts.choose(message, "box_predictor_oneof", HEADS)
    own = hyperparams.build_hyperparams(values.conv_hyperparams, slim)
    return build(values, depths, num_anchors, num_columns, own, frozen)


def _build_convolutional_head(message, depths, num_anchors, num_columns, own, frozen):
    layout = convolutional.HeadLayout(
        kernel_size=message.kernel_size,
        use_depthwise=message.use_depthwise,
        num_layers_before=message.num_layers_before_predictor,
        min_depth=message.min_depth,
        max_depth=message.max_depth,
        dropout_rate=_dropout_rate(message),
        class_bias=message.class_prediction_bias_init,
        box_code_range=_code_range(message),
    )
    return convolutional.ConvolutionalHead(depths, num_anchors, num_columns, layout, own, frozen)


def _build_weight_shared_head(message, depths, num_anchors, num_columns, own, frozen):
    layout = weight_shared.HeadLayout(
        depth=message.depth,
        num_layers_before=message.num_layers_before_predictor,
        kernel_size=message.kernel_size,
        use_depthwise=message.use_depthwise,
        share_tower=message.share_prediction_tower,
        dropout_rate=_dropout_rate(message),
        class_bias=message.class_prediction_bias_init,
        box_code_range=_code_range(message),
        to_scores={"IDENTITY": None, "SIGMOID": tf.sigmoid}[hyperparams.enum_name(message, "score_converter")],
        hyperparams_for_pointwise=message.apply_conv_hyperparams_pointwise,
        hyperparams_for_last=message.apply_conv_hyperparams_to_heads,
    )
    return weight_shared.WeightSharedHead(depths, num_anchors[0], num_columns, layout, own, frozen)


def _dropout_rate(message):
    """The fraction that is dropped, or None for no dropout."""
    return 1.0 - message.dropout_keep_probability if message.use_dropout else None


def _code_range(message):
    """(least, greatest) value of box codes, or None."""
    if not message.HasField("box_encodings_clip_range"):
        return None
    return (message.box_encodings_clip_range.min, message.box_encodings_clip_range.max)


HEADS = {
    "convolutional_box_predictor": _build_convolutional_head,
    "weight_shared_convolutional_box_predictor": _build_weight_shared_head,
}
