"""Networks whose neck makes smaller and smaller maps (Liu et al. 2016, section 2.1; arXiv 1512.02325)."""

import dataclasses

from tfodhelper.models import hyperparams, pixels
from tfodhelper.models.necks import multi_resolution
from tfodhelper.models.ssd import build_backbones


def _build_ssd_mobilenet_v1(message, frozen, padding):
    """See `build.FEATURE_EXTRACTORS`."""
    own = hyperparams.build_hyperparams(message.conv_hyperparams)
    backbone = build_backbones.build_mobilenet_v1(message, frozen, endpoints=(11, 13)[: message.num_layers])
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
    "ssd_mobilenet_v1": _build_ssd_mobilenet_v1,  # the first generation's name
    "ssd_mobilenet_v1_keras": _build_ssd_mobilenet_v1,
}
