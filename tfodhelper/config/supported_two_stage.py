"""The rules of `supported` for two-stage detectors."""

from tfodhelper.config.supported_kinds import LEGACY, SAME_NUMBERS, Hint, Only, Unsupported, make

_NO_MASKS = Hint("there are no masks")

RULES = {
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
        number_of_stages=Only(("1", "2"), "a third stage makes masks, which are not here"),
        second_stage_mask_prediction_loss_weight=_NO_MASKS,
        resize_masks=_NO_MASKS,
        inplace_batchnorm_update=SAME_NUMBERS,
        use_matmul_gather_in_matcher=SAME_NUMBERS,
        use_partitioned_nms_in_first_stage=SAME_NUMBERS,
        return_raw_detections_during_predict=Hint("raw detections are always returned"),
    ),
    "GridAnchorGenerator": make(
        "height width height_stride width_stride height_offset width_offset scales aspect_ratios"
    ),
    "MultiscaleAnchorGenerator": make(
        "min_level max_level anchor_scale aspect_ratios scales_per_octave normalize_coordinates"
    ),
    "FeaturePyramidNetworks": make("min_level max_level additional_layer_depth"),
    "MaskRCNNBoxPredictor": make(
        "fc_hyperparams use_dropout dropout_keep_probability share_box_across_classes",
        box_code_size=Only(("4",)),
        conv_hyperparams=_NO_MASKS,
        mask_prediction_conv_depth=_NO_MASKS,
        mask_height=_NO_MASKS,
        mask_width=_NO_MASKS,
        mask_prediction_num_conv_layers=_NO_MASKS,
        masks_are_class_agnostic=_NO_MASKS,
        convolve_then_upsample_masks=_NO_MASKS,
    ),
}

_PLAIN = make("type first_stage_features_stride batch_norm_trainable")
_PYRAMID = make(
    "type batch_norm_trainable conv_hyperparams override_base_feature_extractor_hyperparams pad_to_multiple fpn"
)

FEATURE_EXTRACTORS = {}
for _name in ("resnet50", "resnet101", "resnet152", "inception_resnet_v2"):
    # The first generation's names have no _keras.
    FEATURE_EXTRACTORS["FasterRcnnFeatureExtractor", f"faster_rcnn_{_name}"] = _PLAIN
    FEATURE_EXTRACTORS["FasterRcnnFeatureExtractor", f"faster_rcnn_{_name}_keras"] = _PLAIN
for _name in ("resnet50", "resnet101", "resnet152"):
    FEATURE_EXTRACTORS["FasterRcnnFeatureExtractor", f"faster_rcnn_{_name}_fpn_keras"] = _PYRAMID

_MODEL = "model.faster_rcnn"
_HEAD = f"{_MODEL}.second_stage_box_predictor.mask_rcnn_box_predictor"
PATHS = {
    f"{_MODEL}.first_stage_anchor_generator.ssd_anchor_generator": Unsupported("only grids and pyramids of anchors"),
    f"{_MODEL}.first_stage_anchor_generator.multiscale_anchor_generator.normalize_coordinates": Only(("false",)),
    f"{_MODEL}.second_stage_box_predictor.convolutional_box_predictor": Unsupported("only mask_rcnn_box_predictor"),
    f"{_HEAD}.fc_hyperparams.op": Only(("FC",)),
    f"{_HEAD}.fc_hyperparams.regularizer": LEGACY,
    f"{_HEAD}.fc_hyperparams.initializer": LEGACY,
    f"{_HEAD}.fc_hyperparams.activation": LEGACY,
    f"{_MODEL}.second_stage_classification_loss.bootstrapped_sigmoid": Unsupported(),
    f"{_MODEL}.second_stage_post_processing.batch_non_max_suppression.change_coordinate_frame": LEGACY,
    f"{_MODEL}.hard_example_miner.max_negatives_per_positive": LEGACY,
    f"{_MODEL}.hard_example_miner.min_negatives_per_image": LEGACY,
}
