"""Reading and writing pipeline.config, and the error messages."""

import pathlib

import hypothesis
import pytest

from tests.config import strategies
from tests.shared_data import shared
from tfodhelper import errors
from tfodhelper.config import pipeline
from tfodhelper.zoo import base_configs

SMALL = """
model {
  ssd {
    num_classes: 3
    image_resizer { fixed_shape_resizer { height: 300 width: 300 } }
  }
}
train_config: { batch_size: 4, data_augmentation_options { random_horizontal_flip {} } }  # a comment
"""


def error_of(text):
    """The error that is raised for a text."""
    with pytest.raises(errors.ConfigError) as caught:
        pipeline.parse_pipeline(text, "my.config")
    return caught.value


def test_parses_text_with_comments_colons_and_commas():
    message = pipeline.parse_pipeline(SMALL)
    assert message.model.ssd.num_classes == 3
    assert message.model.ssd.image_resizer.fixed_shape_resizer.height == 300
    assert message.train_config.batch_size == 4
    assert (
        message.train_config.data_augmentation_options[0].WhichOneof("preprocessing_step") == "random_horizontal_flip"
    )


def test_parses_back_equal():
    message = pipeline.parse_pipeline(SMALL)
    assert pipeline.parse_pipeline(pipeline.format_pipeline(message)) == message


@hypothesis.given(strategies.messages("TrainEvalPipelineConfig"))
@hypothesis.settings(max_examples=60)
def test_any_message_parses_back_equal(message):
    assert pipeline.parse_pipeline(pipeline.format_pipeline(message)) == message


@pytest.mark.parametrize("path", sorted(base_configs.folder("pipelines").glob("*.config")), ids=lambda path: path.stem)
def test_base_files_round_trip(path):
    message = pipeline.read_pipeline(path)
    assert pipeline.parse_pipeline(pipeline.format_pipeline(message)) == message


def test_published_configs_round_trip():
    paths = sorted(shared("odapi_parity").rglob("*.config"))
    assert paths
    for path in paths:
        message = pipeline.read_pipeline(path)
        assert message.model.WhichOneof("model"), path
        assert pipeline.parse_pipeline(pipeline.format_pipeline(message)) == message, path


def test_writes_a_file_that_reads_equal(tmp_path):
    message = pipeline.parse_pipeline(SMALL)
    pipeline.write_pipeline(tmp_path / "pipeline.config", message)
    assert pipeline.read_pipeline(tmp_path) == message
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.config"]


def test_non_ascii_paths_stay_readable(tmp_path):
    message = pipeline.new_pipeline()
    message.train_input_reader.label_map_path = "/데이터/größe.pbtxt"
    pipeline.write_pipeline(tmp_path / "a.config", message)
    assert "/데이터/größe.pbtxt" in (tmp_path / "a.config").read_text(encoding="utf-8")
    assert pipeline.read_pipeline(tmp_path / "a.config") == message


def test_byte_order_mark_is_ignored(tmp_path):
    (tmp_path / "a.config").write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert pipeline.read_pipeline(tmp_path / "a.config").train_config.batch_size == 4


def test_misspelt_field_is_reported_with_line_and_suggestion():
    error = error_of("model {\n  ssd {\n    num_clases: 3\n  }\n}\n")
    assert error.what.startswith("my.config:3:")
    assert "num_clases" in error.what
    assert error.fix == "did you mean num_classes?"


def test_field_in_the_wrong_block_is_reported_with_its_owners():
    error = error_of("model {\n  ssd {\n    batch_size: 3\n  }\n}\n")
    assert "EvalConfig, TrainConfig" in error.fix
    assert "num_classes" in error.expected


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\nmodel { ssd { num_classes: x } }", 2, "integer"),
        ("train_config {\n batch_size: -1 }", 2, "out of range"),
        ("train_config {\n\n batch_size: 1 batch_size: 2 }", 3, "multiple"),
        ("model { ssd {} faster_rcnn {} }", 1, "oneof"),
        ("model {\n ssd {", 2, "}"),
        ("model { }\n}\n", 2, "}"),
        ("train_config { add_regularization_loss: yes }", 1, "true"),
        ("train_config { [some.extension] { } }", 1, "extension"),
    ],
)
def test_other_errors_name_their_line(text, line, words):
    error = error_of(text)
    assert error.what.startswith(f"my.config:{line}:")
    assert words in str(error)


def test_misspelt_enum_value_lists_the_values():
    error = error_of("model { ssd { feature_extractor { conv_hyperparams { activation: RELU6 } } } }")
    assert error.expected == "one of NONE, RELU, RELU_6, SWISH"
    assert error.fix == "did you mean RELU_6?"


def test_curly_quotes_are_explained():
    error = error_of("train_config {\n fine_tune_checkpoint: \u201cckpt-0\u201d\n}")
    assert "my.config:2: curly quotes" in error.what


@pytest.mark.parametrize("path", [r"C:\workspace\training_demo", r"C:\new\a", r"D:\data\2019\x", r"C:\xyz\users"])
def test_windows_paths_with_single_backslashes_are_explained(path):
    error = error_of(f'\ntrain_input_reader {{\n label_map_path: "{path}"\n}}')
    assert error.what.startswith("my.config:3:")
    assert "/" in error.fix and "backslash" in error.fix


def test_windows_paths_with_double_backslashes_or_slashes_are_fine():
    text = r'train_input_reader { label_map_path: "C:\\training\\a.pbtxt" }'
    assert pipeline.parse_pipeline(text).train_input_reader.label_map_path == "C:\\training\\a.pbtxt"


def test_removed_field_is_ignored_with_a_warning(capsys):
    text = 'model { ssd { feature_extractor {\n type: "ssd_mobilenet_v1"\n batch_norm_trainable: true } } }'
    message = pipeline.parse_pipeline(text, "old.config")
    assert message.model.ssd.feature_extractor.type == "ssd_mobilenet_v1"
    assert "old.config:3: batch_norm_trainable is ignored" in capsys.readouterr().err


def test_renamed_field_is_read():
    text = "model { center_net { deepmac_mask_estimation { color_consistency_dilation: 3 } } }"
    message = pipeline.parse_pipeline(text)
    assert message.model.center_net.deepmac_mask_estimation.feature_consistency_dilation == 3


def test_missing_file_and_binary_file(tmp_path):
    with pytest.raises(errors.ConfigError, match="none.config: does not exist"):
        pipeline.read_pipeline(tmp_path / "none.config")
    (tmp_path / "model.pb").write_bytes(bytes(range(256)))
    with pytest.raises(errors.ConfigError, match="not UTF-8"):
        pipeline.read_pipeline(tmp_path / "model.pb")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "classification"),
        ({"from_detection_checkpoint": True}, "detection"),
        ({"fine_tune_checkpoint_type": "full"}, "full"),
        ({"fine_tune_checkpoint_type": "detection", "load_all_detection_checkpoint_vars": True}, "full"),
        ({"from_detection_checkpoint": True, "load_all_detection_checkpoint_vars": True}, "full"),
        ({"load_all_detection_checkpoint_vars": True}, "classification"),
        ({"fine_tune_checkpoint_type": "classification", "from_detection_checkpoint": True}, "classification"),
    ],
)
def test_checkpoint_type_of_old_and_new_files(fields, kind):
    message = pipeline.new_pipeline()
    for name, value in fields.items():
        setattr(message.train_config, name, value)
    assert pipeline.fine_tune_checkpoint_type(message.train_config) == kind


def test_unknown_checkpoint_type_is_an_error():
    message = pipeline.new_pipeline()
    message.train_config.fine_tune_checkpoint_type = "detektion"
    with pytest.raises(errors.ConfigError, match="classification or detection or full"):
        pipeline.fine_tune_checkpoint_type(message.train_config)


def test_walk_strings_finds_nested_and_repeated_ones():
    message = pipeline.parse_pipeline(
        'eval_input_reader { label_map_path: "a" tf_record_input_reader { input_path: "b" input_path: "c" } }'
    )
    assert dict(pipeline.walk_strings(message)) == {
        "eval_input_reader[0].label_map_path": "a",
        "eval_input_reader[0].tf_record_input_reader.input_path[0]": "b",
        "eval_input_reader[0].tf_record_input_reader.input_path[1]": "c",
    }


def test_folder_without_a_config_names_the_file(tmp_path):
    with pytest.raises(errors.ConfigError, match="pipeline.config"):
        pipeline.read_pipeline(pathlib.Path(tmp_path))


@pytest.mark.parametrize("place", ["training/best", "training", "."])
def test_the_configuration_of_checkpoints_is_in_their_folder_or_around_it(tmp_path, monkeypatch, place):
    (tmp_path / "training/best").mkdir(parents=True)
    checkpoints = tmp_path / "training/best"
    with pytest.raises(errors.ConfigError, match="no pipeline.config in this folder or around it"):
        pipeline.find_pipeline(checkpoints / "deep/deeper")
    path = tmp_path / place / "pipeline.config"
    path.write_text("")
    assert pipeline.find_pipeline(checkpoints).resolve() == path
    monkeypatch.chdir(checkpoints)
    assert pipeline.find_pipeline(".").resolve() == path


def test_the_nearest_configuration_is_taken(tmp_path):
    (tmp_path / "training").mkdir()
    for folder in (tmp_path, tmp_path / "training"):
        (folder / "pipeline.config").write_text("")
    assert pipeline.find_pipeline(tmp_path / "training") == tmp_path / "training/pipeline.config"
    assert pipeline.find_pipeline(tmp_path / "training/ckpt-3") == tmp_path / "training/pipeline.config"
