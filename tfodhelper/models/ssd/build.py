"""From an Ssd message to a detector."""

from tfodhelper import resizers
from tfodhelper.families import ssd_values
from tfodhelper.models import parts
from tfodhelper.models.ssd import (
    build_anchors,
    build_efficientdet,
    build_heads,
    build_multi_resolution,
    build_pyramids,
    detector,
)
from tfodhelper.ops import matcher, target_assigner


def build_ssd(message, is_training):
    """An SSDDetector from an Ssd message."""
    ssd_values.check(message, is_training)
    resizer = resizers.build_resizer(message.image_resizer)
    anchors = build_anchors.build_anchors(message.anchor_generator, resizer)
    num_columns = message.num_classes + (1 if message.add_background_class else 0)
    scale_factors = _build_box_coder(message.box_coder)
    frozen = message.freeze_batchnorm or not is_training
    network = parts.look_up(FEATURE_EXTRACTORS, message.feature_extractor.type, "ssd.feature_extractor.type")(
        message.feature_extractor, frozen, resizer.padding
    )
    head = build_heads.build_head(
        message.box_predictor,
        network["neck"].depths,
        anchors.num_per_location,
        num_columns,
        frozen,
        slim=parts.is_first_generation(message.feature_extractor.type),
    )
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
    return matcher.ArgmaxMatcher(
        matched_threshold=matched,
        unmatched_threshold=unmatched,
        negatives_lower_than_unmatched=argmax.negatives_lower_than_unmatched,
        force_match_for_each_row=argmax.force_match_for_each_row,
    )


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


# {type: function}; the function takes an SsdFeatureExtractor message, whether batch norm is frozen, and the colour of
# padding, and returns values of `detector.SSDNetwork`: scaling, backbone, neck, perhaps backbone_scope.
FEATURE_EXTRACTORS = (
    build_multi_resolution.FEATURE_EXTRACTORS
    | build_pyramids.FEATURE_EXTRACTORS
    | build_efficientdet.FEATURE_EXTRACTORS
)
