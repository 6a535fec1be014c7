"""Values of an Ssd message that fit together, for `config` and for the builder."""

from tfodhelper import errors
from tfodhelper.families import input_size, pyramids, values

# The published networks take nothing smaller, those of ResNets nothing below 129 pixels; there, too, all layers work.
MIN_INPUT_SIZE_PX = 33
MOST_MAPS = 6  # of a network without a pyramid
STEM_DEPTH_OF_RESNETS = 64
MAPS_OF_SPAGHETTINET = 5
SPAGHETTINETS = tuple(f"spaghettinet_edgetpu_{size}" for size in "sml")
_NUM_REDUCED_ANCHORS = 3  # with reduce_boxes_in_lowest_layer

_CONVOLUTIONAL, _WEIGHT_SHARED = "convolutional_box_predictor", "weight_shared_convolutional_box_predictor"
_LOCALIZATION = ("weighted_l2", "weighted_smooth_l1", "l1_localization_loss")
_CLASSIFICATION = ("weighted_sigmoid", "weighted_sigmoid_focal", "weighted_softmax", "bootstrapped_sigmoid")


def check(message, is_training=True):
    """Checks an Ssd message.

    Args:
      message: the message.
      is_training: whether it is to be trained; what concerns training alone does not matter otherwise.

    Raises:
      ConfigError: a value cannot be used, or values contradict each other.
    """
    del is_training  # the same values serve
    if message.num_classes < 1:
        raise errors.ConfigError("ssd.num_classes", expected="at least 1", received=message.num_classes)
    if message.add_background_class and message.explicit_background_class:
        raise errors.ConfigError("ssd: add_background_class and explicit_background_class cannot both be set")
    _check_input_size(message.image_resizer)
    extractor = message.feature_extractor
    _check_extractor(extractor)
    num_anchors = _check_anchors(message.anchor_generator)
    pyramids.check_same_levels(pyramids.pyramid_of(extractor), message.anchor_generator)
    values.check_number_of_maps("anchor_generator", _count_maps(extractor), num_anchors)
    _check_predictor(message.box_predictor, num_anchors)
    values.choose(message.box_coder, "box_coder_oneof", ("faster_rcnn_box_coder",))
    values.choose(message.similarity_calculator, "region_similarity", ("iou_similarity",))
    _check_matcher(message.matcher)
    values.choose(message.loss.localization_loss, "localization_loss", _LOCALIZATION)
    values.choose(message.loss.classification_loss, "classification_loss", _CLASSIFICATION)
    values.check_suppression(message.post_processing.batch_non_max_suppression)


def _check_input_size(resizer):
    values.check_resizer(resizer)
    height, width = input_size.fixed_size(resizer) or (None, None)
    if height is not None and min(height, width) < MIN_INPUT_SIZE_PX:
        raise errors.ConfigError(
            "image_resizer: the model input is too small",
            expected=f"height and width of at least {MIN_INPUT_SIZE_PX} pixels",
            received=f"{height} x {width}",
        )


def _check_extractor(extractor):
    pyramid = pyramids.pyramid_of(extractor)
    if extractor.type.startswith("ssd_efficientnet"):
        _check_efficientnet(extractor, pyramid)
    elif pyramid is not None:
        pyramids.check_fpn(pyramid)
    if extractor.type.endswith("_mnasfpn"):
        pyramids.check_mnasfpn(pyramid)
    if extractor.type == "ssd_spaghettinet" and extractor.spaghettinet_arch_name not in SPAGHETTINETS:
        raise errors.ConfigError(
            "ssd.feature_extractor.spaghettinet_arch_name",
            expected="one of " + ", ".join(SPAGHETTINETS),
            received=extractor.spaghettinet_arch_name or "nothing",
        )
    if extractor.type.startswith("ssd_resnet"):
        _check_resnet_depth(extractor)
    if extractor.type.removesuffix("_keras") == "ssd_mobilenet_v2" and extractor.num_layers < 2:
        raise errors.ConfigError(
            "ssd.feature_extractor.num_layers", expected="at least 2 with MobileNet V2", received=extractor.num_layers
        )


def _check_efficientnet(extractor, pyramid):
    coarsest = pyramids.COARSEST_OF_BACKBONE
    if extractor.depth_multiplier != 1.0:
        raise errors.ConfigError(
            "ssd.feature_extractor.depth_multiplier",
            expected="1.0 with EfficientNet",
            received=extractor.depth_multiplier,
        )
    if pyramid is None:  # an unknown version, which the builder's table names
        return
    values.require(
        "ssd.feature_extractor.bifpn",
        pyramid,
        {
            "min_level": (1 <= pyramid.min_level <= coarsest, f"1 to {coarsest}"),
            "max_level": (pyramid.max_level > coarsest, f"at least {coarsest + 1}"),
            "num_iterations": (pyramid.num_iterations >= 1, "at least 1"),
            "num_filters": (pyramid.num_filters >= 1, "at least 1"),
        },
    )


def _check_resnet_depth(extractor):
    """Raises a ConfigError where the depth of the first layer would be no whole number."""
    stem = STEM_DEPTH_OF_RESNETS
    depth = int(stem * extractor.depth_multiplier)
    if depth != stem * extractor.depth_multiplier or depth < max(extractor.min_depth, 1):
        raise errors.ConfigError(
            "feature_extractor.depth_multiplier",
            expected=f"a multiple of 1/{stem} that leaves at least min_depth={extractor.min_depth} of {stem} channels",
            received=extractor.depth_multiplier,
        )


def _count_maps(extractor):
    """Number of feature maps that a feature extractor makes."""
    pyramid = pyramids.pyramid_of(extractor)
    if pyramid is not None:
        return pyramid.max_level - pyramid.min_level + 1
    if extractor.type == "ssd_mobilenet_v1_ppn":
        return extractor.num_layers
    if extractor.type == "ssd_spaghettinet":
        return MAPS_OF_SPAGHETTINET
    return min(extractor.num_layers, MOST_MAPS)


def _check_anchors(generator):
    """Numbers of anchors at one place of each feature map."""
    kind, message = values.choose(
        generator, "anchor_generator_oneof", ("ssd_anchor_generator", "multiscale_anchor_generator")
    )
    if kind == "multiscale_anchor_generator":
        values.check_multiscale_anchors(message, normalized=True)
        per_place = len(message.aspect_ratios) * message.scales_per_octave
        return [per_place] * (message.max_level - message.min_level + 1)
    strides = list(zip(message.height_stride, message.width_stride))
    offsets = list(zip(message.height_offset, message.width_offset))
    for name, items in (("scales", message.scales), ("strides", strides), ("offsets", offsets)):
        if items and len(items) != message.num_layers:
            raise errors.ConfigError(
                f"ssd_anchor_generator: {name}",
                expected=f"one for each of num_layers={message.num_layers} feature maps",
                received=len(items),
            )
    for name in ("aspect_ratios", "scales"):
        is_right = min(getattr(message, name), default=1) > 0
        values.require("ssd_anchor_generator", message, {name: (is_right, "numbers above 0")})
    per_place = len(message.aspect_ratios) + (message.interpolated_scale_aspect_ratio > 0.0)
    finest = _NUM_REDUCED_ANCHORS if message.reduce_boxes_in_lowest_layer else per_place
    return [finest, *[per_place] * (message.num_layers - 1)][: message.num_layers]


def _check_predictor(predictor, num_anchors):
    kind, message = values.choose(predictor, "box_predictor_oneof", (_CONVOLUTIONAL, _WEIGHT_SHARED))
    values.require(
        "box_predictor",
        message,
        {
            "box_code_size": (message.box_code_size == 4, 4),
            "kernel_size": (not message.use_depthwise or message.kernel_size > 1, "above 1 with use_depthwise"),
        },
    )
    values.require("box_predictor", message, {"kernel_size": (message.kernel_size >= 1, "at least 1")})
    values.check_dropout("box_predictor", message)
    if kind == _CONVOLUTIONAL:
        expected = f"at most max_depth={message.max_depth}"
        values.require("box_predictor", message, {"min_depth": (message.min_depth <= message.max_depth, expected)})
        return
    has_depth = message.depth >= 1 or message.num_layers_before_predictor < 1
    values.require("box_predictor", message, {"depth": (has_depth, "at least 1")})
    if len(set(num_anchors)) > 1:
        raise errors.ConfigError(
            "box_predictor: a weight-shared one needs as many anchors on every feature map",
            received=", ".join(str(number) for number in num_anchors),
            fix="with ssd_anchor_generator: reduce_boxes_in_lowest_layer: false",
        )


def _check_matcher(message):
    _, argmax = values.choose(message, "matcher_oneof", ("argmax_matcher",))
    if argmax.ignore_thresholds:
        return
    matched, unmatched = argmax.matched_threshold, argmax.unmatched_threshold
    values.require(
        "argmax_matcher", argmax, {"matched_threshold": (0.0 <= matched <= 1.0, "0 to 1, an intersection over union")}
    )
    if unmatched > matched:
        raise errors.ConfigError(
            "argmax_matcher", expected="unmatched_threshold <= matched_threshold", received=f"{unmatched} > {matched}"
        )
    if unmatched == matched and not argmax.negatives_lower_than_unmatched:
        raise errors.ConfigError(
            "argmax_matcher",
            expected="unmatched_threshold < matched_threshold where negatives_lower_than_unmatched is false",
            received=f"both {matched}",
        )
