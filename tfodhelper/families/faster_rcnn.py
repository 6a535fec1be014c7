"""Two-stage detectors (Ren et al. 2015; arXiv 1506.01497), with both stages or with the first one alone."""

from tfodhelper.families import anchors, faster_rcnn_values, input_size, shared_rules, spec
from tfodhelper.families.rules import LEGACY, SAME_NUMBERS, Hint, Only, SupportedWhen, Unsupported, Untrainable, make
from tfodhelper.fields import Losses

BATCH_SIZE = 2  # where the input is at most SMALL_INPUT_PIXELS, else 1: a card of 8 GB holds it
SMALL_INPUT_PIXELS = 640 * 640
FEWEST_DRAWN = 16  # proposals per image in training, below which the second stage sees too little

_OF_MASKS = SupportedWhen(lambda message: message.predict_instance_masks, "there are no masks")
_OF_THIRD_STAGE = SupportedWhen(faster_rcnn_values.has_masks, "there are no masks")
_RULES = {
    "FasterRcnn": make(
        "num_classes image_resizer feature_extractor first_stage_anchor_generator first_stage_atrous_rate "
        "first_stage_box_predictor_conv_hyperparams first_stage_box_predictor_kernel_size "
        "first_stage_box_predictor_depth first_stage_minibatch_size first_stage_positive_balance_fraction "
        "first_stage_nms_score_threshold first_stage_nms_iou_threshold first_stage_max_proposals "
        "first_stage_localization_loss_weight first_stage_objectness_loss_weight initial_crop_size "
        "maxpool_kernel_size maxpool_stride second_stage_box_predictor second_stage_batch_size "
        "second_stage_balance_fraction second_stage_post_processing second_stage_localization_loss_weight "
        "second_stage_classification_loss_weight hard_example_miner second_stage_classification_loss "
        "use_matmul_crop_and_resize clip_anchors_to_image use_static_balanced_label_sampler use_static_shapes "
        "use_static_shapes_for_eval",
        context_config=Untrainable("Context R-CNN cannot be trained here yet"),
        number_of_stages=Only(("1", "2", "3"), "1 for proposals, 2 for detections, 3 for masks"),
        second_stage_mask_prediction_loss_weight=_OF_THIRD_STAGE,
        resize_masks=Hint("masks are always resized once, together with their image"),
        inplace_batchnorm_update=SAME_NUMBERS,
        use_matmul_gather_in_matcher=SAME_NUMBERS,
        use_partitioned_nms_in_first_stage=SAME_NUMBERS,
        return_raw_detections_during_predict=Hint("raw detections are always returned"),
    ),
    "AnchorGenerator": make(
        "grid_anchor_generator multiscale_anchor_generator",
        ssd_anchor_generator=Unsupported("only grids and pyramids of anchors"),
    ),
    "GridAnchorGenerator": make(
        "height width height_stride width_stride height_offset width_offset scales aspect_ratios"
    ),
    "MultiscaleAnchorGenerator": make(
        "min_level max_level anchor_scale aspect_ratios scales_per_octave", normalize_coordinates=Only(("false",))
    ),
    "BoxPredictor": make(
        "mask_rcnn_box_predictor rfcn_box_predictor",
        convolutional_box_predictor=Unsupported("only mask_rcnn_box_predictor and rfcn_box_predictor"),
    ),
    "RfcnBoxPredictor": make(
        "conv_hyperparams num_spatial_bins_height num_spatial_bins_width depth crop_height crop_width",
        box_code_size=Only(("4",)),
    ),
    "MaskRCNNBoxPredictor": make(
        "fc_hyperparams use_dropout dropout_keep_probability share_box_across_classes predict_instance_masks",
        box_code_size=Only(("4",)),
        conv_hyperparams=_OF_MASKS,
        mask_prediction_conv_depth=_OF_MASKS,
        mask_height=_OF_MASKS,
        mask_width=_OF_MASKS,
        mask_prediction_num_conv_layers=_OF_MASKS,
        masks_are_class_agnostic=_OF_MASKS,
        convolve_then_upsample_masks=_OF_MASKS,
    ),
    "ClassificationLoss": make("weighted_sigmoid weighted_sigmoid_focal weighted_softmax"),
    "HardExampleMiner": shared_rules.RULES["HardExampleMiner"]
    | {"max_negatives_per_positive": LEGACY, "min_negatives_per_image": LEGACY},
    "BatchNonMaxSuppression": shared_rules.RULES["BatchNonMaxSuppression"] | {"change_coordinate_frame": LEGACY},
}
_DENSE = "second_stage_box_predictor.mask_rcnn_box_predictor.fc_hyperparams"
_RULES_BY_PATH = {
    f"{_DENSE}.op": Only(("FC",)),
    f"{_DENSE}.regularizer": LEGACY,
    f"{_DENSE}.initializer": LEGACY,
    f"{_DENSE}.activation": LEGACY,
}
_PLAIN = make("type first_stage_features_stride batch_norm_trainable")
_FIXED_STRIDE = make("type batch_norm_trainable", first_stage_features_stride=LEGACY)
_PYRAMID = make(
    "type batch_norm_trainable conv_hyperparams override_base_feature_extractor_hyperparams pad_to_multiple fpn"
)
_RESNETS = ("resnet50", "resnet101", "resnet152")
# The names of the first generation have no _keras.
_FEATURE_EXTRACTORS = {
    f"faster_rcnn_{name}{ending}": _PLAIN for name in (*_RESNETS, "inception_resnet_v2") for ending in ("", "_keras")
} | {f"faster_rcnn_{name}_fpn_keras": _PYRAMID for name in _RESNETS}
_FEATURE_EXTRACTORS["faster_rcnn_inception_v2"] = _FIXED_STRIDE
_FEATURE_EXTRACTORS["faster_rcnn_nas"] = make(
    "type batch_norm_trainable", first_stage_features_stride=Only(("16",), "NASNet's feature map has stride 16")
)

_LOSS_TERMS_OF_STAGES = (
    {Losses.RPN_LOCALIZATION: "proposals: localization", Losses.RPN_OBJECTNESS: "objectness"},
    {Losses.BOX_LOCALIZATION: "boxes: localization", Losses.BOX_CLASSIFICATION: "classification"},
    {Losses.MASK: "masks"},
)


def _loss_terms(model):
    stages = _LOSS_TERMS_OF_STAGES[: model.faster_rcnn.number_of_stages]
    return {name: word for stage in stages for name, word in stage.items()}


def _default_batch_size(model):
    """Images per step, by how much memory their features take."""
    area = input_size.largest_area(model.faster_rcnn.image_resizer)
    return BATCH_SIZE if area is not None and area <= SMALL_INPUT_PIXELS else 1


def _memory_settings(model):
    """The first one counts in training, the second one in evaluation and serving; the first is at most the second."""
    if model.faster_rcnn.number_of_stages < 2:
        return ()
    drawn = ("second_stage_batch_size",) if model.faster_rcnn.second_stage_batch_size > FEWEST_DRAWN else ()
    return (*drawn, "first_stage_max_proposals")


def _smallest_anchor_px(model, side_px):
    return anchors.smallest_px(model.faster_rcnn.first_stage_anchor_generator, side_px)


def _outputs(model):
    """Without a second stage, the proposals are the output."""
    stages = ({spec.PROPOSALS}, {spec.BOXES}, {spec.MASKS})
    return frozenset().union(*stages[: model.faster_rcnn.number_of_stages])


FAMILY = spec.Family(
    name="faster_rcnn",
    builder="tfodhelper.models.faster_rcnn.build:build_faster_rcnn",
    rules=_RULES,
    rules_by_path=_RULES_BY_PATH,
    feature_extractors=_FEATURE_EXTRACTORS,
    loss_terms=_loss_terms,
    default_batch_size=_default_batch_size,
    memory_settings=_memory_settings,
    smallest_anchor_px=_smallest_anchor_px,
    batch_norm_switch=spec.BatchNormSwitch("feature_extractor.batch_norm_trainable", frozen=False),
    training_fields=frozenset(
        {
            "batch_norm_trainable",
            "clip_anchors_to_image",
            "first_stage_localization_loss_weight",
            "first_stage_max_proposals",
            "first_stage_minibatch_size",
            "first_stage_nms_iou_threshold",
            "first_stage_nms_score_threshold",
            "first_stage_objectness_loss_weight",
            "first_stage_positive_balance_fraction",
            "second_stage_balance_fraction",
            "second_stage_batch_size",
            "second_stage_classification_loss",
            "second_stage_classification_loss_weight",
            "second_stage_localization_loss_weight",
            "second_stage_mask_prediction_loss_weight",
            "resize_masks",
            "second_stage_post_processing",
            "use_matmul_crop_and_resize",
            "use_matmul_gather_in_matcher",
            "use_static_balanced_label_sampler",
            "use_static_shapes",
            "use_static_shapes_for_eval",
        }
    ),
    check=lambda model, is_training: faster_rcnn_values.check(model.faster_rcnn, is_training),
    keep_widths=lambda model: faster_rcnn_values.keep_mask_depth(model.faster_rcnn),
    outputs=_outputs,
)
