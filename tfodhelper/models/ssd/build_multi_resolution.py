"""Networks whose neck makes smaller and smaller maps (Liu et al. 2016, section 2.1; arXiv 1512.02325)."""

import dataclasses

from tfodhelper import errors
from tfodhelper.models import hyperparams, pixels
from tfodhelper.models.backbones import inception_v2, mobilenet_v1
from tfodhelper.models.necks import multi_resolution


def _build_ssd_mobilenet_v1(message, frozen, padding):
    """See `build.FEATURE_EXTRACTORS`."""
    own = hyperparams.build_hyperparams(message.conv_hyperparams)
    override = message.override_base_feature_extractor_hyperparams
    backbone = mobilenet_v1.MobileNetV1(
        own if override else mobilenet_v1.DEFAULT_HYPERPARAMS,
        frozen=frozen,
        depth_multiplier=message.depth_multiplier,
        min_depth=message.min_depth,
        explicit_padding=message.use_explicit_padding,
        endpoints=(11, 13)[: message.num_layers],
    )
    layout = multi_resolution.Layout(
        depths=(512, 256, 256, 128)[: max(message.num_layers - 2, 0)],
        depth_multiplier=message.depth_multiplier,
        min_depth=message.min_depth,
        explicit_padding=message.use_explicit_padding,
        use_depthwise=message.use_depthwise,
    )
    return {
        "scaling": dataclasses.replace(pixels.MINUS_ONE_TO_ONE, padding=padding),
        "backbone": backbone,
        "neck": multi_resolution.MultiResolutionNeck(backbone.depths, layout, own, frozen),
    }


def _build_ssd_inception_v2(message, frozen, padding):
    """See `build.FEATURE_EXTRACTORS`."""
    own = hyperparams.build_hyperparams(message.conv_hyperparams)
    if not message.override_base_feature_extractor_hyperparams:
        raise errors.ConfigError(
            "feature_extractor.override_base_feature_extractor_hyperparams: Inception V2 has no others",
            expected="true",
            received="false",
        )
    backbone = inception_v2.InceptionV2(
        own,
        frozen=frozen,
        depth_multiplier=message.depth_multiplier,
        min_depth=message.min_depth,
        endpoints=("Mixed_4c", "Mixed_5c")[: message.num_layers],
    )
    layout = multi_resolution.Layout(
        depths=(512, 256, 256, 128)[: max(message.num_layers - 2, 0)],
        depth_multiplier=message.depth_multiplier,
        min_depth=message.min_depth,
        explicit_padding=message.use_explicit_padding,
        use_depthwise=message.use_depthwise,
    )
    return {
        "scaling": dataclasses.replace(pixels.MINUS_ONE_TO_ONE, padding=padding),
        "backbone": backbone,
        "neck": multi_resolution.MultiResolutionNeck(backbone.depths, layout, own, frozen),
    }


FEATURE_EXTRACTORS = {
    "ssd_inception_v2": _build_ssd_inception_v2,  # of the first generation alone
    "ssd_mobilenet_v1": _build_ssd_mobilenet_v1,  # the first generation's name
    "ssd_mobilenet_v1_keras": _build_ssd_mobilenet_v1,
}
