"""Each field that is listed as supported is read by the builders; a recorder replaces the configuration."""

import pytest

from tests.config import reading
from tfodhelper import families, protos
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.config import pipeline, schedule_values, supported, supported_rules
from tfodhelper.config.overrides import apply_overrides
from tfodhelper.families import faster_rcnn_values, rules, ssd_values, values
from tfodhelper.zoo import base_configs

pytestmark = pytest.mark.slow

FAMILIES = {family.name: family for family in families.TABLE}
SSD = "model.ssd"
EXTRACTOR = f"{SSD}.feature_extractor"
HEAD = f"{SSD}.box_predictor.convolutional_box_predictor"
ANCHORS = f"{SSD}.anchor_generator.ssd_anchor_generator"
SCALED = "variance_scaling_initializer {factor: 1.5 uniform: true mode: FAN_AVG}"
PADDED = (
    "min_dimension: 128 max_dimension: 128 resize_method: BICUBIC pad_to_max_dimension: true "
    "per_channel_pad_value: [1, 2, 3]"
)

SHARED = (
    "conv_hyperparams {activation: RELU_6 initializer {random_normal_initializer {stddev: 0.01}} "
    "regularizer {l2_regularizer {weight: 4e-5}} batch_norm {decay: 0.9 scale: true}} depth: 16 "
    "num_layers_before_predictor: 2 kernel_size: 5 class_prediction_bias_init: -4.6 use_dropout: true "
    "dropout_keep_probability: 0.7 share_prediction_tower: true use_depthwise: true score_converter: SIGMOID "
    "box_encodings_clip_range {min: -10 max: 10} apply_conv_hyperparams_to_heads: true "
    "apply_conv_hyperparams_pointwise: true"
)

OF_LEVELS = "min_level: 2 max_level: 8 anchor_scale: 3 aspect_ratios: [1, 2] scales_per_octave: 3"

# Together they set every field of the model that the rules call supported.
VARIANTS = {
    "coco": [],
    "all scalars": [
        f"{SSD}.num_classes=4",
        f"{SSD}.encode_background_as_zeros=true",
        f"{SSD}.negative_class_weight=0.5",
        f"{SSD}.normalize_loss_by_num_matches=false",
        f"{SSD}.normalize_loc_loss_by_codesize=true",
        f"{SSD}.freeze_batchnorm=true",
        f"{SSD}.add_background_class=false",
        f"{SSD}.explicit_background_class=true",
        f"{SSD}.feature_extractor.depth_multiplier=0.5",
        f"{SSD}.feature_extractor.min_depth=8",
        f"{SSD}.feature_extractor.pad_to_multiple=32",
        f"{SSD}.feature_extractor.use_explicit_padding=true",
        f"{SSD}.feature_extractor.use_depthwise=true",
        f"{SSD}.feature_extractor.override_base_feature_extractor_hyperparams=true",
        f"{SSD}.feature_extractor.conv_hyperparams.force_use_bias=true",
        f"{SSD}.feature_extractor.conv_hyperparams.regularizer.l1_regularizer={{weight: 0.1}}",
        f"{SSD}.feature_extractor.conv_hyperparams.initializer={{{SCALED}}}",
        f"{SSD}.feature_extractor.conv_hyperparams.batch_norm.train=false",
        f"{SSD}.feature_extractor.conv_hyperparams.batch_norm.center=false",
        f"{SSD}.image_resizer.fixed_shape_resizer={{height: 128 width: 160 resize_method: AREA}}",
        f"{SSD}.matcher.argmax_matcher.unmatched_threshold=0.4",
        f"{SSD}.matcher.argmax_matcher.matched_threshold=0.6",
        f"{SSD}.matcher.argmax_matcher.negatives_lower_than_unmatched=false",
        f"{HEAD}.min_depth=16",
        f"{HEAD}.max_depth=32",
        f"{HEAD}.num_layers_before_predictor=1",
        f"{HEAD}.use_dropout=true",
        f"{HEAD}.dropout_keep_probability=0.7",
        f"{HEAD}.kernel_size=3",
        f"{HEAD}.use_depthwise=true",
        f"{HEAD}.class_prediction_bias_init=-1",
        f"{HEAD}.box_encodings_clip_range={{min: -10 max: 10}}",
        f"{HEAD}.conv_hyperparams.initializer.keras_initializer_by_name=he_normal",
        f"{ANCHORS}.min_scale=0.1",
        f"{ANCHORS}.max_scale=0.9",
        f"{ANCHORS}.interpolated_scale_aspect_ratio=0",
        f"{ANCHORS}.reduce_boxes_in_lowest_layer=false",
        f"{ANCHORS}.base_anchor_height=0.5",
        f"{ANCHORS}.base_anchor_width=0.5",
        f"{ANCHORS}.scales=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]",
        f"{ANCHORS}.height_stride=[16, 32, 64, 100, 150, 300]",
        f"{ANCHORS}.width_stride=[16, 32, 64, 100, 150, 300]",
        f"{ANCHORS}.height_offset=[0, 1, 2, 3, 4, 5]",
        f"{ANCHORS}.width_offset=[0, 1, 2, 3, 4, 5]",
        f"{SSD}.loss.classification_weight=2",
        f"{SSD}.loss.localization_weight=3",
        f"{SSD}.loss.hard_example_miner.loss_type=LOCALIZATION",
        f"{SSD}.loss.hard_example_miner.min_negatives_per_image=2",
        f"{SSD}.loss.localization_loss.weighted_smooth_l1.delta=0.5",
        f"{SSD}.loss.classification_loss.weighted_sigmoid_focal={{gamma: 1 alpha: 0.5}}",
        f"{SSD}.post_processing.logit_scale=2",
        f"{SSD}.post_processing.score_converter=SOFTMAX",
        f"{SSD}.post_processing.batch_non_max_suppression.use_class_agnostic_nms=true",
        f"{SSD}.post_processing.batch_non_max_suppression.soft_nms_sigma=0.5",
        f"{SSD}.post_processing.batch_non_max_suppression.change_coordinate_frame=false",
        f"{SSD}.post_processing.batch_non_max_suppression.max_detections_per_class=10",
    ],
    "other members of oneofs": [
        f"{SSD}.image_resizer={{keep_aspect_ratio_resizer {{{PADDED}}}}}",
        f"{SSD}.matcher.argmax_matcher.ignore_thresholds=true",
        f"{SSD}.feature_extractor.num_layers=6",
        f"{SSD}.loss.localization_loss.l1_localization_loss={{}}",
        f"{SSD}.loss.classification_loss.weighted_softmax={{logit_scale: 2}}",
        f"{HEAD}.conv_hyperparams.initializer.random_normal_initializer={{mean: 0.1 stddev: 0.2}}",
    ],
    "MobileNet V2": [
        f"{EXTRACTOR}.type=ssd_mobilenet_v2_keras",
        f"{EXTRACTOR}.depth_multiplier=0.5",
        f"{EXTRACTOR}.min_depth=8",
        f"{EXTRACTOR}.pad_to_multiple=32",
        f"{EXTRACTOR}.use_explicit_padding=true",
        f"{EXTRACTOR}.use_depthwise=true",
        f"{EXTRACTOR}.override_base_feature_extractor_hyperparams=true",
        f"{EXTRACTOR}.num_layers=6",
    ],
    "MobileNet V2, first generation": [
        f"{EXTRACTOR}.type=ssd_mobilenet_v2",
        f"{EXTRACTOR}.override_base_feature_extractor_hyperparams=true",
        f"{EXTRACTOR}.use_depthwise=true",
    ],
    "Inception V2": [
        f"{EXTRACTOR}.type=ssd_inception_v2",
        f"{EXTRACTOR}.depth_multiplier=0.5",
        f"{EXTRACTOR}.min_depth=8",
        f"{EXTRACTOR}.pad_to_multiple=32",
        f"{EXTRACTOR}.use_explicit_padding=true",
        f"{EXTRACTOR}.use_depthwise=true",
        f"{EXTRACTOR}.override_base_feature_extractor_hyperparams=true",
        f"{EXTRACTOR}.num_layers=6",
    ],
    "MobileNet V3": [
        f"{EXTRACTOR}.type=ssd_mobilenet_v3_large",
        f"{EXTRACTOR}.depth_multiplier=0.5",
        f"{EXTRACTOR}.min_depth=8",
        f"{EXTRACTOR}.pad_to_multiple=32",
        f"{EXTRACTOR}.use_depthwise=true",
        f"{EXTRACTOR}.override_base_feature_extractor_hyperparams=true",
        f"{EXTRACTOR}.num_layers=6",
    ],
    "MobileDet": [
        f"{EXTRACTOR}.type=ssd_mobiledet_cpu",
        f"{EXTRACTOR}.depth_multiplier=0.5",
        f"{EXTRACTOR}.min_depth=8",
        f"{EXTRACTOR}.pad_to_multiple=32",
        f"{EXTRACTOR}.use_depthwise=true",
        f"{EXTRACTOR}.num_layers=6",
    ],
    "pooling pyramid": [
        f"{EXTRACTOR}.type=ssd_mobilenet_v1_ppn",
        f"{EXTRACTOR}.depth_multiplier=0.5",
        f"{EXTRACTOR}.min_depth=8",
        f"{EXTRACTOR}.pad_to_multiple=32",
        f"{EXTRACTOR}.use_explicit_padding=true",
        f"{EXTRACTOR}.override_base_feature_extractor_hyperparams=true",
        f"{EXTRACTOR}.num_layers=6",
    ],
    "EfficientDet": [
        f"{EXTRACTOR}.type=ssd_efficientnet-b0_bifpn_keras",
        f"{EXTRACTOR}.min_depth=8",
        f"{EXTRACTOR}.pad_to_multiple=32",
        f"{EXTRACTOR}.bifpn={{min_level: 4 max_level: 9 num_iterations: 1 num_filters: 16 combine_method: 'sum'}}",
    ],
    "SpaghettiNet": [
        f"{EXTRACTOR}.type=ssd_spaghettinet",
        f"{EXTRACTOR}.spaghettinet_arch_name=spaghettinet_edgetpu_s",
        f"{EXTRACTOR}.use_explicit_padding=true",
        f"{EXTRACTOR}.pad_to_multiple=32",
        f"{ANCHORS}.num_layers=5",
    ],
    "shared weights": [
        f"{SSD}.box_predictor.weight_shared_convolutional_box_predictor={{{SHARED}}}",
        f"{ANCHORS}.reduce_boxes_in_lowest_layer=false",
    ],
    "pyramid": [
        f"{SSD}.anchor_generator.multiscale_anchor_generator={{{OF_LEVELS}}}",
        f"{SSD}.box_predictor.weight_shared_convolutional_box_predictor={{{SHARED}}}",
        f"{SSD}.feature_extractor.type=ssd_mobilenet_v1_fpn_keras",
        f"{SSD}.feature_extractor.fpn={{min_level: 2 max_level: 8 additional_layer_depth: 64}}",
        f"{SSD}.feature_extractor.use_depthwise=true",
        f"{SSD}.feature_extractor.use_explicit_padding=true",
    ],
    "pyramid of MobileNet V2": [
        f"{SSD}.anchor_generator.multiscale_anchor_generator={{{OF_LEVELS}}}",
        f"{SSD}.box_predictor.weight_shared_convolutional_box_predictor={{{SHARED}}}",
        f"{EXTRACTOR}.type=ssd_mobilenet_v2_fpn",
        f"{EXTRACTOR}.fpn={{min_level: 2 max_level: 8 additional_layer_depth: 64}}",
        f"{EXTRACTOR}.override_base_feature_extractor_hyperparams=true",
        f"{EXTRACTOR}.depth_multiplier=0.5",
        f"{EXTRACTOR}.min_depth=8",
        f"{EXTRACTOR}.pad_to_multiple=32",
        f"{EXTRACTOR}.use_depthwise=true",
        f"{EXTRACTOR}.use_explicit_padding=true",
    ],
    "pyramid of a ResNet": [
        f"{SSD}.anchor_generator.multiscale_anchor_generator={{{OF_LEVELS}}}",
        f"{SSD}.feature_extractor.type=ssd_resnet50_v1_fpn",
        f"{SSD}.feature_extractor.fpn={{min_level: 2 max_level: 8 additional_layer_depth: 64}}",
        f"{SSD}.feature_extractor.depth_multiplier=0.5",
        f"{SSD}.feature_extractor.min_depth=8",
        f"{SSD}.feature_extractor.pad_to_multiple=32",
    ],
    "bootstrapped": [
        f"{SSD}.loss.localization_loss.weighted_l2={{}}",
        f"{SSD}.loss.classification_loss.bootstrapped_sigmoid={{alpha: 0.5 hard_bootstrap: true}}",
    ],
}


RCNN = "model.faster_rcnn"
RPN = f"{RCNN}.first_stage_box_predictor_conv_hyperparams"
GRID = f"{RCNN}.first_stage_anchor_generator.grid_anchor_generator"
PYRAMID = f"{RCNN}.first_stage_anchor_generator.multiscale_anchor_generator"
BOXES = f"{RCNN}.second_stage_box_predictor.mask_rcnn_box_predictor"
POSITIONS = f"{RCNN}.second_stage_box_predictor.rfcn_box_predictor"
SECOND_OUTPUT = f"{RCNN}.second_stage_post_processing"

# name: (base, changes); together they set every field of two-stage detectors that the rules call supported.
TWO_STAGE_VARIANTS = {
    "coco": ("faster_rcnn_resnet50_v1_640x640_coco17_tpu-8", []),
    "all scalars": (
        "faster_rcnn_resnet50_coco_2018_01_28",
        [
            f"{RCNN}.num_classes=4",
            f"{RCNN}.feature_extractor.first_stage_features_stride=8",
            f"{RCNN}.feature_extractor.batch_norm_trainable=true",
            f"{RCNN}.first_stage_atrous_rate=2",
            f"{RCNN}.first_stage_box_predictor_kernel_size=1",
            f"{RCNN}.first_stage_box_predictor_depth=32",
            f"{RCNN}.first_stage_minibatch_size=64",
            f"{RCNN}.first_stage_positive_balance_fraction=0.4",
            f"{RCNN}.first_stage_nms_score_threshold=0.1",
            f"{RCNN}.first_stage_max_proposals=50",
            f"{RCNN}.second_stage_batch_size=16",
            f"{RCNN}.second_stage_balance_fraction=0.5",
            f"{RCNN}.second_stage_classification_loss.weighted_softmax={{logit_scale: 2}}",
            f"{RCNN}.use_static_shapes=true",
            f"{RCNN}.use_static_shapes_for_eval=true",
            f"{RCNN}.use_static_balanced_label_sampler=true",
            f"{RCNN}.clip_anchors_to_image=true",
            f"{RCNN}.use_matmul_crop_and_resize=true",
            f"{GRID}.height=128",
            f"{GRID}.width=128",
            f"{GRID}.height_offset=1",
            f"{GRID}.width_offset=2",
            f"{RPN}.activation=RELU_6",
            f"{RPN}.initializer.random_normal_initializer={{mean: 0.1 stddev: 0.2}}",
            f"{BOXES}.use_dropout=true",
            f"{BOXES}.dropout_keep_probability=0.7",
            f"{BOXES}.share_box_across_classes=true",
            f"{BOXES}.fc_hyperparams.batch_norm={{decay: 0.9}}",
            f"{SECOND_OUTPUT}.logit_scale=2",
            f"{SECOND_OUTPUT}.batch_non_max_suppression.soft_nms_sigma=0.5",
            f"{SECOND_OUTPUT}.batch_non_max_suppression.use_class_agnostic_nms=true",
        ],
    ),
    "mining": (
        "faster_rcnn_resnet50_coco_2018_01_28",
        [
            f"{RCNN}.hard_example_miner={{num_hard_examples: 9 iou_threshold: 0.5 loss_type: CLASSIFICATION}}",
            f"{RCNN}.second_stage_classification_loss.weighted_sigmoid_focal={{gamma: 1 alpha: 0.5}}",
            f"{SECOND_OUTPUT}.score_converter=SIGMOID",
        ],
    ),
    "R-FCN": (
        "rfcn_resnet101_coco_2018_01_28",
        [
            f"{POSITIONS}.depth=64",
            f"{POSITIONS}.num_spatial_bins_height=2",
            f"{POSITIONS}.num_spatial_bins_width=4",
            f"{POSITIONS}.crop_height=4",
            f"{POSITIONS}.crop_width=8",
            f"{POSITIONS}.conv_hyperparams.activation=RELU_6",
            f"{POSITIONS}.conv_hyperparams.batch_norm={{decay: 0.9}}",
        ],
    ),
    "masks": (
        "faster_rcnn_resnet50_coco_2018_01_28",
        [
            f"{RCNN}.number_of_stages=3",
            f"{RCNN}.second_stage_mask_prediction_loss_weight=4",
            f"{BOXES}.predict_instance_masks=true",
            f"{BOXES}.conv_hyperparams={{initializer {{random_normal_initializer {{stddev: 0.01}}}}}}",
            f"{BOXES}.mask_prediction_conv_depth=0",
            f"{BOXES}.mask_height=14",
            f"{BOXES}.mask_width=21",
            f"{BOXES}.mask_prediction_num_conv_layers=3",
            f"{BOXES}.masks_are_class_agnostic=true",
            f"{BOXES}.convolve_then_upsample_masks=true",
        ],
    ),
    "first stage alone": ("faster_rcnn_resnet50_lowproposals_coco_2018_01_28", [f"{RCNN}.number_of_stages=1"]),
    "pyramid": (
        "faster_rcnn_resnet50_v1_fpn_640x640_coco17_tpu-8",
        [
            f"{RCNN}.feature_extractor.fpn={{min_level: 3 max_level: 5 additional_layer_depth: 64}}",
            f"{RCNN}.feature_extractor.pad_to_multiple=64",
            f"{PYRAMID}.min_level=3",
            f"{PYRAMID}.max_level=5",
            f"{PYRAMID}.anchor_scale=3",
            f"{PYRAMID}.scales_per_octave=1",
            f"{RCNN}.second_stage_classification_loss.weighted_sigmoid={{}}",
        ],
    ),
}


def configuration(changes, base="ssd_mobilenet_v1_coco_2018_01_28"):
    """A base configuration with changes."""
    return apply_overrides(pipeline.read_pipeline(base_configs.base_pipeline_path(base)), changes)


# Fields that a rule or a check of values limits to one value, so that nobody has to read them.
OF_ONE_VALUE = ("_hyperparams.op", ".box_code_size", ".normalize_coordinates")


def supported_paths(message, prefix):
    """Paths below a prefix that are set, not at their default, and called supported whatever their value."""
    return {
        reading.without_indices(field.path)
        for field in supported.classify(message)
        if field.status == supported.SUPPORTED
        and field.path.startswith(prefix)
        and not field.path.endswith(OF_ONE_VALUE)
    }


@pytest.fixture(scope="module", autouse=True)
def without_checks_of_values():
    """What only a check reads is not applied, so the checks must not count."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            (ssd_values, "check"),
            (faster_rcnn_values, "check"),
            (values, "check_resizer"),
            (values, "check_suppression"),
            (schedule_values, "check_optimizer"),
            (schedule_values, "check_schedule"),
        ):
            patch.setattr(module, name, lambda *messages: None)
        yield


@pytest.fixture(scope="module")
def built():
    """{variant: (its configuration, what building the detector read of it)}."""
    return {variant: build(configuration(changes)) for variant, changes in VARIANTS.items()}


@pytest.fixture(scope="module")
def built_two_stages():
    """As `built`, for two-stage detectors."""
    return {name: build(configuration(changes, base)) for name, (base, changes) in TWO_STAGE_VARIANTS.items()}


def build(message):
    """(configuration, what building its detector reads of it)."""
    builder = pytest.importorskip("tfodhelper.models.build")
    recorder, reads = reading.record_reads(message)
    builder.build_detector(recorder.model, is_training=True)
    return message, reads


@pytest.mark.parametrize("variant", VARIANTS)
def test_model_reads_what_is_set(built, variant):
    message, reads = built[variant]
    unread = supported_paths(message, "model") - reads
    if variant in ("EfficientDet", "SpaghettiNet"):  # where it must be 1
        unread -= {f"{EXTRACTOR}.depth_multiplier"}
    assert unread == set()


@pytest.mark.parametrize("variant", TWO_STAGE_VARIANTS)
def test_two_stage_model_reads_what_is_set(built_two_stages, variant):
    message, reads = built_two_stages[variant]
    supported.check_supported(message)
    unread = supported_paths(message, "model") - reads
    if variant == "first stage alone":
        unread = {path for path in unread if not path.startswith((f"{RCNN}.second_stage_", f"{RCNN}.maxpool_"))}
        unread -= {f"{RCNN}.initial_crop_size"}
    assert unread == set()


def supported_leaves(family, name, path):
    """Paths of all fields that the rules call supported, below a message; of a feature extractor those of any type."""
    own_rules = supported.Rules(family)
    own = own_rules.of_message(protos.message(name)())
    if name.endswith("FeatureExtractor"):
        own = {field: rule for of_type in family.feature_extractors.values() for field, rule in of_type.items()}
    for field in protos.message(name).DESCRIPTOR.fields:
        inner_path = f"{path}.{field.name}"
        if not _is_supported(own_rules.of_path(inner_path, own.get(field.name))):
            continue
        inner = field.message_type.full_name.removeprefix(protos.PACKAGE + ".") if field.message_type else None
        yield inner_path
        if inner and len(field.message_type.fields):
            yield from supported_leaves(family, inner, inner_path)


def below_layers(paths):
    """The parts of paths behind the settings of convolutions, which are read in one place."""
    return {path.split("_hyperparams.", 1)[1] for path in paths if "_hyperparams." in path}


def test_all_that_the_rules_call_supported_is_read_by_some_variant(built):
    read = set().union(*(reads for _, reads in built.values()))
    supported_anywhere = set(supported_leaves(FAMILIES["ssd"], "Ssd", SSD))
    assert len(supported_anywhere) > 100
    assert {path for path in supported_anywhere - read if "_hyperparams." not in path} == set()
    assert below_layers(supported_anywhere) - below_layers(read) == set()


def test_all_that_the_rules_call_supported_is_read_by_some_two_stage_variant(built, built_two_stages):
    read = set().union(*(reads for _, reads in built_two_stages.values()))
    supported_anywhere = set(supported_leaves(FAMILIES["faster_rcnn"], "FasterRcnn", RCNN))
    assert len(supported_anywhere) > 100
    shared = ("_hyperparams.", ".image_resizer.")  # read in one place for all detectors
    assert {path for path in supported_anywhere - read if not any(part in path for part in shared)} == set()
    read_of_layers = set().union(*(reads for _, reads in [*built.values(), *built_two_stages.values()]))
    assert below_layers(supported_anywhere) - below_layers(read_of_layers) == set()


def test_metrics():
    build = pytest.importorskip("tfodhelper.metrics.build")
    changes = [
        "eval_config.metrics_set=[coco_detection_metrics, pascal_voc_detection_metrics, precision_at_recall_metrics]",
        "eval_config.include_metrics_per_category=true",
        "eval_config.all_metrics_per_category=true",
        "eval_config.super_categories=[{key: 'both' value: 'a,b'}]",
        "eval_config.recall_lower_bound=0.1",
        "eval_config.recall_upper_bound=0.9",
    ]
    if "precision_at_recall_metrics" not in build.METRICS:
        name = next(name for name in build.METRICS if "recall" in name)
        changes[0] = f"eval_config.metrics_set=[coco_detection_metrics, {name}]"
    recorder, reads = reading.record_reads(configuration(changes))
    build.build_metrics(recorder.eval_config, {1: "a", 2: "b"})
    assert {"eval_config." + change.split("=")[0].split(".")[1] for change in changes} <= reads


def test_optimizers():
    optimizers = pytest.importorskip("tfodhelper.training.optimizers")
    rates = {
        "constant_learning_rate": "learning_rate: 0.1",
        "exponential_decay_learning_rate": "initial_learning_rate: 0.1 decay_steps: 3 decay_factor: 0.5 "
        "staircase: false burnin_learning_rate: 0.01 burnin_steps: 2 min_learning_rate: 0.001",
        "manual_step_learning_rate": "initial_learning_rate: 0.1 warmup: true schedule { step: 5 learning_rate: 0.3 }",
        "cosine_decay_learning_rate": "learning_rate_base: 0.1 total_steps: 9 warmup_learning_rate: 0.01 "
        "warmup_steps: 2 hold_base_rate_steps: 3",
    }
    settings = {
        "rms_prop_optimizer": "momentum_optimizer_value: 0.8 decay: 0.8 epsilon: 0.1",
        "momentum_optimizer": "momentum_optimizer_value: 0.8",
        "adam_optimizer": "epsilon: 0.1",
    }
    for (kind, own), (rate, numbers) in zip([*settings.items(), ("adam_optimizer", "epsilon: 1")], rates.items()):
        text = f"{kind} {{ {own} learning_rate {{ {rate} {{ {numbers} }} }} }} moving_average_decay: 0.5"
        message = configuration([f"train_config.optimizer={{{text}}}"])
        recorder, reads = reading.record_reads(message)
        optimizers.build_optimizer(recorder.train_config.optimizer)
        assert supported_paths(message, "train_config.optimizer") - reads == set()


def test_what_is_frozen():
    task = pytest.importorskip("tfodhelper.training.task")
    recorder, reads = reading.record_reads(configuration([]))
    task.choose_frozen(recorder.train_config, None)
    assert {"train_config.freeze_variables", "train_config.update_trainable_variables"} <= reads


def test_input_readers(tmp_path):
    build = pytest.importorskip("tfodhelper.inputs.build")
    from tests.inputs import examples
    from tfodhelper import resizers

    records = examples.write_numbered(tmp_path, 6, shards=2)
    label_maps.write_label_map(tmp_path / "label_map.pbtxt", label_maps.make_label_map(["a"]))
    settings = [
        f"label_map_path={tmp_path / 'label_map.pbtxt'}",
        f"tf_record_input_reader.input_path={records}",
        "shuffle=false",
        "shuffle_buffer_size=7",
        "num_epochs=1",
        "sample_1_of_n_examples=2",
        "num_readers=1",
        "num_prefetch_batches=1",
        "read_block_length=1",
        "max_number_of_boxes=3",
        "drop_remainder=false",
        "load_instance_masks=true",
        "mask_type=PNG_MASKS",
    ]
    readers = ("train_input_reader", "eval_input_reader")
    message = configuration([f"{reader}.{setting}" for reader in readers for setting in settings])
    message.eval_config.num_examples = 2
    recorder, reads = reading.record_reads(message)
    resizer = resizers.build_resizer(recorder.model.ssd.image_resizer)
    build.build_train_dataset(recorder, resizer, batch_size=1, seed=0)
    build.build_eval_dataset(recorder, resizer, batch_size=1)
    for reader in readers:
        assert supported_paths(message, reader) - reads == set()
    supported_there = {name for name, rule in supported_rules.RULES["InputReader"].items() if _is_supported(rule)}
    assert {f"train_input_reader.{name}" for name in supported_there} <= reads
    assert "eval_config.num_examples" in reads


def _is_supported(rule):
    return isinstance(rule, rules.Supported)


def test_augmentation_rules_are_the_operations_of_the_input_pipeline():
    augment = pytest.importorskip("tfodhelper.inputs.augment")
    of_steps = supported_rules.RULES["PreprocessingStep"]
    ours = {name for name, rule in of_steps.items() if _is_supported(rule)}
    assert ours == set(augment.OPERATIONS)
