"""From an Ssd message to a detector."""

import dataclasses

from tfodhelper import errors, resizers
from tfodhelper.models import hyperparams, parts, pixels
from tfodhelper.models.backbones import mobilenet_v1
from tfodhelper.models.heads import convolutional
from tfodhelper.models.necks import multi_resolution
from tfodhelper.models.ssd import detector
from tfodhelper.ops import anchors as anchor_ops
from tfodhelper.ops import matcher, target_assigner

MIN_INPUT_SIZE_PX = 33  # below, the coarsest feature maps of SSD have no room


def build_ssd(message, is_training):
    """An SSDDetector from an Ssd message."""
    if message.num_classes < 1:
        raise errors.ConfigError("ssd.num_classes", expected="at least 1", received=message.num_classes)
    if message.add_background_class and message.explicit_background_class:
        raise errors.ConfigError("ssd: add_background_class and explicit_background_class cannot both be set")
    resizer = resizers.build_resizer(message.image_resizer)
    _check_input_size(resizer)
    anchors = _build_anchors(message.anchor_generator)
    num_columns = message.num_classes + (1 if message.add_background_class else 0)
    scale_factors = _build_box_coder(message.box_coder)
    frozen = message.freeze_batchnorm or not is_training
    network = parts.look_up(FEATURE_EXTRACTORS, message.feature_extractor.type, "ssd.feature_extractor.type")(
        message.feature_extractor, frozen, resizer.padding
    )
    head = _build_ssd_head(message.box_predictor, network["neck"].depths, anchors.num_per_location, num_columns, frozen)
    return detector.SSDDetector(
        num_classes=message.num_classes,
        resizer=resizer,
        network=detector.SSDNetwork(head=head, pad_to_multiple=message.feature_extractor.pad_to_multiple, **network),
        anchors=anchors,
        assigner=target_assigner.TargetAssigner(
            matcher=_build_matcher(message.matcher, message.similarity_calculator),
            num_columns=num_columns,
            class_offset=1 if message.add_background_class else 0,
            background_column=-1 if message.encode_background_as_zeros else 0,
            negative_class_weight=message.negative_class_weight,
            scale_factors=scale_factors,
        ),
        loss=_build_ssd_loss(message),
        output=_build_ssd_output(message),
    )


def _check_input_size(resizer):
    if min(side or MIN_INPUT_SIZE_PX for side in (resizer.height, resizer.width)) < MIN_INPUT_SIZE_PX:
        raise errors.ConfigError(
            "image_resizer: the model input is too small",
            expected=f"height and width of at least {MIN_INPUT_SIZE_PX} pixels",
            received=f"{resizer.height} x {resizer.width}",
        )


def _build_ssd_mobilenet_v1(message, frozen, padding):
    """Scaling, backbone and neck from an SsdFeatureExtractor message."""
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


def _build_anchors(message):
    """`GridAnchors` from an AnchorGenerator message."""
    build, values = parts.choose(message, "anchor_generator_oneof", ANCHOR_GENERATORS)
    return build(values)


def _build_ssd_anchors(message):
    specifications = anchor_ops.make_ssd_specifications(
        message.num_layers,
        min_scale=message.min_scale,
        max_scale=message.max_scale,
        scales=list(message.scales),
        aspect_ratios=list(message.aspect_ratios),
        interpolated_scale_aspect_ratio=message.interpolated_scale_aspect_ratio,
        reduce_boxes_in_lowest_layer=message.reduce_boxes_in_lowest_layer,
    )
    strides = list(zip(message.height_stride, message.width_stride)) or None
    offsets = list(zip(message.height_offset, message.width_offset)) or None
    for name, values in (("scales", message.scales), ("strides", strides), ("offsets", offsets)):
        if values and len(values) != message.num_layers:
            raise errors.ConfigError(
                f"ssd_anchor_generator: {name}",
                expected=f"one for each of num_layers={message.num_layers} feature maps",
                received=len(values),
            )
    return anchor_ops.GridAnchors(
        specifications,
        base_size=(message.base_anchor_height, message.base_anchor_width),
        strides_px=strides,
        offsets_px=offsets,
    )


def _build_box_coder(message):
    """Scale factors from a BoxCoder message."""
    _, coder = parts.choose(message, "box_coder_oneof", {"faster_rcnn_box_coder": None})
    return (coder.y_scale, coder.x_scale, coder.height_scale, coder.width_scale)


def _build_matcher(message, similarity):
    """An `ArgmaxMatcher` from a Matcher and a RegionSimilarityCalculator message."""
    parts.choose(similarity, "region_similarity", {"iou_similarity": None})
    _, argmax = parts.choose(message, "matcher_oneof", {"argmax_matcher": None})
    matched = None if argmax.ignore_thresholds else argmax.matched_threshold
    unmatched = None if argmax.ignore_thresholds else argmax.unmatched_threshold
    if matched is not None and unmatched > matched:
        raise errors.ConfigError(
            "argmax_matcher", expected="unmatched_threshold <= matched_threshold", received=f"{unmatched} > {matched}"
        )
    if matched is not None and unmatched == matched and not argmax.negatives_lower_than_unmatched:
        raise errors.ConfigError(
            "argmax_matcher",
            expected="unmatched_threshold < matched_threshold where negatives_lower_than_unmatched is false",
            received=f"both {matched}",
        )
    return matcher.ArgmaxMatcher(
        matched_threshold=matched,
        unmatched_threshold=unmatched,
        negatives_lower_than_unmatched=argmax.negatives_lower_than_unmatched,
        force_match_for_each_row=argmax.force_match_for_each_row,
    )


def _build_ssd_head(message, depths, num_anchors, num_columns, frozen):
    """A head from a BoxPredictor message."""
    build, values = parts.choose(message, "box_predictor_oneof", HEADS)
    if len(depths) != len(num_anchors):
        raise errors.ConfigError(
            "anchor_generator.num_layers and feature_extractor.num_layers differ",
            expected=len(depths),
            received=len(num_anchors),
        )
    return build(values, depths, num_anchors, num_columns, frozen)


def _build_convolutional_head(message, depths, num_anchors, num_columns, frozen):
    if message.box_code_size != 4:
        raise errors.ConfigError("box_predictor.box_code_size", expected=4, received=message.box_code_size)
    if message.min_depth > message.max_depth:
        raise errors.ConfigError(
            "box_predictor", expected="min_depth <= max_depth", received=f"{message.min_depth} > {message.max_depth}"
        )
    if message.use_depthwise and message.kernel_size == 1:
        raise errors.ConfigError("box_predictor.kernel_size", expected="above 1 with use_depthwise", received=1)
    code_range = None
    if message.HasField("box_encodings_clip_range"):
        code_range = (message.box_encodings_clip_range.min, message.box_encodings_clip_range.max)
    layout = convolutional.HeadLayout(
        kernel_size=message.kernel_size,
        use_depthwise=message.use_depthwise,
        num_layers_before=message.num_layers_before_predictor,
        min_depth=message.min_depth,
        max_depth=message.max_depth,
        dropout_rate=1.0 - message.dropout_keep_probability if message.use_dropout else None,
        class_bias=message.class_prediction_bias_init,
        box_code_range=code_range,
    )
    own = hyperparams.build_hyperparams(message.conv_hyperparams)
    return convolutional.ConvolutionalHead(depths, num_anchors, num_columns, layout, own, frozen)


def _build_ssd_loss(message):
    """An `SSDLoss` from an Ssd message."""
    loss = message.loss
    build_localization, localization = parts.choose(
        loss.localization_loss, "localization_loss", parts.LOCALIZATION_LOSSES
    )
    build_classification, classification = parts.choose(
        loss.classification_loss, "classification_loss", parts.CLASSIFICATION_LOSSES
    )
    miner = None
    if loss.HasField("hard_example_miner"):
        miner = parts.build_miner(loss.hard_example_miner, loss.localization_weight, loss.classification_weight)
    return detector.SSDLoss(
        localization=build_localization(localization),
        classification=build_classification(classification),
        localization_weight=loss.localization_weight,
        classification_weight=loss.classification_weight,
        miner=miner,
        normalize_by_matches=message.normalize_loss_by_num_matches,
        normalize_by_code_size=message.normalize_loc_loss_by_codesize,
    )


def _build_ssd_output(message):
    """An `SSDOutput` from an Ssd message."""
    has_background = message.add_background_class or message.explicit_background_class
    return detector.SSDOutput(
        to_scores=parts.build_score_converter(message.post_processing),
        num_background_columns=1 if has_background else 0,
        suppression=parts.build_suppression(message.post_processing.batch_non_max_suppression),
    )


FEATURE_EXTRACTORS = {
    "ssd_mobilenet_v1": _build_ssd_mobilenet_v1,  # the first generation's name
    "ssd_mobilenet_v1_keras": _build_ssd_mobilenet_v1,
}

HEADS = {"convolutional_box_predictor": _build_convolutional_head}

ANCHOR_GENERATORS = {"ssd_anchor_generator": _build_ssd_anchors}
