"""Settings of a round: which may change when, and what is refused before any work is done."""

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
    one = current(space)
    (one.training / "checkpoints").mkdir(parents=True)
    state = {"settings": {"data": {"data_dir": str(space.set_dir.absolute())}}, "phases": {}, "finished": False}
    (one.training / "run.json").write_text(json.dumps(state))
    for step in range(num_checkpoints):
        (one.training / "checkpoints" / f"ckpt-{step}.index").touch()
    return one


def test_a_round_whose_training_failed_before_it_learned_can_be_corrected(space):
    begin_training(space, 0)
    one = current(space, {"training": {"batch_size": 2}})
    assert one.settings["training"] == SETTINGS["training"] | {"batch_size": 2}
    assert not one.training.exists()
    assert current(space).settings == one.settings


def test_what_was_learned_is_not_thrown_away(space):
    one = begin_training(space, 1)
    with pytest.raises(errors.UsageError, match="round 1 has begun with other settings of training") as caught:
        current(space, {"training": {"batch_size": 2}})
    assert (caught.value.expected, caught.value.received) == ("{'batch_size': 8}", "{'batch_size': 2}")
    assert f"remove {one.training}" in caught.value.fix
    assert one.training.is_dir() and current(space).settings == SETTINGS
    shutil.rmtree(one.training)
    assert current(space, {"training": {"batch_size": 2}}).settings["training"]["batch_size"] == 2


@pytest.mark.parametrize("num_checkpoints", [0, 1])
def test_where_a_training_runs_may_change_at_any_time(space, num_checkpoints):
    begin_training(space, num_checkpoints)
    one = current(space, {"training": {"strategy": "cpu"}})
    assert one.settings["training"]["strategy"] == "cpu"
    assert (one.training / "run.json").exists()


def test_a_finished_phase_keeps_its_settings(space):
    one = begin_training(space, 1)
    disk.finish(one, train=1.0)
    one.predictions.mkdir()
    with pytest.raises(errors.UsageError, match="other settings of seed") as caught:
        current(space, {"seed": 3})
    assert "remove" not in caught.value.fix
    with pytest.raises(errors.UsageError, match="other settings of prediction") as caught:
        current(space, {"prediction": {"batch_size": 2}})
    assert f"remove {one.predictions}" in caught.value.fix
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
        ({"oracle": {"name": "simulated"}}, "where the truth lies"),
        ({"selection": {"rule": "rnd"}}, "rule=rnd"),
    ],
)
def test_what_cannot_be_meant_is_said_before_a_round_begins(space, changed, message):
    with pytest.raises(errors.UsageError, match=message):
        current(space, changed)
    assert space.rounds() == []
    one = current(space)
    with pytest.raises(errors.UsageError, match=message):
        current(space, changed)
    assert current(space).settings == one.settings == SETTINGS


def test_an_option_of_another_oracle_names_that_oracle(space):
    with pytest.raises(errors.UsageError) as caught:
        current(space, {"oracle": {"several_boxes": "all"}})
    assert caught.value.fix == "leave it out: it is for the oracle image_label"


def test_options_of_an_earlier_oracle_do_not_stand_in_the_way(space):
    settings = copy.deepcopy(SETTINGS) | {"oracle": {"name": "labelimg", "review_images": "copy"}}
    workspace.write_new(space.folder, settings)
    again = workspace.Workspace(space.folder)
    assert current(again, {"oracle": {"name": "image_label"}}).settings["oracle"]["name"] == "image_label"


def test_an_oracle_of_ones_own_needs_no_settings(space):
    workspace.write_new(space.folder, SETTINGS | {"oracle": {"name": "mine"}})
    assert current(workspace.Workspace(space.folder), has_oracle=True).number == 1


@pytest.mark.parametrize("num_checkpoints", [0, 1])
def test_a_workspace_that_was_moved_in_the_middle_of_a_training(space, tmp_path, num_checkpoints):
    begin_training(space, num_checkpoints)
    round_settings.check_place(space, space.rounds()[0])
    space.folder.rename(tmp_path / "elsewhere")
    moved = workspace.Workspace(tmp_path / "elsewhere")
    (one,) = moved.rounds()
    if num_checkpoints:
        with pytest.raises(errors.DatasetError, match="was moved or copied while round 1 trained") as caught:
            round_settings.check_place(moved, one)
        assert caught.value.expected == str(tmp_path / "w")
        assert one.training.is_dir()
    else:
        round_settings.check_place(moved, one)
        assert not one.training.exists()
