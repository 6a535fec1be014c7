"""From an SsdFeatureExtractor message to a backbone that several networks share."""

import dataclasses

import tensorflow as tf
import tf_keras

from tfodhelper.models import hyperparams, parts
from tfodhelper.models.backbones import mobilenet_v1, mobilenet_v2, mobilenet_v3, resnet_v1


def build_mobilenet_v1(message, frozen, endpoints, pairs=mobilenet_v1.PAIRS):
    """A `MobileNetV1`.

    Args:
      message: an SsdFeatureExtractor message.
      frozen: whether batch norm statistics stay as they are in training.
      endpoints: see `MobileNetV1`.
      pairs: see `MobileNetV1`.
    """
    own = mobilenet_v1.DEFAULT_HYPERPARAMS
    if message.override_base_feature_extractor_hyperparams:
        own = hyperparams.build_hyperparams(message.conv_hyperparams)
    return mobilenet_v1.MobileNetV1(
        own,
        frozen=frozen,
        depth_multiplier=message.depth_multiplier,
        min_depth=message.min_depth,
        explicit_padding=message.use_explicit_padding,
        endpoints=endpoints,
        pairs=pairs,
    )


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
        own = _override(message, own) if slim else hyperparams.build_hyperparams(message.conv_hyperparams)
    return mobilenet_v2.MobileNetV2(
        own,
        frozen=frozen,
        widths=mobilenet_v2.Widths(message.depth_multiplier, message.min_depth, last_depth, slim),
        explicit_padding=message.use_explicit_padding,
        regularize_depthwise=override or not slim,
        endpoints=endpoints,
    )


def build_mobilenet_v3(message, frozen, network):
    """A `MobileNetV3`.

    Args:
      message: an SsdFeatureExtractor message.
      frozen: whether batch norm statistics stay as they are in training.
      network: a `mobilenet_v3.Network`.
    """
    override = message.override_base_feature_extractor_hyperparams
    own = mobilenet_v3.DEFAULT_HYPERPARAMS
    return mobilenet_v3.MobileNetV3(
        network,
        _override(message, own) if override else own,
        frozen=frozen,
        depth_multiplier=message.depth_multiplier,
        min_depth=message.min_depth,
        regularize_depthwise=override,
    )


def _override(message, defaults):
    """Hyperparameters of TF-Slim's MobileNets V2 and V3, where the configuration overrides them.

    It leaves these convolutions their activation, and a batch norm with all its parameters.

    Args:
      message: an SsdFeatureExtractor message.
      defaults: `ConvHyperparams` without it.
    """
    own = hyperparams.build_hyperparams(message.conv_hyperparams)
    norm = dataclasses.replace(own.norm or defaults.norm, center=True, scale=True)
    return dataclasses.replace(own, activation=defaults.activation, norm=norm)


def build_resnet_v1(message, frozen, units, outputs, slim_scope):
    """A `ResNetV1` with the stem.

    In the first generation, too, the pyramid takes what a stage gives before its stride; so this is the same network
    as that of Keras, whose stages begin with their stride. Only, its weight decay is half as much, and its units end in
    a ReLU whatever the configuration says.

    Args:
      message: an SsdFeatureExtractor message.
      frozen: whether batch norm statistics stay as they are in training.
      units: numbers of units of the stages.
      outputs: indices of the stages whose outputs are returned, in order.
      slim_scope: see `ResNetV1`.
    """
    slim = parts.is_first_generation(message.type)
    depth = int(resnet_v1.STEM_DEPTH * message.depth_multiplier)
    if message.override_base_feature_extractor_hyperparams:
        own = hyperparams.build_hyperparams(message.conv_hyperparams)
        if slim and own.norm is not None:  # whose batch norm is that of ResNet, whatever the configuration says
            own = dataclasses.replace(
                own, norm=dataclasses.replace(resnet_v1.make_hyperparams().norm, moves=own.norm.moves)
            )
    else:
        decay = 1e-4 if slim else 2e-4
        own = resnet_v1.make_hyperparams(regularizer=lambda kernel: decay * tf.nn.l2_loss(kernel))
        if slim:
            own = dataclasses.replace(own, initializer=tf_keras.initializers.VarianceScaling(scale=2.0))
    return resnet_v1.ResNetV1(
        resnet_v1.make_stages(units, depth)[: max(outputs) + 1],
        own,
        frozen,
        stem_depth=depth,
        outputs=outputs,
        unit_activation=tf.nn.relu if slim else None,
        slim_scope=slim_scope,
        name="backbone",
    )
