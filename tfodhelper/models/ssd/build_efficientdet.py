"""EfficientDet: EfficientNet with a bidirectional feature pyramid (Tan, Pang and Le 2019; arXiv 1911.09070)."""

import dataclasses
import functools

from tfodhelper.families import pyramids
from tfodhelper.models import hyperparams, parts, pixels
from tfodhelper.models.backbones import efficientnet
from tfodhelper.models.necks import bifpn


def _build_efficientdet(message, frozen, padding, scaling):
    """See `build.FEATURE_EXTRACTORS`.

    Args:
      message: an SsdFeatureExtractor message.
      frozen: whether batch norm statistics stay as they are in training.
      padding: colour of padding after the scaling of pixels.
      scaling: an `efficientnet.Scaling`.
    """
    pyramid = pyramids.pyramid_of(message)
    parts.look_up(bifpn.COMBINE_METHODS, pyramid.combine_method, "feature_extractor.bifpn.combine_method")
    levels = range(pyramid.min_level, pyramids.COARSEST_OF_BACKBONE + 1)
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


FEATURE_EXTRACTORS = {
    f"ssd_efficientnet-{version}_bifpn_keras": functools.partial(_build_efficientdet, scaling=scaling)
    for version, scaling in efficientnet.SCALINGS.items()
}
