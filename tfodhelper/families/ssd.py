"""Single-shot detectors (Liu et al. 2016; arXiv 1512.02325)."""

from tfodhelper.families import anchors, input_size, spec, ssd_values
from tfodhelper.families.rules import LEGACY, SAME_NUMBERS, Hint, Only, Unsupported, make
from tfodhelper.fields import Losses

# Images per step that a card of 8 GB holds, by the pixels of the input that they are the largest batch for.
BATCH_SIZES = ((400 * 400, 8), (640 * 640, 4), (768 * 768, 2))

_NOT_OF_ONE_STAGE = Unsupported("only convolutional_box_predictor and weight_shared_convolutional_box_predictor")
_NO_SUCH_ANCHORS = Unsupported("only ssd_anchor_generator and multiscale_anchor_generator")
_RULES = {
    "Ssd": make(
        "num_classes image_resizer feature_extractor box_coder matcher similarity_calculator box_predictor "
        "encode_background_as_zeros negative_class_weight anchor_generator post_processing loss freeze_batchnorm "
        "normalize_loss_by_num_matches normalize_loc_loss_by_codesize add_background_class explicit_background_class",
        inplace_batchnorm_update=SAME_NUMBERS,
        implicit_example_weight=Hint("only counts with use_confidences_as_targets, which is not supported"),
        return_raw_detections_during_predict=Hint("raw detections are always returned"),
    ),
    "BoxCoder": make("faster_rcnn_box_coder"),
    "FasterRcnnBoxCoder": make("y_scale x_scale height_scale width_scale"),
    "Matcher": make("argmax_matcher"),
    "ArgMaxMatcher": make(
        "matched_threshold unmatched_threshold ignore_thresholds negatives_lower_than_unmatched "
        "force_match_for_each_row",
        use_matmul_gather=SAME_NUMBERS,
    ),
    "RegionSimilarityCalculator": make("iou_similarity"),
    "IouSimilarity": {},
    "AnchorGenerator": make(
        "ssd_anchor_generator multiscale_anchor_generator",
        grid_anchor_generator=_NO_SUCH_ANCHORS,
        flexible_grid_anchor_generator=_NO_SUCH_ANCHORS,
    ),
    "SsdAnchorGenerator": make(
        "num_layers min_scale max_scale scales aspect_ratios interpolated_scale_aspect_ratio "
        "reduce_boxes_in_lowest_layer base_anchor_height base_anchor_width height_stride width_stride height_offset "
        "width_offset"
    ),
    "MultiscaleAnchorGenerator": make(
        "min_level max_level anchor_scale aspect_ratios scales_per_octave",
        normalize_coordinates=Only(("true",), "anchors are always normalized here"),
    ),
    "BoxPredictor": make(
        "convolutional_box_predictor weight_shared_convolutional_box_predictor",
        mask_rcnn_box_predictor=_NOT_OF_ONE_STAGE,
        rfcn_box_predictor=_NOT_OF_ONE_STAGE,
    ),
    "ConvolutionalBoxPredictor": make(
        "conv_hyperparams min_depth max_depth num_layers_before_predictor use_dropout dropout_keep_probability "
        "kernel_size class_prediction_bias_init use_depthwise box_encodings_clip_range",
        box_code_size=Only(("4",)),
        apply_sigmoid_to_scores=Unsupported("post_processing.score_converter: SIGMOID does it"),
    ),
    "ConvolutionalBoxPredictor.BoxEncodingsClipRange": make("min max"),
    "WeightSharedConvolutionalBoxPredictor": make(
        "conv_hyperparams depth num_layers_before_predictor kernel_size class_prediction_bias_init use_dropout "
        "dropout_keep_probability share_prediction_tower use_depthwise score_converter box_encodings_clip_range "
        "apply_conv_hyperparams_to_heads apply_conv_hyperparams_pointwise",
        box_code_size=Only(("4",)),
    ),
    "WeightSharedConvolutionalBoxPredictor.BoxEncodingsClipRange": make("min max"),
}
_MOBILENET = make(
    "type depth_multiplier min_depth conv_hyperparams override_base_feature_extractor_hyperparams pad_to_multiple "
    "use_explicit_padding use_depthwise num_layers"
)
_INCEPTION_V2 = _MOBILENET | {
    "override_base_feature_extractor_hyperparams": Hint("Inception V2 always has conv_hyperparams")
}
_MOBILENET_V1_PPN = _MOBILENET | {
    "num_layers": Only(("6",), "a pooling pyramid has 6 maps"),
    "use_depthwise": Hint("a pooling pyramid has no convolutions"),
}
_MOBILENET_V3 = _MOBILENET | {
    "num_layers": Only(("6",), "this network always has 6 maps"),
    "use_explicit_padding": Unsupported("the published code of this network pads maps too often"),
}
_MOBILEDET = _MOBILENET_V3 | {
    "override_base_feature_extractor_hyperparams": Hint("MobileDet always has hyperparameters of its own"),
    "use_explicit_padding": Unsupported("the published network has no such option"),
}
_LEVELS = Unsupported("the levels of fpn say how many feature maps there are")
_MOBILENET_FPN = make(
    "type depth_multiplier min_depth conv_hyperparams override_base_feature_extractor_hyperparams pad_to_multiple "
    "use_explicit_padding use_depthwise fpn",
    num_layers=_LEVELS,
)
_MOBILENET_MNASFPN = _MOBILENET_FPN | {
    "override_base_feature_extractor_hyperparams": Hint("MnasFPN and its backbone always have their own"),
    "use_depthwise": Hint("MnasFPN always has depthwise convolutions"),
}
_RESNET_FPN = make(
    "type depth_multiplier min_depth conv_hyperparams override_base_feature_extractor_hyperparams pad_to_multiple fpn",
    num_layers=_LEVELS,
    use_depthwise=LEGACY,
    use_explicit_padding=LEGACY,
)
_RESNET_FPN_SLIM = _RESNET_FPN | {"use_explicit_padding": Unsupported("the published network has no such option")}
_RESNETS_FPN = {
    f"ssd_resnet{depth}_v1_fpn{ending}": fields
    for depth in (50, 101, 152)
    for ending, fields in (("", _RESNET_FPN_SLIM), ("_keras", _RESNET_FPN))
}
_EFFICIENTNET = make(
    "type min_depth conv_hyperparams pad_to_multiple bifpn",
    depth_multiplier=Only(("1",), "the type says how wide EfficientNet is"),
    use_explicit_padding=Unsupported("EfficientNet pads as much as an input needs"),
    use_depthwise=Unsupported("the type says which convolutions are depthwise"),
    override_base_feature_extractor_hyperparams=Unsupported("EfficientNet always has its own"),
    num_layers=Unsupported("bifpn says which feature maps there are"),
    fpn=Unsupported("EfficientNet has a bifpn"),
)
_SPAGHETTINET = make(
    "type spaghettinet_arch_name use_explicit_padding pad_to_multiple",
    conv_hyperparams=Hint("SpaghettiNet always has hyperparameters of its own"),
    depth_multiplier=Only(("1",), "spaghettinet_arch_name says how wide SpaghettiNet is"),
    min_depth=Hint("spaghettinet_arch_name says how wide SpaghettiNet is"),
    num_layers=Only(("6",), "SpaghettiNet always has 5 feature maps"),
    override_base_feature_extractor_hyperparams=Hint("SpaghettiNet always has hyperparameters of its own"),
    use_depthwise=Hint("spaghettinet_arch_name says which convolutions are depthwise"),
)
# The names of the first generation have no _keras.
_FEATURE_EXTRACTORS = {
    "ssd_inception_v2": _INCEPTION_V2,
    "ssd_mobiledet_cpu": _MOBILEDET,
    "ssd_mobiledet_dsp": _MOBILEDET,
    "ssd_mobiledet_edgetpu": _MOBILEDET,
    "ssd_mobilenet_v1": _MOBILENET,
    "ssd_mobilenet_v1_keras": _MOBILENET,
    "ssd_mobilenet_v1_ppn": _MOBILENET_V1_PPN,
    "ssd_mobilenet_v2": _MOBILENET,
    "ssd_mobilenet_v2_keras": _MOBILENET,
    "ssd_mobilenet_edgetpu": _MOBILENET_V3,
    "ssd_mobilenet_v3_large": _MOBILENET_V3,
    "ssd_mobilenet_v3_small": _MOBILENET_V3,
    "ssd_mobilenet_v1_fpn": _MOBILENET_FPN,
    "ssd_mobilenet_v1_fpn_keras": _MOBILENET_FPN,
    "ssd_mobilenet_v2_fpn": _MOBILENET_FPN,
    "ssd_mobilenet_v2_fpn_keras": _MOBILENET_FPN,
    "ssd_mobilenet_v2_mnasfpn": _MOBILENET_MNASFPN,
    "ssd_spaghettinet": _SPAGHETTINET,
    **_RESNETS_FPN,
    **{f"ssd_efficientnet-b{number}_bifpn_keras": _EFFICIENTNET for number in range(8)},
}


def _default_batch_size(model):
    """Images per step, by how much memory their features take."""
    area = input_size.largest_area(model.ssd.image_resizer)
    return next((size for most, size in BATCH_SIZES if area is not None and area <= most), 1)


FAMILY = spec.Family(
    name="ssd",
    builder="tfodhelper.models.ssd.build:build_ssd",
    rules=_RULES,
    feature_extractors=_FEATURE_EXTRACTORS,
    is_single_shot=True,
    check=lambda model, is_training: ssd_values.check(model.ssd, is_training),
    loss_terms=lambda model: {Losses.LOCALIZATION: "localization", Losses.CLASSIFICATION: "classification"},
    default_batch_size=_default_batch_size,
    smallest_anchor_px=lambda model, side_px: anchors.smallest_px(model.ssd.anchor_generator, side_px),
    batch_norm_switch=spec.BatchNormSwitch("freeze_batchnorm", frozen=True),
    training_fields=frozenset(
        {
            "class_prediction_bias_init",
            "encode_background_as_zeros",
            "freeze_batchnorm",
            "loss",
            "matcher",
            "negative_class_weight",
            "normalize_loc_loss_by_codesize",
            "normalize_loss_by_num_matches",
            "post_processing",
        }
    ),
)
