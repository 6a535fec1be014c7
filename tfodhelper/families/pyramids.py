"""The pyramid of a feature extractor's message, and whether anchors fit it."""

import dataclasses

from tfodhelper import errors

COARSEST_OF_BACKBONE = 5  # level with stride 32; coarser maps are the neck's own


@dataclasses.dataclass(frozen=True)
class FeaturePyramid:
    """The values of a FeaturePyramidNetworks message that is missing."""

    min_level: int = 3
    max_level: int = 7
    additional_layer_depth: int = 256


@dataclasses.dataclass(frozen=True)
class BidirectionalPyramid:
    """The values of a BidirectionalFeaturePyramidNetworks message that is missing."""

    num_iterations: int
    num_filters: int
    min_level: int = 3
    max_level: int = 7
    combine_method: str = "fast_attention"


# What the Object Detection API takes where the message is missing. It follows from the type, while the schema has one
# default for all, or none.
_OF_TWO_STAGES = FeaturePyramid(min_level=2, max_level=6)
_OF_MNASFPN = FeaturePyramid(max_level=6, additional_layer_depth=48)
_OF_EFFICIENTNETS = {
    f"ssd_efficientnet-b{number}_bifpn_keras": BidirectionalPyramid(num_iterations, num_filters)
    for number, (num_iterations, num_filters) in enumerate(
        ((3, 64), (4, 88), (5, 112), (6, 160), (7, 224), (7, 288), (8, 384), (8, 384))
    )
}


def pyramid_of(feature_extractor):
    """The pyramid of a feature extractor whose type has one.

    Args:
      feature_extractor: an SsdFeatureExtractor or FasterRcnnFeatureExtractor message.

    Returns:
      Its message fpn or bifpn, or where that is not set, the Object Detection API's values for the type, as an object
      with the same attributes; None for a type without a pyramid.
    """
    kind = feature_extractor.type.removesuffix("_keras")
    if kind.endswith("_bifpn"):
        if feature_extractor.HasField("bifpn"):
            return feature_extractor.bifpn
        return _OF_EFFICIENTNETS.get(feature_extractor.type)
    if not kind.endswith(("_fpn", "_mnasfpn")):
        return None
    if feature_extractor.HasField("fpn"):
        return feature_extractor.fpn
    if kind.endswith("_mnasfpn"):
        return _OF_MNASFPN
    return _OF_TWO_STAGES if kind.startswith("faster_rcnn") else FeaturePyramid()


def check_fpn(pyramid):
    """Checks the levels of a feature pyramid, where level L has stride 2^L, and its depth.

    Raises:
      ConfigError: there are no such levels, or there is no depth.
    """
    if not 2 <= pyramid.min_level <= min(pyramid.max_level, COARSEST_OF_BACKBONE):
        raise errors.ConfigError(
            "feature_extractor.fpn",
            expected=f"2 <= min_level <= {COARSEST_OF_BACKBONE}, min_level <= max_level",
            received=f"{pyramid.min_level} to {pyramid.max_level}",
        )
    if pyramid.additional_layer_depth < 1:
        raise errors.ConfigError(
            "feature_extractor.fpn.additional_layer_depth",
            expected="at least 1",
            received=pyramid.additional_layer_depth,
        )


def check_mnasfpn(pyramid):
    """Checks that a MnasFPN has the levels for which it was searched; otherwise a ConfigError."""
    if (pyramid.min_level, pyramid.max_level) != (_OF_MNASFPN.min_level, _OF_MNASFPN.max_level):
        raise errors.ConfigError(
            "feature_extractor.fpn: MnasFPN was searched for certain levels",
            expected=f"min_level: {_OF_MNASFPN.min_level}, max_level: {_OF_MNASFPN.max_level}",
            received=f"{pyramid.min_level} to {pyramid.max_level}",
        )


def check_same_levels(pyramid, generator, where="multiscale_anchor_generator"):
    """Checks that the anchors of a pyramid have the strides of its feature maps.

    Args:
      pyramid: see `pyramid_of`.
      generator: an AnchorGenerator message.
      where: of the generator in the configuration.

    Raises:
      ConfigError: they have not.
    """
    if pyramid is None or generator.WhichOneof("anchor_generator_oneof") != "multiscale_anchor_generator":
        return
    of_maps, of_anchors = (
        f"min_level: {levels.min_level} max_level: {levels.max_level}"
        for levels in (pyramid, generator.multiscale_anchor_generator)
    )
    if of_maps != of_anchors:
        raise errors.ConfigError(
            f"{where} has other levels than the pyramid of feature_extractor", expected=of_maps, received=of_anchors
        )
