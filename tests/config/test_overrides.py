"""--set PATH=VALUE."""

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.config import strategies
from tfodhelper import errors, protos
from tfodhelper.config import pipeline
from tfodhelper.config.overrides import apply_overrides

TEXT = """
model { ssd { num_classes: 3 feature_extractor { type: "ssd_mobilenet_v1_keras" } } }
train_config {
  batch_size: 8
  data_augmentation_options { random_horizontal_flip {} }
  data_augmentation_options { ssd_random_crop {} }
  optimizer { momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.1 } } } }
}
eval_config { metrics_set: "coco_detection_metrics" }
eval_input_reader { label_map_path: "a.pbtxt" }
"""


@pytest.fixture
def base():
    """A small configuration."""
    return pipeline.parse_pipeline(TEXT)


def test_scalar_is_set_and_the_original_is_unchanged(base):
    changed = apply_overrides(base, ["train_config.batch_size=4"])
    assert changed.train_config.batch_size == 4
    assert base.train_config.batch_size == 8


def test_later_ones_win(base):
    changed = apply_overrides(base, ["train_config.num_steps=1", "train_config.num_steps=2"])
    assert changed.train_config.num_steps == 2


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("train_config.gradient_clipping_by_norm=10", lambda m: m.train_config.gradient_clipping_by_norm, 10.0),
        ("train_config.add_regularization_loss=False", lambda m: m.train_config.add_regularization_loss, False),
        (
            "train_config.fine_tune_checkpoint='/a b/ckpt-0'",
            lambda m: m.train_config.fine_tune_checkpoint,
            "/a b/ckpt-0",
        ),
        ("train_config.fine_tune_checkpoint=a=b", lambda m: m.train_config.fine_tune_checkpoint, "a=b"),
        ("train_config.fine_tune_checkpoint_version=V2", lambda m: m.train_config.fine_tune_checkpoint_version, 2),
        ("eval_input_reader.label_map_path=b", lambda m: m.eval_input_reader[0].label_map_path, "b"),
        ("eval_input_reader[0].label_map_path=b", lambda m: m.eval_input_reader[0].label_map_path, "b"),
        ("eval_input_reader.0.label_map_path=b", lambda m: m.eval_input_reader[0].label_map_path, "b"),
        ("eval_config.metrics_set=[a, 'b,c']", lambda m: list(m.eval_config.metrics_set), ["a", "b,c"]),
        ("eval_config.metrics_set+=b", lambda m: list(m.eval_config.metrics_set), ["coco_detection_metrics", "b"]),
        ("eval_config.metrics_set=", lambda m: list(m.eval_config.metrics_set), []),
        ("eval_config.metrics_set[0]=x", lambda m: list(m.eval_config.metrics_set), ["x"]),
        ("train_config.batch_size=", lambda m: m.train_config.batch_size, 32),
    ],
)
def test_kinds_of_values(base, override, read, value):
    assert read(apply_overrides(base, [override])) == value


def test_augmentation_options_are_added_replaced_and_removed(base):
    def names(message):
        return [step.WhichOneof("preprocessing_step") for step in message.train_config.data_augmentation_options]

    path = "train_config.data_augmentation_options"
    added = apply_overrides(base, [f"{path}+=random_rotation90 {{ probability: 0.25 }}"])
    assert names(added) == ["random_horizontal_flip", "ssd_random_crop", "random_rotation90"]
    assert added.train_config.data_augmentation_options[2].random_rotation90.probability == 0.25
    assert names(apply_overrides(base, [f"{path}[0]={{random_vertical_flip {{}}}}"]))[0] == "random_vertical_flip"
    assert names(apply_overrides(base, [f"{path}[0]="])) == ["ssd_random_crop"]
    assert names(apply_overrides(base, [f"{path}="])) == []
    assert names(apply_overrides(base, [f"{path}=[{{random_image_scale {{}}}}, adjust_gamma {{}}]"])) == [
        "random_image_scale",
        "adjust_gamma",
    ]


def test_field_inside_an_element(base):
    changed = apply_overrides(
        base, ["train_config.data_augmentation_options[0].random_horizontal_flip.probability=0.25"]
    )
    assert changed.train_config.data_augmentation_options[0].random_horizontal_flip.probability == 0.25


def test_whole_message_replaces_the_other_member_of_a_oneof(base):
    value = "{learning_rate {constant_learning_rate {learning_rate: 0.5}}}"
    changed = apply_overrides(base, [f"train_config.optimizer.adam_optimizer={value}"])
    assert changed.train_config.optimizer.WhichOneof("optimizer") == "adam_optimizer"
    assert changed.train_config.optimizer.adam_optimizer.learning_rate.constant_learning_rate.learning_rate == 0.5


def test_message_that_is_not_set_yet_is_created(base):
    changed = apply_overrides(base, ["model.ssd.loss.hard_example_miner.num_hard_examples=5"])
    assert changed.model.ssd.loss.hard_example_miner.num_hard_examples == 5


def test_maps(base):
    changed = apply_overrides(base, ["eval_config.super_categories=[{key: 'all' value: 'cat,dog'}]"])
    assert dict(changed.eval_config.super_categories) == {"all": "cat,dog"}


@pytest.mark.parametrize("index", ["[" + "9" * 5000 + "]", "." + "9" * 5000, ".\u00b2", "[\u0663]"])
def test_an_index_that_no_list_has_is_an_error_in_words(base, index):
    with pytest.raises(errors.ConfigError, match=r"is not a field name|has 2 elements"):
        apply_overrides(base, [f"train_config.data_augmentation_options{index}.ssd_random_crop={{}}"])


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train_config.batch_sise=4", "did you mean train_config.batch_size?"),
        ("batch_size=4", "train_config.batch_size"),
        ("train_config.batch_size=four", "expected: an integer from 0"),
        ("train_config.batch_size=-1", "received: -1"),
        ("train_config.batch_size=4294967296", "an integer from 0"),
        ("train_config.gradient_clipping_by_norm=nan", "a number"),
        ("train_config.add_regularization_loss=maybe", "true or false"),
        ("train_config.fine_tune_checkpoint_version=V3", "one of UNKNOWN, V1, V2"),
        ("train_config.batch_size", "path=value"),
        ("train_config.batch_size.x=1", "has no fields"),
        ("train_config..x=1", "is not a field name"),
        ("train_config.data_augmentation_options.ssd_random_crop={}", "2 elements"),
        ("train_config.data_augmentation_options[7].ssd_random_crop={}", "an index below 2"),
        ("train_config[0].batch_size=1", "takes no index"),
        ("train_config.batch_size+=1", "batch_size, which is not repeated"),
        ("model.ssd=3", "is a message"),
        ("model.ssd={num_clases: 3}", "did you mean num_classes?"),
        ("model.faster_rcnn.num_classes=3", "model contains ssd, not faster_rcnn"),
        ("train_config.optimizer.adam_optimizer.epsilon=1", "train_config.optimizer contains momentum_optimizer"),
        ("eval_config.super_categories.a=3", "is a map"),
    ],
)
def test_errors_name_the_override_and_the_fix(base, override, words):
    with pytest.raises(errors.ConfigError) as caught:
        apply_overrides(base, [override])
    assert f"--set {override}" in str(caught.value)
    assert words in str(caught.value)


_FIELDS = [
    field
    for field in protos.message("TrainConfig").DESCRIPTOR.fields
    if field.message_type is None and not pipeline.is_repeated(field)
]


@hypothesis.given(st.data())
def test_any_scalar_of_train_config_reads_back(data):
    field = data.draw(st.sampled_from(_FIELDS))
    value = data.draw(strategies.scalars(field))
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    if field.enum_type is not None:
        text = field.enum_type.values_by_number[value].name
    if isinstance(value, str):
        text = f'"{value}"'
    changed = apply_overrides(pipeline.new_pipeline(), [f"train_config.{field.name}={text}"])
    assert getattr(changed.train_config, field.name) == value
