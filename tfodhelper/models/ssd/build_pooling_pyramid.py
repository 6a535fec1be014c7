"""Networks whose maps are all pooled from the backbone's (PPN, Jin et al. 2018; arXiv 1807.03284)."""

import dataclasses

from tfodhelper.models import hyperparams, pixels
from tfodhelper.models.backbones import mobilenet_v1
from tfodhelper.models.necks import pooling_pyramid


def _build_ssd_mobilenet_v1_ppn(message, frozen, padding):
    """See `build.FEATURE_EXTRACTORS`.

    Published checkpoints also have the last two pairs of MobileNet V1, on which nothing depends; they are not built.
    """
    override = message.override_base_feature_extractor_hyperparams
    backbone = mobilenet_v1.MobileNetV1(
        hyperparams.build_hyperparams(message.conv_hyperparams) if override else mobilenet_v1.DEFAULT_HYPERPARAMS,
        frozen=frozen,
        depth_multiplier=message.depth_multiplier,
        min_depth=message.min_depth,
        explicit_padding=message.use_explicit_padding,
        endpoints=(11,),
    )
    return {
        "scaling": dataclasses.replace(pixels.MINUS_ONE_TO_ONE, padding=padding),
        "backbone": backbone,
        "neck": pooling_pyramid.PoolingPyramid(backbone.depths[-1], message.num_layers),
    }


FEATURE_EXTRACTORS = {"ssd_mobilenet_v1_ppn": _build_ssd_mobilenet_v1_ppn}  # of the first generation alone
