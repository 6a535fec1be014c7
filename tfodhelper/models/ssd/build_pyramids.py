"""Networks with a feature pyramid (Lin et al. 2016; arXiv 1612.03144), for RetinaNet and its like, or a pooling one."""

import dataclasses
import functools

import tensorflow as tf
import tf_keras

from tfodhelper import errors
from tfodhelper.families import pyramids
from tfodhelper.models import hyperparams, layers, parts, pixels
from tfodhelper.models.backbones import mobilenet_v1, mobilenet_v2, resnet_v1, spaghettinet
from tfodhelper.models.necks import feature_pyramid, mnasfpn, pooling_pyramid, spaghetti
from tfodhelper.models.ssd import build_backbones

_MOBILENET_V1_ENDPOINTS = {2: 3, 3: 5, 4: 11, 5: 13}
_MOBILENET_V2_ENDPOINTS = {2: "layer_4", 3: "layer_7", 4: "layer_14", 5: "layer_19"}
_MNASFPN_ENDPOINTS = ("layer_7", "layer_14", "layer_18")
_SLENDER_LAST_DEPTH = 256  # of MobileNet V2 in the first generation, if the pyramid is depthwise


def levels_of_backbone(message):
    """The levels that a backbone gives to a pyramid, from an SsdFeatureExtractor message; level L has stride 2^L."""
    pyramid = pyramids.pyramid_of(message)
    return range(pyramid.min_level, min(pyramid.max_level, pyramids.COARSEST_OF_BACKBONE) + 1)


def build_pyramid(message, depths, frozen, **others):
    """A `FeaturePyramid`.

    Args:
      message: an SsdFeatureExtractor message.
      depths: numbers of channels of the backbone's maps.
      frozen: whether batch norm statistics stay as they are in training.
      **others: see `feature_pyramid.Layout`.
    """
    pyramid = pyramids.pyramid_of(message)
    depth = layers.scale_depth(pyramid.additional_layer_depth, message.depth_multiplier, message.min_depth)
    if depth < 1:
        raise errors.ConfigError("feature_extractor.fpn.additional_layer_depth", expected="at least 1", received=depth)
    num_coarse = pyramid.max_level - levels_of_backbone(message)[-1]
    slim = parts.is_first_generation(message.type)
    layout = feature_pyramid.Layout(depth=depth, num_coarse=num_coarse, doubles_smoothed=not slim, **others)
    own = hyperparams.build_hyperparams(message.conv_hyperparams, slim)
    return feature_pyramid.FeaturePyramid(depths, layout, own, frozen, name="neck")


def _build_mobilenet_v1_fpn(message, frozen, padding):
    """See `build.FEATURE_EXTRACTORS`."""
    backbone = build_backbones.build_mobilenet_v1(
        message,
        frozen,
        endpoints=[_MOBILENET_V1_ENDPOINTS[level] for level in levels_of_backbone(message)],
        pairs=mobilenet_v1.SLENDER_PAIRS if message.use_depthwise else mobilenet_v1.PAIRS,
    )
    return _add_to_mobilenet(message, backbone, frozen, padding)


def _build_mobilenet_v2_fpn(message, frozen, padding):
    """See `build.FEATURE_EXTRACTORS`."""
    is_slender = message.use_depthwise and parts.is_first_generation(message.type)
    backbone = build_backbones.build_mobilenet_v2(
        message,
        frozen,
        endpoints=[_MOBILENET_V2_ENDPOINTS[level] for level in levels_of_backbone(message)],
        last_depth=_SLENDER_LAST_DEPTH if is_slender else mobilenet_v2.LAST_DEPTH,
    )
    return _add_to_mobilenet(message, backbone, frozen, padding, slim_coarse=("bottom_up_Conv2d_", 20))


def _add_to_mobilenet(message, backbone, frozen, padding, **others):
    """A MobileNet with the pyramid that follows it; `others`: see `feature_pyramid.Layout`."""
    neck = build_pyramid(
        message,
        backbone.depths,
        frozen,
        use_depthwise=message.use_depthwise,
        explicit_padding=message.use_explicit_padding,
        **others,
    )
    scaling = dataclasses.replace(pixels.MINUS_ONE_TO_ONE, padding=padding)
    return {"scaling": scaling, "backbone": backbone, "neck": neck}


def _build_resnet_v1_fpn(message, frozen, padding, depth):
    """See `build.FEATURE_EXTRACTORS`."""
    levels = levels_of_backbone(message)
    backbone = build_backbones.build_resnet_v1(
        message,
        frozen,
        resnet_v1.UNITS[depth],
        outputs=[level - 2 for level in levels],
        slim_scope=f"resnet_v1_{depth}",
    )
    neck = build_pyramid(message, backbone.depths, frozen, slim_coarse=("bottom_up_block", levels[-1]))
    scaling = dataclasses.replace(pixels.MINUS_MEANS, padding=padding)
    return {"scaling": scaling, "backbone": backbone, "neck": neck}


def _build_mobilenet_v1_ppn(message, frozen, padding):
    """See `build.FEATURE_EXTRACTORS`.

    Published checkpoints also have the last two pairs of MobileNet V1, on which nothing depends; they are not built.
    """
    backbone = build_backbones.build_mobilenet_v1(message, frozen, endpoints=(11,))
    return {
        "scaling": dataclasses.replace(pixels.MINUS_ONE_TO_ONE, padding=padding),
        "backbone": backbone,
        "neck": pooling_pyramid.PoolingPyramid(backbone.depths[-1], message.num_layers),
    }


def _build_mobilenet_v2_mnasfpn(message, frozen, padding):
    """See `build.FEATURE_EXTRACTORS`.

    All convolutions, also those of the backbone, have the hyperparameters of the pyramid; only, their weight decay is
    less.
    """
    own = dataclasses.replace(
        mnasfpn.POINTWISE_HYPERPARAMS,
        regularizer=mobilenet_v2.DEFAULT_HYPERPARAMS.regularizer,
        activation=tf.nn.relu6,
    )
    backbone = mobilenet_v2.MobileNetV2(
        own,
        frozen=frozen,
        widths=mobilenet_v2.Widths(message.depth_multiplier, message.min_depth, slim=True),
        explicit_padding=message.use_explicit_padding,
        depthwise_initializer=tf_keras.initializers.TruncatedNormal(stddev=mnasfpn.DEPTHWISE_STDDEV),
        endpoints=_MNASFPN_ENDPOINTS,
    )
    neck = mnasfpn.MnasFPN(
        backbone.depths,
        pyramids.pyramid_of(message).additional_layer_depth,
        lambda depth: max(layers.round_depth(depth * message.depth_multiplier), message.min_depth),
        explicit_padding=message.use_explicit_padding,
        frozen=frozen,
    )
    scaling = dataclasses.replace(pixels.MINUS_ONE_TO_ONE, padding=padding)
    return {"scaling": scaling, "backbone": backbone, "neck": neck}


def _build_spaghettinet(message, frozen, padding):
    """See `build.FEATURE_EXTRACTORS`."""
    network = spaghettinet.BY_NAME[message.spaghettinet_arch_name]
    own = {"explicit_padding": message.use_explicit_padding, "frozen": frozen}
    return {
        "scaling": dataclasses.replace(pixels.MINUS_ONE_TO_ONE, padding=padding),
        "backbone": spaghettinet.SpaghettiNet(network, **own),
        "neck": spaghetti.SpaghettiNeck(network, **own),
    }


FEATURE_EXTRACTORS = {  # the first generation's names have no _keras
    "ssd_mobilenet_v1_fpn": _build_mobilenet_v1_fpn,
    "ssd_mobilenet_v1_fpn_keras": _build_mobilenet_v1_fpn,
    "ssd_mobilenet_v1_ppn": _build_mobilenet_v1_ppn,  # of the first generation alone
    "ssd_mobilenet_v2_fpn": _build_mobilenet_v2_fpn,
    "ssd_mobilenet_v2_fpn_keras": _build_mobilenet_v2_fpn,
    "ssd_mobilenet_v2_mnasfpn": _build_mobilenet_v2_mnasfpn,  # of the first generation alone
    "ssd_spaghettinet": _build_spaghettinet,  # likewise
}
for _depth in resnet_v1.UNITS:
    FEATURE_EXTRACTORS[f"ssd_resnet{_depth}_v1_fpn"] = functools.partial(_build_resnet_v1_fpn, depth=_depth)
    FEATURE_EXTRACTORS[f"ssd_resnet{_depth}_v1_fpn_keras"] = functools.partial(_build_resnet_v1_fpn, depth=_depth)
