"""Settings of a round: which may change when, and what is refused before any work."""

import copy
import json
import shutil

import pytest

from tests.active_learning import rounds_on_disk as disk
from tfodhelper import errors
from tfodhelper.active_learning import round_settings, workspace
from tfodhelper.annotations import label_map as label_maps

SETTINGS = {
    "training": {"model": "ssd", "num_steps": 5, "batch_size": 8, "strategy": "auto"},
    "retrain": "continue",
    "prediction": {"batch_size": 8},
    "selection": {"rule": "random", "budget": 4},
    "oracle": {"name": "labelimg"},
    "seed": 0,
}


@pytest.fixture
def space(tmp_path):
    disk.start(tmp_path / "w", ["cat"])
    workspace.write_new(tmp_path / "w", SETTINGS)
    return workspace.Workspace(tmp_path / "w")


def current(space, changed=None, **more):
    return round_settings.current_round(space, changed, label_maps.read_label_map(space.label_map), **more)


def begin_training(space, num_checkpoints):
    round_ = current(space)
    (round_.training_dir / "checkpoints").mkdir(parents=True)
    state = {"settings": {"data": {"data_dir": str(space.set_dir.absolute())}}, "phases": {}, "finished": False}
    (round_.training_dir / "run.json").write_text(json.dumps(state))
    for step in range(num_checkpoints):
        (round_.training_dir / "checkpoints" / f"ckpt-{step}.index").touch()
    return round_


def test_a_round_whose_training_failed_before_it_learned_can_be_corrected(space):
    begin_training(space, 0)
    round_ = current(space, {"training": {"batch_size": 2}})
    assert round_.settings["training"] == SETTINGS["training"] | {"batch_size": 2}
    assert not round_.training_dir.exists()
    assert current(space).settings == round_.settings


def test_what_was_learned_is_not_thrown_away(space):
    round_ = begin_training(space, 1)
    with pytest.raises(errors.UsageError, match="training: round 1 has begun with different settings") as caught:
        current(space, {"training": {"batch_size": 2}})
    assert (caught.value.expected, caught.value.received) == ("{'batch_size': 8}", "{'batch_size': 2}")
    assert f"remove {round_.training_dir}" in caught.value.fix
    assert round_.training_dir.is_dir() and current(space).settings == SETTINGS
    shutil.rmtree(round_.training_dir)
    assert current(space, {"training": {"batch_size": 2}}).settings["training"]["batch_size"] == 2


@pytest.mark.parametrize("num_checkpoints", [0, 1])
def test_where_a_training_runs_may_change_at_any_time(space, num_checkpoints):
    begin_training(space, num_checkpoints)
    round_ = current(space, {"training": {"strategy": "cpu"}})
    assert round_.settings["training"]["strategy"] == "cpu"
    assert (round_.training_dir / "run.json").exists()


def test_a_finished_phase_keeps_its_settings(space):
    round_ = begin_training(space, 1)
    disk.finish(round_, train=1.0)
    round_.predictions_dir.mkdir()
    with pytest.raises(errors.UsageError, match="seed: round 1 has begun with different settings") as caught:
        current(space, {"seed": 3})
    assert "remove" not in caught.value.fix
    with pytest.raises(errors.UsageError, match="prediction: round 1 has begun with different settings") as caught:
        current(space, {"prediction": {"batch_size": 2}})
    assert f"remove {round_.predictions_dir}" in caught.value.fix
    assert current(space, {"selection": {"budget": 9}}).settings["selection"]["budget"] == 9


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"oracle": {"score_threshold": 3.0}}, "score_threshold"),
        ({"oracle": {"several_boxes": "all"}}, "no such option of the oracle labelimg: 'several_boxes'"),
        (
            {"oracle": {"name": "image_label", "truth_dir": "x"}},
            "no such option of the oracle image_label: 'truth_dir'",
        ),
        ({"oracle": {"name": "simulated"}}, "where the truth is"),
        ({"selection": {"rule": "rnd"}}, "rule=rnd"),
    ],
)
def test_invalid_settings_are_reported_before_a_round_begins(space, changed, message):
    with pytest.raises(errors.UsageError, match=message):
        current(space, changed)
    assert space.rounds() == []
    round_ = current(space)
    with pytest.raises(errors.UsageError, match=message):
        current(space, changed)
    assert current(space).settings == round_.settings == SETTINGS


def test_where_a_person_is_asked_may_change_while_the_round_waits(space):
    round_ = current(space, {"oracle": {"name": "browser", "port": 8001}})
    for phase in ("train", "predict", "select"):
        round_.finish(phase, 1.0)
    assert current(space, {"oracle": {"port": 8002}}).settings["oracle"] == {"name": "browser", "port": 8002}
    with pytest.raises(errors.UsageError, match="oracle: round 1 has begun"):
        current(space, {"oracle": {"score_threshold": 0.9}})


def test_an_option_of_another_oracle_names_that_oracle(space):
    with pytest.raises(errors.UsageError) as caught:
        current(space, {"oracle": {"several_boxes": "all"}})
    assert caught.value.fix == "leave it out: it belongs to the oracle image_label"


def test_options_of_an_earlier_oracle_do_no_harm(space):
    settings = copy.deepcopy(SETTINGS) | {"oracle": {"name": "labelimg", "review_images": "copy"}}
    workspace.write_new(space.folder, settings)
    again = workspace.Workspace(space.folder)
    assert current(again, {"oracle": {"name": "image_label"}}).settings["oracle"]["name"] == "image_label"


def test_an_oracle_of_ones_own_needs_no_settings(space):
    workspace.write_new(space.folder, SETTINGS | {"oracle": {"name": "mine"}})
    assert current(workspace.Workspace(space.folder), has_oracle=True).number == 1


@pytest.mark.parametrize("num_checkpoints", [0, 1])
def test_a_workspace_that_was_moved_during_a_training(space, tmp_path, num_checkpoints):
    begin_training(space, num_checkpoints)
    round_settings.check_not_moved(space, space.rounds()[0])
    space.folder.rename(tmp_path / "elsewhere")
    moved = workspace.Workspace(tmp_path / "elsewhere")
    (round_,) = moved.rounds()
    if num_checkpoints:
        with pytest.raises(errors.DatasetError, match="was moved or copied while round 1 was training") as caught:
            round_settings.check_not_moved(moved, round_)
        assert caught.value.expected == str(tmp_path / "w")
        assert round_.training_dir.is_dir()
    else:
        round_settings.check_not_moved(moved, round_)
        assert not round_.training_dir.exists()
