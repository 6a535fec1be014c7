"""EfficientDet: EfficientNet with a bidirectional feature pyramid (Tan, Pang and Le 2019; arXiv 1911.09070)."""

import dataclasses
import functools

from tfodhelper import errors
from tfodhelper.models import hyperparams, parts, pixels
from tfodhelper.models.backbones import efficientnet
from tfodhelper.models.necks import bifpn

COARSEST_OF_BACKBONE = 5  # level with stride 32; coarser maps are the neck's own


def _build_efficientdet(message, frozen, padding, scaling):
    """See `build.FEATURE_EXTRACTORS`.

    Args:
      message: an SsdFeatureExtractor message.
      frozen: whether batch norm statistics stay as they are in training.
      padding: colour of padding after the scaling of pixels.
      scaling: an `efficientnet.Scaling`.
    """
    pyramid = message.bifpn
    _check_fields(message)
    parts.look_up(bifpn.COMBINE_METHODS, pyramid.combine_method, "feature_extractor.bifpn.combine_method")
    levels = range(pyramid.min_level, COARSEST_OF_BACKBONE + 1)
    backbone = efficientnet.EfficientNet(scaling, frozen, levels)
    neck = bifpn.BiFPN(
        backbone.depths,
        pyramid.min_level,
        pyramid.max_level,
        pyramid.num_iterations,
        max(pyramid.num_filters, message.min_depth),
        pyramid.combine_method,
        hyperparams.build_hyperparams(message.conv_hyperparams),
        frozen,
    )
    return {
        "scaling": dataclasses.replace(pixels.STANDARDIZED, padding=padding),
        "backbone": backbone,
        "neck": neck,
        "backbone_scope": "_efficientnet",
    }


def _check_fields(message):
    """Raises a ConfigError for values that the network cannot have."""
    pyramid = message.bifpn
    coarsest = COARSEST_OF_BACKBONE
    checks = {
        "depth_multiplier": (message.depth_multiplier == 1.0, message.depth_multiplier, "1.0 with EfficientNet"),
        "bifpn.min_level": (1 <= pyramid.min_level <= coarsest, pyramid.min_level, f"1 to {coarsest}"),
        "bifpn.max_level": (pyramid.max_level > coarsest, pyramid.max_level, f"at least {coarsest + 1}"),
        "bifpn.num_iterations": (pyramid.num_iterations >= 1, pyramid.num_iterations, "at least 1"),
        "bifpn.num_filters": (pyramid.num_filters >= 1, pyramid.num_filters, "at least 1"),
    }
    for name, (is_right, received, expected) in checks.items():
        if not is_right:
            raise errors.ConfigError(f"ssd.feature_extractor.{name}", expected=expected, received=received)


FEATURE_EXTRACTORS = {
    f"ssd_efficientnet-{version}_bifpn_keras": functools.partial(_build_efficientdet, scaling=scaling)
    for version, scaling in efficientnet.SCALINGS.items()
}
