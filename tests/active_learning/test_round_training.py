"""Trials of rounds on hand-made run folders: what is trained, who wins, what goes back to the pool."""

import json

import pytest

from tests.active_learning import rounds_on_disk as disk
from tfodhelper.active_learning import round_training, rounds, workspace
from tfodhelper.active_learning.structures import Edits

MAP = "DetectionBoxes_Precision/mAP"
POOL = [(f"pool/{name}.jpg", f"/photos/{name}.jpg") for name in "abcd"]
UNSEEN, SEEN, NEGATIVE = "pool/a.jpg", "pool/b.jpg", "pool/c.jpg"


def evaluated(folder, value):
    """Writes what `train` reads of a finished run."""
    (folder / "checkpoints").mkdir(parents=True)
    metrics = {MAP: value, "DetectionBoxes_Precision/mAP@.50IOU": value, "Loss/total_loss": 1.0}
    record = {"step": 4, "metrics": metrics, "train": {}, "best_by": f"eval/{MAP}"}
    (folder / "checkpoints" / "evaluations.jsonl").write_text(json.dumps(record) + "\n")


@pytest.fixture
def space(tmp_path):
    """A finished round that adopted an unseen image, one that a person has seen, and one without boxes."""
    space = disk.start(tmp_path / "w", ["cat"], POOL)
    first = space.begin_round(1, disk.SETTINGS)
    (first.folder / "train.txt").write_text("")
    evaluated(first.training_dir, 0.4)
    adopted = [
        disk.adopted(UNSEEN, ["cat"], scores=[0.9]),
        disk.adopted(SEEN, ["cat"], Edits(kept=1), [0.9]),
        disk.adopted(NEGATIVE, []),
    ]
    disk.add_answers(first, adopted)
    disk.finish(first, train=1.0, predict=1.0, select=1.0, ask=1.0, merge=1.0)
    return space


def train(space, monkeypatch, values, **settings):
    """Trains round 2 in a run that reaches the given figure for each folder; returns (round, {folder: names})."""
    trained, begun_from = {}, []

    def run(options, is_part):
        assert is_part
        begun_from.append(options.fine_tune_checkpoint)
        trained[options.output_dir.name] = options.train_list.read_text().splitlines()
        if not options.output_dir.exists():
            evaluated(options.output_dir, values[options.output_dir.name])

    monkeypatch.setattr(round_training.run_folder, "run", run)
    monkeypatch.setattr(round_training, "_forget_graphs", lambda: None)
    round_ = next((each for each in space.rounds() if each.number == 2), None)
    round_ = round_ or space.begin_round(2, disk.SETTINGS | settings)
    round_training.train(space, round_)
    round_.finish("train", 1.0)
    earlier = space.rounds()[0].training_dir / "export" / "best" / "checkpoint"
    assert set(begun_from) == {"zoo" if settings.get("retrain") == "scratch" else str(earlier)}
    return round_, trained


def test_a_round_is_held_against_the_same_training_without_what_nobody_has_seen(space, monkeypatch, capsys):
    round_, trained = train(space, monkeypatch, {"training": 0.3, "control": 0.35})
    assert trained == {"training": [UNSEEN, SEEN, NEGATIVE], "control": [SEEN, NEGATIVE]}
    (again,) = [each for each in workspace.Workspace(space.folder).rounds() if each.number == 2]
    assert again.state["trial"] == {
        "against": "control",
        "metric": MAP,
        "value": 0.3,
        "other": 0.35,
        "lost": True,
        "images": 1,
    }
    assert again.run_dir == round_.control_dir and again.model_dir == round_.control_dir / "export" / "best"
    said = capsys.readouterr().out
    assert "lost; they go back to the pool, and the round continues with the other model" in said
    assert [image.name for image in space.open_pool(before=2)] == [UNSEEN, "pool/d.jpg"]
    assert set(space.adopted()) == {SEEN, NEGATIVE}
    assert space.labelled_names(2) == space.training_names(3) == [SEEN, NEGATIVE]
    assert space.training_names(2) == [UNSEEN, SEEN, NEGATIVE]  # what it was trained on stays what it was
    third = space.begin_round(3, disk.SETTINGS)
    assert round_training._before(space, third).model_dir == again.model_dir  # where the next one begins


@pytest.mark.parametrize("value, other", [(0.35, 0.3), (0.3, 0.3), (None, 0.3), (0.3, None)])
def test_a_round_that_does_not_lose_keeps_its_images(space, monkeypatch, value, other, capsys):
    round_, _ = train(space, monkeypatch, {"training": value, "control": other})
    assert not round_.has_lost and round_.run_dir == round_.training_dir
    assert set(space.adopted()) == {UNSEEN, SEEN, NEGATIVE}
    assert ("could not be compared" in capsys.readouterr().out) == (None in (value, other))


def test_a_round_against_the_last_one(space, monkeypatch):
    round_, trained = train(space, monkeypatch, {"training": 0.39}, trial="last")
    assert list(trained) == ["training"]
    assert round_.state["trial"]["against"] == "last" and round_.has_lost
    assert round_.run_dir == space.rounds()[0].training_dir
    assert round_.state["continues_with"] == "rounds/001/training"


def test_nothing_goes_back_where_that_is_turned_off(space, monkeypatch):
    round_, trained = train(space, monkeypatch, {"training": 0.0}, trial="off")
    assert list(trained) == ["training"] and "trial" not in round_.state
    assert set(space.adopted()) == {UNSEEN, SEEN, NEGATIVE}


def test_from_scratch_the_last_model_is_the_control_where_only_unseen_images_were_added(space, monkeypatch):
    first = space.rounds()[0]
    scratch = {"retrain": "scratch"}
    first.state["settings"] = disk.SETTINGS | scratch
    first.save()
    _, trained = train(space, monkeypatch, {"training": 0.5, "control": 0.3}, **scratch)
    assert list(trained) == ["training", "control"]  # a person has labelled an image as well
    second = space.rounds()[1]
    disk.add_answers(second, [disk.adopted("pool/d.jpg", ["cat"], scores=[0.9])])
    disk.finish(second, predict=1.0, select=1.0, ask=1.0, merge=1.0)
    third = space.begin_round(3, disk.SETTINGS | scratch)
    assert round_training._is_same_training(third, second, space.training_names(2))
    assert not round_training._is_same_training(third, second, space.training_names(3))


def test_without_images_on_trial_there_is_none(space, monkeypatch):
    first = space.rounds()[0]
    disk.add_answers(first, [disk.adopted(SEEN, ["cat"], Edits(kept=1), [0.9])])
    round_, trained = train(space, monkeypatch, {"training": 0.1})
    assert list(trained) == ["training"] and "trial" not in round_.state


def test_killed_during_the_second_training_it_comes_to_the_same_end(space, monkeypatch):
    with pytest.raises(KeyError):  # the second training dies
        train(space, monkeypatch, {"training": 0.3})
    assert not space.rounds()[1].has("train") and set(space.adopted()) == {UNSEEN, SEEN, NEGATIVE}
    round_, trained = train(space, monkeypatch, {"control": 0.35})
    assert round_.has_lost and trained["control"] == [SEEN, NEGATIVE]


def test_files_of_images_that_went_back_are_removed_from_the_set(space, monkeypatch, tmp_path):
    round_, _ = train(space, monkeypatch, {"training": 0.3, "control": 0.35})
    for name in (UNSEEN, SEEN):
        path = space.set_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to("/photos/x.jpg")
        path.with_suffix(".xml").write_text("")
    for _ in range(2):  # may be repeated
        rounds._take_back(space, round_)
        left = sorted(path.name for path in (space.set_dir / "pool").iterdir())
        assert left == ["b.jpg", "b.xml"]


def test_an_image_that_went_back_may_be_adopted_again(space, monkeypatch):
    round_, _ = train(space, monkeypatch, {"training": 0.3, "control": 0.35})
    disk.add_answers(round_, [disk.adopted(UNSEEN, ["cat"], scores=[0.95])])
    for each in space.rounds():
        each.state["oracle"] = "image_label"
        each.save()
    (round_,) = space.rounds()[1:]
    disk.finish(round_, predict=1.0, select=1.0, ask=1.0, merge=1.0)
    assert space.adopted() == {SEEN: 1, NEGATIVE: 1, UNSEEN: 2}
    assert space.on_trial(3) == {UNSEEN}
    rounds._take_back(space, round_)
    space.write_lineage()
    lines = (space.folder / "lineage.csv").read_text(encoding="utf-8")
    assert lines.count(UNSEEN) == 1 and "rounds/002/control/export/best" in lines


def test_the_figure_is_that_of_best_metric_but_never_one_of_the_training_set(space, monkeypatch):
    training = {"best_metric": "Loss/total_loss"}
    round_, _ = train(space, monkeypatch, {"training": 0.3, "control": 0.35}, training=training)
    assert (round_.state["trial"]["metric"], round_.has_lost) == ("Loss/total_loss", False)
