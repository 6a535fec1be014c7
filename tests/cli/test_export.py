import pytest

from tfodhelper import errors
from tfodhelper.cli import export, flagging, option_flags
from tfodhelper.cli import main as cli
from tfodhelper.exporting import options as export_options

CONFIG = """
model { ssd { num_classes: 2
  image_resizer { fixed_shape_resizer { height: 300 width: 300 } }
  feature_extractor { type: "ssd_mobilenet_v1_keras" conv_hyperparams {
    regularizer { l2_regularizer {} } initializer { truncated_normal_initializer {} } } }
  box_coder { faster_rcnn_box_coder {} } matcher { argmax_matcher {} } similarity_calculator { iou_similarity {} }
  box_predictor { convolutional_box_predictor { conv_hyperparams {
    regularizer { l2_regularizer {} } initializer { truncated_normal_initializer {} } } } }
  anchor_generator { ssd_anchor_generator { aspect_ratios: 1.0 } }
  loss { classification_loss { weighted_sigmoid {} } localization_loss { weighted_smooth_l1 {} } }
} }
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "pipeline.config").write_text(CONFIG)
    return tmp_path / "pipeline.config"


def _export(config, tmp_path, *flags):
    paths = [f"--trained_checkpoint_dir={tmp_path}/checkpoint", f"--output_directory={tmp_path}/out"]
    return cli.main(["export", f"--pipeline_config_path={config}", *paths, *flags])


def _options(**more):
    paths = {"pipeline_config_path": "p", "trained_checkpoint_dir": "c", "output_directory": "o"}
    return export_options.ExportOptions(**paths, **more)


@pytest.mark.parametrize("text, value", [(None, "default"), ("any", None), ("None", None), ("1", 1), ("16", 16)])
def test_batch_size(text, value):
    argv = ["--pipeline_config_path=p", "--trained_checkpoint_dir=c", "--output_directory=o"]
    fv = flagging.make_flag_values(export)
    flagging.parse(fv, argv + ([f"--batch_size={text}"] if text else []))
    assert option_flags.read_options(fv, export_options.ExportOptions).images_per_call == value
    assert _options(batch_size=int(text) if text and text.isdigit() else text and text.lower()).images_per_call == value


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many"])
def test_no_batch_size(text):
    with pytest.raises(errors.UsageError, match="any, none, or a whole number, at least 1"):
        flagging.parse(flagging.make_flag_values(export), [f"--batch_size={text}"])


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "many", "16"])
def test_no_batch_size_in_a_program(value):
    with pytest.raises(errors.UsageError, match="any, none, or a whole number, at least 1"):
        _options(batch_size=value)


def test_missing_flags_are_named(capsys):
    assert cli.main(["export"]) == 2
    said = capsys.readouterr().err
    assert "missing: --trained_checkpoint_dir, --output_directory\n" in said


def test_without_a_named_configuration_the_one_around_the_checkpoint_is_taken(config, tmp_path, capsys):
    paths = [f"--trained_checkpoint_dir={tmp_path}/checkpoint", f"--output_directory={tmp_path}/out"]
    assert cli.main(["export", *paths]) == 1
    assert f"{tmp_path}/checkpoint: no checkpoint found" in capsys.readouterr().err
    config.rename(tmp_path / "other.config")
    assert cli.main(["export", *paths]) == 1
    assert "fix: name the file with --pipeline_config_path" in capsys.readouterr().err


def test_an_unknown_input_type_lists_the_known(config, tmp_path, capsys):
    assert _export(config, tmp_path, "--input_type=image") == 2
    assert "encoded_image_string_tensor" in capsys.readouterr().err


def test_a_missing_checkpoint_is_named_and_nothing_is_written(config, tmp_path, capsys):
    assert _export(config, tmp_path) == 1
    assert f"{tmp_path}/checkpoint" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.config"]


def test_a_full_folder_is_refused(config, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    assert _export(config, tmp_path) == 1
    assert "not empty" in capsys.readouterr().err


def test_a_field_of_the_model_that_is_not_supported_stops_it(config, tmp_path, capsys):
    assert _export(config, tmp_path, "--set=model.ssd.use_confidences_as_targets=true") == 1
    assert "use_confidences_as_targets" in capsys.readouterr().err


def test_a_label_map_of_another_number_of_classes_is_warned_of(config, tmp_path, capsys):
    assert _export(config, tmp_path, "--label_map=mscoco") == 1  # there is no checkpoint
    assert "ids up to 90, but the model has 2 classes" in capsys.readouterr().err
