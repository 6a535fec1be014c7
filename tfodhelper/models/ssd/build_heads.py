"""From a BoxPredictor message to a head."""

from tfodhelper import errors
from tfodhelper.models import hyperparams, parts
from tfodhelper.models.heads import convolutional


def build_head(message, depths, num_anchors, num_columns, frozen):
    """A head from a BoxPredictor message."""
    build, values = parts.choose(message, "box_predictor_oneof", HEADS)
    if len(depths) != len(num_anchors):
        raise errors.ConfigError(
            "anchor_generator.num_layers and feature_extractor.num_layers differ",
            expected=len(depths),
            received=len(num_anchors),
        )
    return build(values, depths, num_anchors, num_columns, frozen)


def _build_convolutional_head(message, depths, num_anchors, num_columns, frozen):
    if message.box_code_size != 4:
        raise errors.ConfigError("box_predictor.box_code_size", expected=4, received=message.box_code_size)
    if message.min_depth > message.max_depth:
        raise errors.ConfigError(
            "box_predictor", expected="min_depth <= max_depth", received=f"{message.min_depth} > {message.max_depth}"
        )
    if message.use_depthwise and message.kernel_size == 1:
        raise errors.ConfigError("box_predictor.kernel_size", expected="above 1 with use_depthwise", received=1)
    code_range = None
    if message.HasField("box_encodings_clip_range"):
        code_range = (message.box_encodings_clip_range.min, message.box_encodings_clip_range.max)
    layout = convolutional.HeadLayout(
        kernel_size=message.kernel_size,
        use_depthwise=message.use_depthwise,
        num_layers_before=message.num_layers_before_predictor,
        min_depth=message.min_depth,
        max_depth=message.max_depth,
        dropout_rate=1.0 - message.dropout_keep_probability if message.use_dropout else None,
        class_bias=message.class_prediction_bias_init,
        box_code_range=code_range,
    )
    own = hyperparams.build_hyperparams(message.conv_hyperparams)
    return convolutional.ConvolutionalHead(depths, num_anchors, num_columns, layout, own, frozen)


HEADS = {"convolutional_box_predictor": _build_convolutional_head}
