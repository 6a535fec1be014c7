"""From an SsdFeatureExtractor message to a backbone that several networks share."""

import dataclasses

import tensorflow as tf

from tfodhelper.models import hyperparams, parts
from tfodhelper.models.backbones import mobilenet_v2


def build_mobilenet_v2(message, frozen, endpoints, last_depth=mobilenet_v2.LAST_DEPTH):
    """A `MobileNetV2`.

    Args:
      message: an SsdFeatureExtractor message.
      frozen: whether batch norm statistics stay as they are in training.
      endpoints: see `MobileNetV2`.
      last_depth: see `mobilenet_v2.Widths`.
    """
    slim = parts.is_first_generation(message.type)
    override = message.override_base_feature_extractor_hyperparams
    own = mobilenet_v2.DEFAULT_HYPERPARAMS
    if override:
        own = hyperparams.build_hyperparams(message.conv_hyperparams)
        if slim:  # which leaves these convolutions their activation, and a batch norm with all its parameters
            norm = dataclasses.replace(own.norm or mobilenet_v2.DEFAULT_HYPERPARAMS.norm, center=True, scale=True)
            own = dataclasses.replace(own, activation=tf.nn.relu6, norm=norm)
    return mobilenet_v2.MobileNetV2(
        own,
        frozen=frozen,
        widths=mobilenet_v2.Widths(message.depth_multiplier, message.min_depth, last_depth, slim),
        explicit_padding=message.use_explicit_padding,
        regularize_depthwise=override or not slim,
        endpoints=endpoints,
    )
