"""Networks whose neck makes smaller and smaller maps (Liu et al. 2016, section 2.1; arXiv 1512.02325)."""

import dataclasses
import functools

from tfodhelper.models import hyperparams, parts, pixels
from tfodhelper.models.backbones import inception_v2, mobiledet, mobilenet_v2, mobilenet_v3
from tfodhelper.models.necks import multi_resolution
from tfodhelper.models.ssd import build_backbones

DEPTHS = (512, 256, 256, 128)  # of the maps behind the backbone's two


def _build_ssd_mobilenet_v1(message, frozen, padding):
    """See `build.FEATURE_EXTRACTORS`."""
    backbone = build_backbones.build_mobilenet_v1(message, frozen, endpoints=(11, 13)[: message.num_layers])
    return {
        "scaling": dataclasses.replace(pixels.MINUS_ONE_TO_ONE, padding=padding),
        "backbone": backbone,
        "neck": _build_neck(message, backbone, frozen),
    }


def _build_ssd_mobilenet_v2(message, frozen, padding):
    """See `build.FEATURE_EXTRACTORS`."""
    backbone = build_backbones.build_mobilenet_v2(message, frozen, mobilenet_v2.SSD_ENDPOINTS)
    return {
        "scaling": dataclasses.replace(pixels.MINUS_ONE_TO_ONE, padding=padding),
        "backbone": backbone,
        "neck": _build_neck(message, backbone, frozen, scope="feature_map_generator"),
    }


def _build_ssd_mobilenet_v3(message, frozen, padding, network):
    """See `build.FEATURE_EXTRACTORS`."""
    backbone = build_backbones.build_mobilenet_v3(message, frozen, network)
    return {
        "scaling": dataclasses.replace(pixels.MINUS_ONE_TO_ONE, padding=padding),
        "backbone": backbone,
        "neck": _build_neck(message, backbone, frozen),
    }


def _build_ssd_mobiledet(message, frozen, padding, network):
    """See `build.FEATURE_EXTRACTORS`."""
    backbone = mobiledet.MobileDet(network, frozen=frozen, depth_multiplier=message.depth_multiplier)
    return {
        "scaling": dataclasses.replace(pixels.MINUS_ONE_TO_ONE, padding=padding),
        "backbone": backbone,
        "neck": _build_neck(message, backbone, frozen),
    }


def _build_ssd_inception_v2(message, frozen, padding):
    """See `build.FEATURE_EXTRACTORS`."""
    own = hyperparams.build_hyperparams(message.conv_hyperparams)
    backbone = inception_v2.InceptionV2(
        own,
        frozen=frozen,
        depth_multiplier=message.depth_multiplier,
        min_depth=message.min_depth,
        endpoints=("Mixed_4c", "Mixed_5c")[: message.num_layers],
    )
    return {
        "scaling": dataclasses.replace(pixels.MINUS_ONE_TO_ONE, padding=padding),
        "backbone": backbone,
        "neck": _build_neck(message, backbone, frozen),
    }


def _build_neck(message, backbone, frozen, **layout):
    """The neck of an SsdFeatureExtractor message whose backbone has two maps; `layout` is for `Layout`."""
    slim = parts.is_first_generation(message.type)
    layout = multi_resolution.Layout(
        depths=DEPTHS[: max(message.num_layers - 2, 0)],
        depth_multiplier=message.depth_multiplier,
        min_depth=message.min_depth,
        explicit_padding=message.use_explicit_padding,
        use_depthwise=message.use_depthwise,
        **layout,
    )
    own = hyperparams.build_hyperparams(message.conv_hyperparams, slim)
    return multi_resolution.MultiResolutionNeck(backbone.depths, layout, own, frozen)


FEATURE_EXTRACTORS = {
    "ssd_inception_v2": _build_ssd_inception_v2,  # of the first generation alone
    "ssd_mobiledet_cpu": functools.partial(_build_ssd_mobiledet, network=mobiledet.CPU),
    "ssd_mobiledet_dsp": functools.partial(_build_ssd_mobiledet, network=mobiledet.DSP),
    "ssd_mobiledet_edgetpu": functools.partial(_build_ssd_mobiledet, network=mobiledet.EDGETPU),
    "ssd_mobilenet_v1": _build_ssd_mobilenet_v1,  # the first generation's names have no _keras
    "ssd_mobilenet_v1_keras": _build_ssd_mobilenet_v1,
    "ssd_mobilenet_v2": _build_ssd_mobilenet_v2,
    "ssd_mobilenet_v2_keras": _build_ssd_mobilenet_v2,
    "ssd_mobilenet_edgetpu": functools.partial(_build_ssd_mobilenet_v3, network=mobilenet_v3.EDGETPU),
    "ssd_mobilenet_v3_large": functools.partial(_build_ssd_mobilenet_v3, network=mobilenet_v3.LARGE),
    "ssd_mobilenet_v3_small": functools.partial(_build_ssd_mobilenet_v3, network=mobilenet_v3.SMALL),
}
