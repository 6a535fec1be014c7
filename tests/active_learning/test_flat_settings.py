"""A call from Python and a command line that say the same make the same workspace."""

import dataclasses

import pytest

from tfodhelper import errors
from tfodhelper.active_learning import flat_settings
from tfodhelper.active_learning.options import FlatOptions, InitOptions
from tfodhelper.cli import active_flags, active_init, flagging, option_flags


def from_command_line(*arguments):
    fv = flagging.make_flag_values(active_init)
    flagging.parse(fv, list(arguments))
    options = option_flags.read_options(fv, InitOptions)
    return dataclasses.replace(options, settings=active_flags.read_settings(fv))


def test_without_more_than_what_is_needed():
    expected = from_command_line("--workspace=w", "--data_dir=d", "--model=ssd_mobilenet_v1", "--oracle=labelimg")
    chosen = FlatOptions(workspace="w", data_dir="d", model="ssd_mobilenet_v1", oracle="labelimg")
    assert flat_settings.to_init_options(chosen) == expected


def test_with_an_option_of_every_part():
    expected = from_command_line(
        *("--workspace=w", "--image_dir=i", "--annotation_dir=a", "--pool_dir=p", "--val_fraction=0.3", "--seed=7"),
        *("--model=ssd_mobilenet_v1", "--fine_tune_checkpoint=none", "--num_steps=9", "--batch_size=3"),
        *("--set", "train_config.batch_size=4", "--set", "eval_config.batch_size=2", "--cache_dir=c"),
        *("--sampling=balanced", "--retrain=scratch", "--rule=margin", "--budget=5", "--budget_unit=boxes"),
        *("--predict_batch_size=2", "--predict_score_threshold=0.25", "--views=fused"),
        *("--oracle=labelimg", "--review_dir=r", "--score_threshold=0.4"),
    )
    chosen = FlatOptions(
        workspace="w",
        image_dir="i",
        annotation_dir="a",
        pool_dir="p",
        val_fraction=0.3,
        seed=7,
        model="ssd_mobilenet_v1",
        fine_tune_checkpoint="none",
        num_steps=9,
        batch_size=3,
        overrides=["train_config.batch_size=4", "eval_config.batch_size=2"],
        cache_dir="c",
        sampling="balanced",
        retrain="scratch",
        rule="margin",
        budget=5,
        budget_unit="boxes",
        predict_batch_size=2,
        predict_score_threshold=0.25,
        views="fused",
        oracle="labelimg",
        oracle_options={"review_dir": "r", "score_threshold": 0.4},
    )
    assert flat_settings.to_init_options(chosen) == expected


def test_changes_hold_what_is_given_by_part(tmp_path):
    given = {
        "num_steps": 9,
        "cache_dir": tmp_path / "cache",
        "predict_batch_size": 2,
        "budget": 3,
        "retrain": "scratch",
        "oracle_options": {"score_threshold": 0.7},
    }
    assert flat_settings.arrange(given) == {
        "training": {"num_steps": 9, "cache_dir": str(tmp_path / "cache")},
        "prediction": {"batch_size": 2},
        "selection": {"budget": 3},
        "retrain": "scratch",
        "oracle": {"score_threshold": 0.7},
    }
    assert flat_settings.arrange({}) == {}
    assert flat_settings.arrange({"oracle": "labelimg"}) == {"oracle": {"name": "labelimg"}}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_stepz": 9}, "there is no setting 'num_stepz'(.*\n)*  fix: did you mean 'num_steps'"),
        ({"data_dir": "photos"}, "there is no setting 'data_dir'"),
        ({"num_steps": -1}, "at least 0"),
        ({"rule": "best"}, "one of auto, random"),
        ({"oracle": "nobody"}, "one of image_label"),
        ({"oracle": "labelimg", "oracle_options": {"truth_dir": "t"}}, "truth_dir"),
        ({"oracle_options": {"truth_folder": "t"}}, "did you mean 'truth_dir'"),
        ({"oracle_options": {"score_threshold": 7}}, "from 0 to 1"),
    ],
)
def test_settings_that_do_not_exist_or_are_invalid(settings, message):
    with pytest.raises(errors.UsageError, match=message):
        flat_settings.arrange(settings)


def test_a_workspace_needs_an_oracle():
    with pytest.raises(errors.UsageError, match="no oracle given"):
        flat_settings.to_init_options(FlatOptions(workspace="w", data_dir="d", model="ssd_mobilenet_v1"))
