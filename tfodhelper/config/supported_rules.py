"""The rules of `supported`, by type of message.

A family of models that is added brings its rules: its architecture's message and its feature extractors' types.
"""

from tfodhelper.config import supported_two_stage as two_stage
from tfodhelper.config.supported_kinds import LEGACY, SAME_NUMBERS, Hint, Only, Supported, Unsupported, When, make

_NO_QUEUES = Hint("there are no queues here; the input pipeline sizes itself")
_SYNCHRONOUS = Hint("training is always synchronous over all replicas")

_CROP = "min_object_covered min_aspect_ratio max_aspect_ratio min_area max_area overlap_thresh clip_boxes random_coef"
_PADDED = "min_padded_size_ratio max_padded_size_ratio"

_AUGMENTATION = {
    "PreprocessingStep": make(
        "normalize_image random_horizontal_flip random_pixel_value_scale random_image_scale random_rgb_to_gray "
        "random_adjust_brightness random_adjust_contrast random_adjust_hue random_adjust_saturation "
        "random_distort_color random_jitter_boxes random_crop_image random_pad_image random_crop_pad_image "
        "random_crop_to_aspect_ratio random_black_patches random_resize_method resize_image subtract_channel_mean "
        "ssd_random_crop ssd_random_crop_pad ssd_random_crop_fixed_aspect_ratio "
        "ssd_random_crop_pad_fixed_aspect_ratio random_vertical_flip random_rotation90 random_absolute_pad_image "
        "random_self_concat_image drop_label_probabilistically remap_labels random_jpeg_quality "
        "random_downscale_to_target_pixels random_patch_gaussian random_square_crop_by_scale "
        "random_scale_crop_and_pad_to_square adjust_gamma",
        rgb_to_gray=Unsupported("the detectors take three channels; random_rgb_to_gray {probability: 1.0} does it"),
        scale_boxes_to_pixel_coordinates=Unsupported("the detectors take normalized boxes"),
        convert_class_logits_to_softmax=Unsupported("records hold classes, not class logits"),
        autoaugment_image=Unsupported("name the operations one by one"),
    ),
    "NormalizeImage": make("original_minval original_maxval target_minval target_maxval"),
    "RandomHorizontalFlip": make("probability"),
    "RandomVerticalFlip": make("probability"),
    "RandomRotation90": make("probability"),
    "RandomPixelValueScale": make("minval maxval"),
    "RandomImageScale": make("min_scale_ratio max_scale_ratio"),
    "RandomRGBtoGray": make("probability"),
    "RandomAdjustBrightness": make("max_delta"),
    "RandomAdjustContrast": make("min_delta max_delta"),
    "RandomAdjustHue": make("max_delta"),
    "RandomAdjustSaturation": make("min_delta max_delta"),
    "RandomDistortColor": make("color_ordering"),
    "RandomJitterBoxes": make("ratio jitter_mode"),
    "RandomCropImage": make(_CROP),
    "RandomPadImage": make("min_image_height min_image_width max_image_height max_image_width pad_color"),
    "RandomAbsolutePadImage": make("max_height_padding max_width_padding pad_color"),
    "RandomCropPadImage": make(f"{_CROP} {_PADDED} pad_color"),
    "RandomCropToAspectRatio": make("aspect_ratio overlap_thresh clip_boxes"),
    "RandomBlackPatches": make("max_black_patches probability size_to_image_ratio"),
    "RandomResizeMethod": make("target_height target_width"),
    "ResizeImage": make("new_height new_width method"),
    "SubtractChannelMean": make("means"),
    "SSDRandomCrop": make("operations"),
    "SSDRandomCropOperation": make(_CROP),
    "SSDRandomCropPad": make("operations"),
    "SSDRandomCropPadOperation": make(f"{_CROP} {_PADDED} pad_color_r pad_color_g pad_color_b"),
    "SSDRandomCropFixedAspectRatio": make("operations aspect_ratio"),
    "SSDRandomCropFixedAspectRatioOperation": make(
        "min_object_covered min_area max_area overlap_thresh clip_boxes random_coef"
    ),
    "SSDRandomCropPadFixedAspectRatio": make(f"operations aspect_ratio {_PADDED}"),
    "SSDRandomCropPadFixedAspectRatioOperation": make(_CROP),
    "RandomSelfConcatImage": make("concat_vertical_probability concat_horizontal_probability"),
    "DropLabelProbabilistically": make("label drop_probability"),
    "RemapLabels": make("original_labels new_label"),
    "RandomJpegQuality": make("random_coef min_jpeg_quality max_jpeg_quality"),
    "RandomDownscaleToTargetPixels": make("random_coef min_target_pixels max_target_pixels"),
    "RandomPatchGaussian": make("random_coef min_patch_size max_patch_size min_gaussian_stddev max_gaussian_stddev"),
    "RandomSquareCropByScale": make("max_border scale_min scale_max num_scales"),
    "RandomScaleCropAndPadToSquare": make("output_size scale_min scale_max"),
    "AdjustGamma": make("gamma gain"),
}

_TRAINING = {
    "TrainEvalPipelineConfig": make("model train_config train_input_reader eval_config eval_input_reader"),
    "TrainConfig": make(
        "batch_size data_augmentation_options optimizer gradient_clipping_by_norm fine_tune_checkpoint "
        "fine_tune_checkpoint_type from_detection_checkpoint num_steps add_regularization_loss max_number_of_boxes",
        fine_tune_checkpoint_version=Hint("the checkpoint's files tell their version"),
        run_fine_tune_checkpoint_dummy_computation=SAME_NUMBERS,
        keep_checkpoint_every_n_hours=Hint("the last checkpoints and the best one are kept, counted in steps"),
        sync_replicas=_SYNCHRONOUS,
        replicas_to_aggregate=_SYNCHRONOUS,
        startup_delay_steps=_SYNCHRONOUS,
        batch_queue_capacity=_NO_QUEUES,
        num_batch_queue_threads=_NO_QUEUES,
        prefetch_queue_capacity=_NO_QUEUES,
        unpad_groundtruth_tensors=Hint("padded ground truth never counts"),
        retain_original_images=Hint("images are kept where pictures are drawn"),
        load_all_detection_checkpoint_vars=Unsupported('fine_tune_checkpoint_type: "full" loads all'),
    ),
    "Optimizer": make("rms_prop_optimizer momentum_optimizer adam_optimizer use_moving_average moving_average_decay"),
    "RMSPropOptimizer": make("learning_rate momentum_optimizer_value decay epsilon"),
    "MomentumOptimizer": make("learning_rate momentum_optimizer_value"),
    "AdamOptimizer": make("learning_rate epsilon"),
    "LearningRate": make(
        "constant_learning_rate exponential_decay_learning_rate manual_step_learning_rate cosine_decay_learning_rate"
    ),
    "ConstantLearningRate": make("learning_rate"),
    "ExponentialDecayLearningRate": make(
        "initial_learning_rate decay_steps decay_factor staircase burnin_learning_rate burnin_steps min_learning_rate"
    ),
    "ManualStepLearningRate": make("initial_learning_rate schedule warmup"),
    "ManualStepLearningRate.LearningRateSchedule": make("step learning_rate"),
    "CosineDecayLearningRate": make(
        "learning_rate_base total_steps warmup_learning_rate warmup_steps hold_base_rate_steps"
    ),
}

_EVALUATION_AND_READING = {
    "EvalConfig": make(
        "batch_size num_visualizations num_examples metrics_set min_score_threshold max_num_boxes_to_visualize "
        "include_metrics_per_category all_metrics_per_category super_categories recall_lower_bound recall_upper_bound",
        eval_interval_secs=Hint("evaluation goes by steps: --eval_every"),
        max_evals=Hint("evaluation is part of training and ends with it"),
        save_graph=Hint("there is no graph to save"),
        retain_original_images=Hint("images are kept where pictures are drawn"),
        visualize_groundtruth_boxes=Hint("ground truth is always drawn beside the detections"),
        use_moving_averages=Hint(
            "averaged weights are evaluated where train_config.optimizer.use_moving_average is on"
        ),
    ),
    "InputReader": make(
        "label_map_path shuffle shuffle_buffer_size num_epochs sample_1_of_n_examples num_readers num_prefetch_batches "
        "read_block_length drop_remainder max_number_of_boxes tf_record_input_reader",
        name=Hint("only a name"),
        filenames_shuffle_buffer_size=Hint("all file names are shuffled"),
        num_parallel_batches=SAME_NUMBERS,
        num_parallel_map_calls=SAME_NUMBERS,
        prefetch_size=SAME_NUMBERS,
        queue_capacity=_NO_QUEUES,
        min_after_dequeue=_NO_QUEUES,
        use_display_name=Hint("names and display names are both understood"),
        include_source_id=Hint("source ids always come along"),
        mask_type=Hint("masks are not read"),
        input_type=Only(("TF_EXAMPLE", "INPUT_DEFAULT")),
    ),
    "TFRecordInputReader": make("input_path"),
}

_SSD = {
    "DetectionModel": make("ssd faster_rcnn"),
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
    "AnchorGenerator": make("ssd_anchor_generator grid_anchor_generator multiscale_anchor_generator"),
    "SsdAnchorGenerator": make(
        "num_layers min_scale max_scale scales aspect_ratios interpolated_scale_aspect_ratio "
        "reduce_boxes_in_lowest_layer base_anchor_height base_anchor_width height_stride width_stride height_offset "
        "width_offset"
    ),
    "BoxPredictor": make("convolutional_box_predictor mask_rcnn_box_predictor"),
    "ConvolutionalBoxPredictor": make(
        "conv_hyperparams min_depth max_depth num_layers_before_predictor use_dropout dropout_keep_probability "
        "kernel_size class_prediction_bias_init use_depthwise box_encodings_clip_range",
        box_code_size=Only(("4",)),
        apply_sigmoid_to_scores=Unsupported("post_processing.score_converter: SIGMOID does it"),
    ),
    "ConvolutionalBoxPredictor.BoxEncodingsClipRange": make("min max"),
}

_SHARED_BY_MODELS = {
    "ImageResizer": make("fixed_shape_resizer keep_aspect_ratio_resizer"),
    "FixedShapeResizer": make("height width resize_method"),
    "KeepAspectRatioResizer": make(
        "min_dimension max_dimension resize_method pad_to_max_dimension per_channel_pad_value"
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

# What each feature extractor reads of its message, by its `type`.
_SSD_MOBILENET_V1 = make(
    "type depth_multiplier min_depth conv_hyperparams override_base_feature_extractor_hyperparams pad_to_multiple "
    "use_explicit_padding use_depthwise num_layers"
)
FEATURE_EXTRACTORS = {
    ("SsdFeatureExtractor", "ssd_mobilenet_v1"): _SSD_MOBILENET_V1,
    ("SsdFeatureExtractor", "ssd_mobilenet_v1_keras"): _SSD_MOBILENET_V1,
} | two_stage.FEATURE_EXTRACTORS

RULES = _TRAINING | _AUGMENTATION | _EVALUATION_AND_READING | _SSD | two_stage.RULES | _SHARED_BY_MODELS

# Rules for one place, stronger than those of the type.
PATHS = {
    "eval_input_reader[0].num_epochs": Only(("0", "1"), "evaluation reads its set once"),
    "eval_input_reader[1]": Unsupported("one set is evaluated"),
    "model.ssd.anchor_generator.grid_anchor_generator": Unsupported("only ssd_anchor_generator"),
    "model.ssd.anchor_generator.multiscale_anchor_generator": Unsupported("only ssd_anchor_generator"),
    "model.ssd.box_predictor.mask_rcnn_box_predictor": Unsupported("only convolutional_box_predictor"),
} | two_stage.PATHS


def rules_of(message):
    """{field: rule} of a message; for a feature extractor those of its type."""
    name = message.DESCRIPTOR.full_name.split("object_detection.protos.")[-1]
    if "type" in message.DESCRIPTOR.fields_by_name and name.endswith("FeatureExtractor"):
        unknown = {field.name: Supported() for field in message.DESCRIPTOR.fields}  # the type says it all
        unknown["type"] = Unsupported("this feature extractor is not here yet")
        return FEATURE_EXTRACTORS.get((name, message.type), unknown)
    return RULES.get(name, {})
