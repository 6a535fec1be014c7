"""Settings that the version before options dataclasses stored (commit f677f88, which wrote RUN and WORKSPACE).

They contain "allow_unhonoured", which is called "ignore_unsupported_fields" today.
"""

import copy
import json

import pytest

from tests.active_learning import rounds_on_disk as disk
from tfodhelper import errors, run_options
from tfodhelper.active_learning import round_settings, workspace
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.cli import active_flags, active_init, flagging, option_flags
from tfodhelper.cli import run as run_verb
from tfodhelper.options import rename_former

RUN_FLAGS = ("--data_dir=/photos", "--model=ssd_mobilenet_v1", "--set=train_config.batch_size=4", "--num_steps=40")
RUN_FLAGS += ("--label_map=/photos/map.pbtxt", "--negatives=0.1", "--strategy=cpu", "--allow_unhonoured")
RUN = {
    "data": {
        "data_dir": "/photos",
        "image_dir": None,
        "annotation_dir": None,
        "train_list": None,
        "val_list": None,
        "label_map": "/photos/map.pbtxt",
        "val_fraction": 0.2,
        "test_list": None,
        "test_fraction": 0.0,
        "fold": None,
        "group_by": None,
        "group_near_duplicates": False,
        "validate": "full",
        "num_workers": 0,
        "strict": False,
        "swap_inverted": False,
        "drop_unknown_classes": False,
        "num_shards": 0,
    },
    "model": "ssd_mobilenet_v1",
    "pipeline_config_path": None,
    "num_steps": 40,
    "batch_size": None,
    "learning_rate": None,
    "fine_tune_checkpoint": "zoo",
    "overrides": ["train_config.batch_size=4"],
    "eval_every": None,
    "checkpoint_every": None,
    "seed": 0,
    "sampling": "base",
    "negatives": 0.1,
    "allow_unhonoured": True,
}
INIT_FLAGS = ("--workspace=w", "--data_dir=/photos", "--model=ssd_mobilenet_v1", "--fine_tune_checkpoint=none")
INIT_FLAGS += ("--set=train_config.batch_size=4", "--oracle=labelimg", "--review_images=copy", "--cache_dir=/cache")
INIT_FLAGS += ("--allow_unhonoured",)
WORKSPACE = {
    "training": {
        "model": "ssd_mobilenet_v1",
        "pipeline_config_path": None,
        "num_steps": None,
        "batch_size": None,
        "learning_rate": None,
        "fine_tune_checkpoint": "none",
        "overrides": ["train_config.batch_size=4"],
        "eval_every": None,
        "checkpoint_every": None,
        "sampling": "base",
        "negatives": None,
        "strategy": "auto",
        "tpu_address": None,
        "cache_dir": "/cache",
        "allow_unhonoured": True,
    },
    "retrain": "continue",
    "prediction": {"batch_size": 8, "score_threshold": 0.05},
    "selection": {
        "rule": "auto",
        "aggregate": "sum",
        "uncertainty": "dcus",
        "budget": 100,
        "budget_unit": "images",
        "class_balance": 0.0,
    },
    "oracle": {"name": "labelimg", "review_images": "copy"},
    "seed": 0,
}


def parsed(verb, argv):
    fv = flagging.make_flag_values(verb)
    flagging.parse(fv, list(argv))
    return fv


def read_run_options(*argv):
    return option_flags.read_options(parsed(run_verb, [*RUN_FLAGS, *argv]), run_options.RunOptions)


def renamed(settings):
    return rename_former(run_options.RunOptions, settings)


def choose(options):
    return run_options.choose_folder(options, run_options.settings_of(options))


def write_run(folder, settings):
    folder.mkdir(parents=True)
    state = {
        "settings": settings,
        "phases": {"convert": {"seconds": 3.0}, "config": {"seconds": 0.1}},
        "finished": False,
    }
    (folder / "run.json").write_text(json.dumps(state, indent=2), encoding="utf-8")
    return folder


def test_the_same_flags_store_the_same_settings_under_the_new_name():
    settings, former = run_options.settings_of(read_run_options()), renamed(RUN)
    assert settings == run_options.read_settings(RUN)
    of_then = {name: value for name, value in settings.items() if name in former}
    of_then["data"] = {name: value for name, value in settings["data"].items() if name in former["data"]}
    assert of_then == former != RUN
    settings = active_flags.read_settings(parsed(active_init, INIT_FLAGS))
    parts = {"training": renamed(WORKSPACE["training"]), "prediction": WORKSPACE["prediction"]}
    of_then = {
        part: {name: value for name, value in settings[part].items() if name in former}
        for part, former in parts.items()
    }
    settings = {name: value for name, value in settings.items() if name in WORKSPACE}
    assert settings | of_then == WORKSPACE | parts


@pytest.mark.parametrize("name", ["allow_unhonoured", "ignore_unsupported_fields"])
def test_an_interrupted_run_is_found_by_its_former_flags_and_by_the_new_one(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    folder = write_run(tmp_path / "runs" / "ssd_mobilenet_v1", RUN)
    argv = [f"--no{name}", f"--{name}"]
    assert choose(read_run_options(*argv)).resolve() == folder
    assert choose(read_run_options(*argv, f"--output_dir={folder}")) == folder
    assert choose(read_run_options(f"--no{name}")).name == "ssd_mobilenet_v1-2"
    with pytest.raises(errors.UsageError, match="holds a run with other settings") as caught:
        choose(read_run_options(f"--no{name}", f"--output_dir={folder}"))
    assert caught.value.expected == "ignore_unsupported_fields=True"
    assert caught.value.received == "ignore_unsupported_fields=False"


@pytest.mark.parametrize(
    ("argument", "expected"),
    [("--val_fraction=0.5", "val_fraction=0.2"), ("--negatives=0.2", "negatives=0.1"), ("--strict", "strict=False")],
)
def test_a_setting_that_differs_is_named_alone(tmp_path, argument, expected):
    folder = write_run(tmp_path / "run", RUN)
    with pytest.raises(errors.UsageError) as caught:
        choose(read_run_options(argument, f"--output_dir={folder}"))
    assert caught.value.expected == expected


@pytest.mark.parametrize("arguments", ["--strategy=gpu", "--cache_dir=elsewhere", "--strategy=tpu --tpu_address=local"])
def test_what_may_change_does_not_count(tmp_path, arguments):
    folder = write_run(tmp_path / "run", RUN)
    assert choose(read_run_options(*arguments.split(), f"--output_dir={folder}")) == folder


def test_an_option_that_did_not_exist_then_had_its_default(tmp_path):
    settings = copy.deepcopy(RUN)
    del settings["sampling"], settings["data"]["test_fraction"]
    folder = write_run(tmp_path / "run", settings)
    assert choose(read_run_options(f"--output_dir={folder}")) == folder
    with pytest.raises(errors.UsageError, match="sampling='base'"):
        choose(read_run_options("--sampling=random", f"--output_dir={folder}"))


def test_an_option_that_is_not_known_here_is_not_passed_over(tmp_path):
    folder = write_run(tmp_path / "run", RUN | {"warm_up": 3})
    with pytest.raises(errors.UsageError, match="warm_up=3"):
        choose(read_run_options(f"--output_dir={folder}"))


def test_a_relative_path_is_the_same_as_its_absolute_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_run(tmp_path / "run", RUN | {"data": RUN["data"] | {"data_dir": f"{tmp_path}/x/../photos"}})
    assert choose(read_run_options("--data_dir=photos", f"--output_dir={folder}")) == folder
    assert choose(read_run_options("--data_dir=../" + tmp_path.name + "/photos/", f"--output_dir={folder}")) == folder


def test_the_training_of_a_round_is_resumed(tmp_path):
    """Rounds named five settings of the data; all others were those of `convert`."""
    data = {"data_dir": "/w/set", "train_list": "/w/train.txt", "val_list": "/w/val.txt", "label_map": "/w/map.pbtxt"}
    stored = {**RUN, "data": data | {"validate": "header"}}
    folder = write_run(tmp_path / "run", stored)
    given = option_flags.read_given(parsed(run_verb, RUN_FLAGS), run_options.RunOptions) | data
    options = run_options.RunOptions(**given, validate="header", output_dir=folder)
    assert choose(options) == folder
    del stored["data"]["validate"]  # as a program may have left it out
    (folder / "run.json").write_text(
        json.dumps({"settings": stored, "phases": {}, "finished": False}), encoding="utf-8"
    )
    assert choose(options) == folder


@pytest.fixture
def space(tmp_path):
    disk.start(tmp_path / "w", ["cat"])
    (tmp_path / "w" / workspace.NAME).write_text(json.dumps({"format": 1, "settings": WORKSPACE}), encoding="utf-8")
    return workspace.Workspace(tmp_path / "w")


def begin_former_round(space):
    folder = space.folder / "rounds" / "001"
    (folder / "training" / "checkpoints").mkdir(parents=True)
    (folder / "training" / "checkpoints" / "ckpt-3.index").touch()
    state = {"number": 1, "settings": WORKSPACE, "phases": {}}
    (folder / "round.json").write_text(json.dumps(state), encoding="utf-8")


def current(space, changes=None):
    return round_settings.current_round(space, changes, label_maps.read_label_map(space.label_map))


def test_a_workspace_is_read_under_the_new_name(space):
    assert space.settings == WORKSPACE | {"training": renamed(WORKSPACE["training"])}
    begun = current(space)
    options = run_options.RunOptions(data_dir="x", **begun.settings["training"])
    assert options.ignore_unsupported_fields and options.overrides == ("train_config.batch_size=4",)


def test_a_round_that_began_then_is_resumed(space):
    begin_former_round(space)
    assert current(space).number == 1
    assert current(space).settings == space.settings
    assert current(space, {"training": {"ignore_unsupported_fields": True}}).settings == space.settings
    with pytest.raises(errors.UsageError, match="training: round 1 has begun with different settings") as caught:
        current(space, {"training": {"ignore_unsupported_fields": False}})
    assert caught.value.expected == "{'ignore_unsupported_fields': True}"


def test_a_setting_that_a_round_did_not_know_had_its_default(space):
    settings = copy.deepcopy(WORKSPACE)
    del settings["training"]["sampling"]
    begin_former_round(space)
    path = space.folder / "rounds" / "001" / "round.json"
    path.write_text(json.dumps({"number": 1, "settings": settings, "phases": {}}), encoding="utf-8")
    assert current(space, {"training": {"sampling": "base"}}).number == 1
    with pytest.raises(errors.UsageError, match="training: round 1 has begun with different settings"):
        current(space, {"training": {"sampling": "random"}})
