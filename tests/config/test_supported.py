"""What is supported, what is not, and who reads it."""

import pytest

from tests.config import reading
from tests.shared_data import shared
from tfodhelper import errors, families, protos
from tfodhelper.config import checks, pipeline, supported, supported_rules
from tfodhelper.config.overrides import apply_overrides
from tfodhelper.families import rules, shared_rules
from tfodhelper.zoo import base_configs


def status_of(text, path):
    """The status of one field of a configuration."""
    return {field.path: field.status for field in supported.classify(pipeline.parse_pipeline(text))}.get(path)


@pytest.fixture
def base():
    """The configuration of a model that can be trained."""
    return pipeline.read_pipeline(base_configs.base_pipeline_path("ssd_mobilenet_v1_coco_2018_01_28"))


@pytest.mark.parametrize("name", base_configs.base_names())
def test_base_files_are_supported_in_full(name):
    fields = supported.classify(pipeline.read_pipeline(base_configs.base_pipeline_path(name)))
    assert {field.status for field in fields} <= {supported.SUPPORTED, supported.HINT}
    assert len(fields) > 40


UNTRAINABLE = ("centernet",)


def published_configs():
    """Names of the folders with published configurations; empty without the shared data."""
    try:
        root = shared("odapi_parity")
    except pytest.skip.Exception:
        return []
    return sorted(folder.name for folder in root.iterdir() if (folder / "pipeline.config").exists())


@pytest.mark.parametrize("name", published_configs())
def test_published_configs_are_supported_unless_the_family_is_missing(name):
    published = pipeline.read_pipeline(shared(f"odapi_parity/{name}/pipeline.config"))
    if not name.startswith(UNTRAINABLE):
        assert supported.check_supported(published) is not None
        return
    with pytest.raises(errors.ConfigError) as caught:
        supported.check_supported(published)
    assert "cannot be trained here yet" in caught.value.what


def test_error_lists_every_field(base):
    changed = apply_overrides(
        base,
        [
            "train_config.use_multiclass_scores=true",
            "train_config.bias_grad_multiplier=2",
            "model.ssd.mask_head_config.mask_height=3",
        ],
    )
    with pytest.raises(errors.ConfigError) as caught:
        supported.check_supported(changed)
    assert caught.value.what == "pipeline.config: 3 fields that tfodhelper does not support"
    for path in (
        "train_config.use_multiclass_scores: true",
        "train_config.bias_grad_multiplier: 2",
        "model.ssd.mask_head_config: {mask_height}",
    ):
        assert path in caught.value.received


def test_allowed_ones_are_printed_as_warnings(base, capsys):
    changed = apply_overrides(base, ["train_config.bias_grad_multiplier=2"])
    supported.check_supported(changed, ignore_unsupported_fields=True)
    assert "warning: not supported: train_config.bias_grad_multiplier: 2" in capsys.readouterr().err


def test_unsupported_field_at_its_default_is_fine(base):
    changed = apply_overrides(base, ["train_config.bias_grad_multiplier=0"])
    assert changed.train_config.HasField("bias_grad_multiplier")
    supported.check_supported(changed)


@pytest.mark.parametrize(
    ("text", "received", "known"),
    [
        ("center_net { num_classes: 3 feature_extractor { type: 'hourglass_104' } }", "model.center_net: ", "ssd"),
        (
            "ssd { feature_extractor { type: 'ssd_mobilenet_v2_quux' use_depthwise: true fpn { min_level: 3 } } }",
            "model.ssd.feature_extractor.type: ssd_mobilenet_v2_quux",
            "ssd_mobilenet_v1",
        ),
        ("ssd { feature_extractor { type: 'ssd_mobiledet_gpu' } }", "ssd_mobiledet_gpu", "ssd_mobilenet_v1"),
        ("ssd { feature_extractor { type: 'spaghettinet' } }", "spaghettinet", "ssd_mobilenet_v1"),
        ("faster_rcnn { feature_extractor { type: 'faster_rcnn_pnas' } }", "faster_rcnn_pnas", "faster_rcnn_resnet50"),
        (
            "faster_rcnn { context_config { attention_bottleneck_dimension: 9 } }",
            "model.faster_rcnn.context_config: ",
            None,
        ),
    ],
)
@pytest.mark.parametrize("ignore", [False, True])
def test_a_kind_of_model_that_cannot_be_trained_is_said_in_one_line(text, received, known, ignore):
    message = pipeline.parse_pipeline(f"model {{ {text} }} train_config {{ use_multiclass_scores: true }}")
    with pytest.raises(errors.ConfigError, match="cannot be trained here yet") as caught:
        supported.check_supported(message, ignore_unsupported_fields=ignore)
    assert received in caught.value.received and "\n" not in caught.value.received
    assert caught.value.expected is None if known is None else known in caught.value.expected
    assert "`tfodhelper zoo --trainable`" in caught.value.fix and "remove" not in caught.value.fix


def test_a_misspelt_feature_extractor_is_suggested():
    message = pipeline.parse_pipeline("model { ssd { feature_extractor { type: 'ssd_mobilnet_v1' fpn {} } } }")
    with pytest.raises(errors.ConfigError, match="did you mean ssd_mobilenet_v1"):
        supported.check_supported(message)
    assert [field.path for field in supported.classify(message)][-1] == "model.ssd.feature_extractor.type"


def test_what_is_done_differently_is_a_warning(base, capsys):
    changed = apply_overrides(base, ["train_config.merge_multiple_label_boxes=true"])
    assert supported.check_supported(changed) == []
    assert "merge_multiple_label_boxes: true: boxes of one place" in " ".join(capsys.readouterr().err.split())
    supported.check_supported(changed, says=False)
    assert capsys.readouterr().err == ""


def test_a_list_of_kinds_is_in_lines_that_a_terminal_does_not_break():
    message = pipeline.parse_pipeline("model { ssd { feature_extractor { type: 'ssd_inception_v3' } } }")
    with pytest.raises(errors.ConfigError) as caught:
        supported.check_supported(message)
    assert max(map(len, str(caught.value).splitlines())) <= 120 and "ssd_mobilenet_v1" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model { faster_rcnn { context_config {} } }", "Context R-CNN cannot be trained here yet"),
        ("model { center_net {} }", "models of the family center_net cannot be trained here yet"),
    ],
)
def test_families_that_do_not_exist_are_named(text, words):
    with pytest.raises(errors.ConfigError, match=words):
        checks.check_pipeline(pipeline.parse_pipeline(text))


def test_fields_of_published_configurations_that_change_no_numbers_are_hints(base):
    changed = apply_overrides(
        base,
        ["train_config.use_bfloat16=true", "eval_config.image_classes_field_map_empty_to_ones=false"],
    )
    paths = {hint.path for hint in supported.check_supported(changed)}
    assert {"train_config.use_bfloat16", "eval_config.image_classes_field_map_empty_to_ones"} <= paths


def test_hints_are_returned(base):
    changed = apply_overrides(base, ["model.ssd.matcher.argmax_matcher.use_matmul_gather=true"])
    hints = supported.check_supported(changed)
    assert [hint.path for hint in hints] == ["model.ssd.matcher.argmax_matcher.use_matmul_gather"]
    assert hints[0].reason


def test_quantization_is_a_hint_that_names_the_way_to_eight_bits(base):
    hints = supported.check_supported(apply_overrides(base, ["graph_rewriter.quantization.delay=1"]))
    assert [hint.path for hint in hints] == ["graph_rewriter"]
    assert "export --format=tflite --quantization=int8" in hints[0].reason


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("model { center_net { num_classes: 3 } }", "model.center_net"),
        ("model { faster_rcnn { number_of_stages: 4 } }", "model.faster_rcnn.number_of_stages"),
        ("model { faster_rcnn { context_config {} } }", "model.faster_rcnn.context_config"),
        (
            "model { faster_rcnn { feature_extractor { type: 'faster_rcnn_pnas' } } }",
            "model.faster_rcnn.feature_extractor.type",
        ),
        (
            "model { faster_rcnn { feature_extractor { type: 'faster_rcnn_resnet50_keras' fpn {} } } }",
            "model.faster_rcnn.feature_extractor.fpn",
        ),
        (
            "model { faster_rcnn { second_stage_box_predictor { mask_rcnn_box_predictor { predict_keypoints: true }}}}",
            "model.faster_rcnn.second_stage_box_predictor.mask_rcnn_box_predictor.predict_keypoints",
        ),
        (
            "model { faster_rcnn { second_stage_box_predictor { rfcn_box_predictor { box_code_size: 5 } } } }",
            "model.faster_rcnn.second_stage_box_predictor.rfcn_box_predictor.box_code_size",
        ),
        (
            "model { ssd { anchor_generator { grid_anchor_generator {} } } }",
            "model.ssd.anchor_generator.grid_anchor_generator",
        ),
        ("model { ssd { feature_extractor { type: 'ssd_unknown' } } }", "model.ssd.feature_extractor.type"),
        ("model { ssd { feature_extractor { type: 'ssd_mobilenet_v1' fpn {} } } }", "model.ssd.feature_extractor.fpn"),
        (
            "model { ssd { feature_extractor { type: 'ssd_mobilenet_v1' conv_hyperparams { op: FC } } } }",
            "model.ssd.feature_extractor.conv_hyperparams.op",
        ),
        ("eval_input_reader {} eval_input_reader {}", "eval_input_reader[1]"),
        ("eval_input_reader { num_epochs: 2 }", "eval_input_reader[0].num_epochs"),
        ("train_input_reader { load_multiclass_scores: true }", "train_input_reader.load_multiclass_scores"),
        (
            "model { ssd { post_processing { batch_non_max_suppression { use_hard_nms: true soft_nms_sigma: 1 } } } }",
            "model.ssd.post_processing.batch_non_max_suppression.use_hard_nms",
        ),
    ],
)
def test_not_supported(text, path):
    assert status_of(text, path) == supported.UNSUPPORTED


@pytest.mark.parametrize(
    ("text", "path", "status"),
    [
        ("eval_input_reader { num_epochs: 1 }", "eval_input_reader[0].num_epochs", supported.SUPPORTED),
        ("train_input_reader { num_epochs: 2 }", "train_input_reader.num_epochs", supported.SUPPORTED),
        ("train_config { num_steps: 2 }", "train_config.num_steps", supported.SUPPORTED),
        ("train_config { use_bfloat16: true }", "train_config.use_bfloat16", supported.HINT),
        (
            "model { ssd { feature_extractor { type: 'ssd_efficientnet-b0_bifpn_keras' depth_multiplier: 1.0 } } }",
            "model.ssd.feature_extractor.depth_multiplier",
            supported.SUPPORTED,
        ),
        (
            "train_config { load_all_detection_checkpoint_vars: true }",
            "train_config.load_all_detection_checkpoint_vars",
            supported.SUPPORTED,
        ),
        (
            "train_config { data_augmentation_options { random_horizontal_flip { keypoint_flip_permutation: 1 } } }",
            "train_config.data_augmentation_options[0].random_horizontal_flip.keypoint_flip_permutation",
            supported.HINT,
        ),
        (
            "model { ssd { post_processing { batch_non_max_suppression { use_hard_nms: true } } } }",
            "model.ssd.post_processing.batch_non_max_suppression.use_hard_nms",
            supported.HINT,
        ),
    ],
)
def test_supported_and_hints(text, path, status):
    assert status_of(text, path) == status


def rules_by_type(family):
    """{type of message: {field: rule}} for configurations of a family."""
    of_model = {"DetectionModel": rules.make(" ".join(families.names()))}
    return supported_rules.RULES | shared_rules.RULES | of_model | family.rules


@pytest.mark.parametrize("family", families.TABLE, ids=lambda family: family.name)
def test_rules_name_only_what_the_schema_has(family):
    for name, own in rules_by_type(family).items():
        fields = protos.message(name).DESCRIPTOR.fields_by_name
        assert set(own) <= set(fields), name
    architecture = protos.message("DetectionModel").DESCRIPTOR.fields_by_name[family.name].message_type
    fields = architecture.fields_by_name["feature_extractor"].message_type.fields_by_name
    for own in family.feature_extractors.values():
        assert set(own) <= set(fields)


@pytest.mark.parametrize("family", families.TABLE, ids=lambda family: family.name)
def test_every_supported_message_has_rules(family):
    """A message that is supported without rules of its own would lose its fields."""
    by_type = rules_by_type(family)
    own_messages = {other.name for other in families.TABLE} - {family.name}
    for name, own in by_type.items():
        for field in protos.message(name).DESCRIPTOR.fields:
            if name == "DetectionModel" and field.name in own_messages:
                continue
            if isinstance(own.get(field.name), rules.Supported) and field.message_type is not None:
                inner = field.message_type.full_name.removeprefix(protos.PACKAGE + ".")
                has_fields = len(field.message_type.fields) > 0 and not field.message_type.GetOptions().map_entry
                known = inner in by_type or inner.endswith("FeatureExtractor")
                assert known or not has_fields, f"{name}.{field.name}"


def test_recorder_writes_down_what_is_read():
    message = pipeline.parse_pipeline(
        "model { ssd { num_classes: 3 loss { hard_example_miner {} } } }"
        "train_config { batch_size: 2 data_augmentation_options { random_rotation90 { probability: 0.1 } } }"
    )
    recorder, reads = reading.record_reads(message)
    assert recorder.model.ssd.num_classes == 3
    assert recorder.model.ssd.loss.HasField("hard_example_miner")
    assert not recorder.model.ssd.HasField("matcher")
    step = recorder.train_config.data_augmentation_options[0]
    assert getattr(step, step.WhichOneof("preprocessing_step")).probability == pytest.approx(0.1)
    assert reads == {
        "model",
        "model.ssd",
        "model.ssd.num_classes",
        "model.ssd.loss",
        "model.ssd.loss.hard_example_miner",
        "model.ssd.matcher",
        "train_config",
        "train_config.data_augmentation_options",
        "train_config.data_augmentation_options.random_rotation90",
        "train_config.data_augmentation_options.random_rotation90.probability",
    }
    with pytest.raises(AttributeError):
        recorder.train_config.batch_size = 3


def test_paths_without_indices():
    assert reading.without_indices("a[0].b[12].c") == "a.b.c"
