"""Rules of messages that several families share."""

from tfodhelper.families.rules import LEGACY, SAME_NUMBERS, Only, Unsupported, When, make

RULES = {
    "ImageResizer": make("fixed_shape_resizer keep_aspect_ratio_resizer"),
    "FixedShapeResizer": make("height width resize_method"),
    "KeepAspectRatioResizer": make(
        "min_dimension max_dimension resize_method pad_to_max_dimension per_channel_pad_value"
    ),
    "FeaturePyramidNetworks": make("min_level max_level additional_layer_depth"),
    "BidirectionalFeaturePyramidNetworks": make(
        "min_level max_level num_iterations num_filters combine_method", use_native_resize_op=SAME_NUMBERS
    ),
    "Hyperparams": make(
        "regularizer initializer activation batch_norm force_use_bias",
        op=Only(("CONV",)),
        regularize_depthwise=Unsupported(),
    ),
    "Regularizer": make("l1_regularizer l2_regularizer"),
    "L1Regularizer": make("weight"),
    "L2Regularizer": make("weight"),
    "Initializer": make(
        "truncated_normal_initializer variance_scaling_initializer random_normal_initializer keras_initializer_by_name"
    ),
    "TruncatedNormalInitializer": make("mean stddev"),
    "RandomNormalInitializer": make("mean stddev"),
    "VarianceScalingInitializer": make("factor uniform mode"),
    "BatchNorm": make("decay center scale epsilon train"),
    "Loss": make("localization_loss classification_loss hard_example_miner classification_weight localization_weight"),
    "LocalizationLoss": make("weighted_l2 weighted_smooth_l1 l1_localization_loss"),
    "WeightedL2LocalizationLoss": make(anchorwise_output=LEGACY),
    "WeightedSmoothL1LocalizationLoss": make("delta", anchorwise_output=LEGACY),
    "ClassificationLoss": make("weighted_sigmoid weighted_sigmoid_focal weighted_softmax bootstrapped_sigmoid"),
    "WeightedSigmoidClassificationLoss": make(anchorwise_output=LEGACY),
    "SigmoidFocalClassificationLoss": make("gamma alpha", anchorwise_output=LEGACY),
    "WeightedSoftmaxClassificationLoss": make("logit_scale", anchorwise_output=LEGACY),
    "BootstrappedSigmoidClassificationLoss": make("alpha hard_bootstrap", anchorwise_output=LEGACY),
    "HardExampleMiner": make(
        "num_hard_examples iou_threshold loss_type max_negatives_per_positive min_negatives_per_image"
    ),
    "PostProcessing": make("batch_non_max_suppression score_converter logit_scale"),
    "BatchNonMaxSuppression": make(
        "score_threshold iou_threshold max_detections_per_class max_total_detections use_class_agnostic_nms "
        "soft_nms_sigma change_coordinate_frame",
        max_classes_per_detection=Only(("1",)),
        use_static_shapes=SAME_NUMBERS,
        use_partitioned_nms=SAME_NUMBERS,
        use_cpu_nms=SAME_NUMBERS,
        use_hard_nms=When(
            lambda message: message.soft_nms_sigma == 0,
            "with soft_nms_sigma 0 it always is hard",
            "set soft_nms_sigma: 0",
        ),
    ),
}
