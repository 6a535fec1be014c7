"""The rules of training, augmentation, evaluation and the reading of records, which are the same for all models.

The rules of the model itself are those of its family, and those that families share (`families.shared_rules`).
"""

from tfodhelper.families.rules import SAME_NUMBERS, Different, Hint, Only, Unsupported, make

_NO_QUEUES = Hint("there are no queues here; the input pipeline sizes itself")
_SYNCHRONOUS = Hint("training is always synchronous over all replicas")

_NO_KEYPOINTS = Hint("records are read without keypoints")

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
        "random_scale_crop_and_pad_to_square adjust_gamma autoaugment_image",
        rgb_to_gray=Unsupported("the detectors take three channels; random_rgb_to_gray {probability: 1.0} does it"),
        scale_boxes_to_pixel_coordinates=Unsupported("the detectors take normalized boxes"),
        convert_class_logits_to_softmax=Unsupported("records contain classes, not class logits"),
    ),
    "NormalizeImage": make("original_minval original_maxval target_minval target_maxval"),
    "RandomHorizontalFlip": make("probability", keypoint_flip_permutation=_NO_KEYPOINTS),
    "RandomVerticalFlip": make("probability", keypoint_flip_permutation=_NO_KEYPOINTS),
    "RandomRotation90": make("probability", keypoint_rot_permutation=_NO_KEYPOINTS),
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
    "AutoAugmentImage": make("policy_name"),
}

_TRAINING = {
    "TrainEvalPipelineConfig": make(
        "model train_config train_input_reader eval_config eval_input_reader",
        graph_rewriter=Hint(
            "weights are trained as float32; quantize them afterwards: export --format=tflite --quantization=int8"
        ),
    ),
    "TrainConfig": make(
        "batch_size data_augmentation_options optimizer gradient_clipping_by_norm fine_tune_checkpoint "
        "fine_tune_checkpoint_type from_detection_checkpoint load_all_detection_checkpoint_vars num_steps "
        "add_regularization_loss max_number_of_boxes freeze_variables update_trainable_variables",
        fine_tune_checkpoint_version=Hint("the version is detected from the checkpoint's files"),
        run_fine_tune_checkpoint_dummy_computation=SAME_NUMBERS,
        keep_checkpoint_every_n_hours=Hint("the last checkpoints and the best one are kept, counted in steps"),
        sync_replicas=_SYNCHRONOUS,
        replicas_to_aggregate=_SYNCHRONOUS,
        startup_delay_steps=_SYNCHRONOUS,
        batch_queue_capacity=_NO_QUEUES,
        num_batch_queue_threads=_NO_QUEUES,
        prefetch_queue_capacity=_NO_QUEUES,
        merge_multiple_label_boxes=Different(
            "boxes of one place with several labels stay several boxes with one label each, and a proposal learns the "
            "first of them"
        ),
        unpad_groundtruth_tensors=Hint("padded ground truth is always ignored"),
        retain_original_images=Hint("images are kept if pictures are drawn"),
        use_bfloat16=Hint("counts with --strategy=tpu, as in the Object Detection API; --precision=bfloat16 elsewhere"),
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
        image_classes_field_map_empty_to_ones=Hint("records are read without image-level classes"),
        eval_interval_secs=Hint("evaluation is scheduled in steps: --eval_every"),
        max_evals=Hint("evaluation is part of training and ends with it"),
        save_graph=Hint("there is no graph to save"),
        retain_original_images=Hint("images are kept if pictures are drawn"),
        visualize_groundtruth_boxes=Hint("ground truth is always drawn next to the detections"),
        use_moving_averages=Hint("averaged weights are evaluated if train_config.optimizer.use_moving_average is on"),
    ),
    "InputReader": make(
        "label_map_path shuffle shuffle_buffer_size num_epochs sample_1_of_n_examples num_readers num_prefetch_batches "
        "read_block_length drop_remainder max_number_of_boxes tf_record_input_reader load_instance_masks mask_type "
        "sample_from_datasets_weights",
        name=Hint("only a name"),
        filenames_shuffle_buffer_size=Hint("all file names are shuffled"),
        num_parallel_batches=SAME_NUMBERS,
        num_parallel_map_calls=SAME_NUMBERS,
        prefetch_size=SAME_NUMBERS,
        queue_capacity=_NO_QUEUES,
        min_after_dequeue=_NO_QUEUES,
        use_display_name=Hint("both names and display names are accepted"),
        include_source_id=Hint("source ids are always included"),
        input_type=Only(("TF_EXAMPLE", "INPUT_DEFAULT")),
    ),
    "TFRecordInputReader": make("input_path"),
}

RULES = _TRAINING | _AUGMENTATION | _EVALUATION_AND_READING

# Rules for a single field; they take precedence over those of the type.
RULES_BY_PATH = {
    "eval_input_reader[0].num_epochs": Only(("0", "1"), "evaluation reads its dataset once"),
    "eval_input_reader[0].sample_from_datasets_weights": Unsupported("evaluation reads every record once"),
    "eval_input_reader[1]": Unsupported("only one dataset is evaluated"),
}
