"""Rounds that relabel what nobody has looked at; see `made_up_rounds`."""

import pytest

from tests.active_learning.adoption.test_class_worth import worth
from tests.active_learning.made_up_rounds import NAMES, Killed, Oracle, World
from tfodhelper import errors, sheets
from tfodhelper.active_learning import answers, growing_set, relabelling, rounds, standing
from tfodhelper.active_learning.adoption import class_worth
from tfodhelper.active_learning.pool import predictions
from tfodhelper.active_learning.report import law_tables, reporting, round_facts
from tfodhelper.active_learning.selection import select


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


def test_each_round_relabels_what_nobody_has_seen_and_the_budget_is_that_of_new_images(world, capsys):
    world.oracle.seen = set(NAMES[:3])
    for _ in range(3):
        assert world.run() == rounds.DONE
        chosen = [each.name for each in select.read_selection(world.space.rounds()[-1].folder).chosen]
        assert world.oracle.asked[-1][:2] == chosen  # new ones first
    first, second, third = world.oracle.asked
    assert len(first) == 2
    assert set(second[2:]) == set(first) - world.oracle.seen
    assert set(third[2:]) == set(first + second[:2]) - world.oracle.seen
    assert sorted(world.space.adopted()) == NAMES
    rounds_of = world.space.adopted()
    expected = {name: rounds_of[name] if name in world.oracle.seen else 3 for name in NAMES}
    assert world.set() == world.boxes() == expected
    said = capsys.readouterr().out
    assert f"relabelled: {len(third) - 2} adopted image" in said and f"{len(third) - 2} relabelled" in said


def test_it_is_off_unless_asked_for(world):
    world.changes = {"selection": {"budget": 2}}
    world.run(2)
    assert [len(asked) for asked in world.oracle.asked] == [2, 2]
    for round_ in world.space.rounds():
        assert not round_.options.relabel
        assert not round_.relabelled_path.exists() and not round_.adopted_predictions_dir.exists()
    assert world.set() == world.boxes() == world.space.adopted()


def test_a_refused_image_goes_back_to_the_pool_and_may_be_adopted_again(world, capsys):
    world.run()
    refused, kept = sorted(world.space.adopted())
    world.oracle.refused = {refused}
    world.run()
    said = capsys.readouterr().out
    assert "relabelled: 1 adopted image gets new boxes, 1 goes back to the pool" in said
    assert "1 x not confirmed" in said and "1 relabelled, 1 back in the pool" in said
    assert refused not in world.set() and world.set() == world.boxes() and world.boxes()[kept] == 2
    assert not list(world.space.set_dir.glob(f"{refused.removesuffix('.jpg')}*"))
    assert refused in {image.name for image in world.space.open_pool()}
    world.oracle.refused = set()
    world.changes["selection"] = {"budget": 4}
    world.run()
    assert world.space.standing()[refused] == standing.Standing(3, 3, True) and world.set()[refused] == 3


def test_the_trial_is_held_against_the_former_boxes(world):
    world.run()
    first = set(world.boxes())
    refused = min(first)
    world.oracle.refused = {refused}
    world.values = {"003/training": 0.3, "003/control": 0.4}
    world.run(2)
    new = set(world.boxes()) - first
    world.run(until="train")
    (with_, without) = world.trainings[-2:]
    assert with_ == ("003/training", dict.fromkeys((first | new) - {refused}, 2))
    assert without == ("003/control", dict.fromkeys(first, 1))
    trial = world.space.rounds()[-1].state["trial"]
    assert trial | {"metric": ""} == {
        "against": "control",
        "metric": "",
        "value": 0.3,
        "other": 0.4,
        "lost": True,
        "images": 2,
        "relabelled": 2,
    }


@pytest.mark.parametrize("trial", ["without", "last"])
def test_a_lost_trial_gives_the_former_boxes_back(world, trial, capsys):
    world.changes["trial"] = trial
    world.run()
    first = set(world.boxes())
    refused = min(first)
    world.oracle.refused = {refused}
    world.values = {"003/training": 0.3, "003/control": 0.4}
    world.run(2)
    new = set(world.boxes()) - first
    world.oracle.refused = set()
    assert world.run(until="predict") == "predict"
    assert "2 relabelled images: " in capsys.readouterr().out
    third = world.space.rounds()[-1]
    assert third.has_lost and world.set() == dict.fromkeys(first, 1)
    assert world.space.labelled_names(3) == sorted(first)
    assert new <= {image.name for image in world.space.open_pool(before=3)}
    world.run()
    assert world.set() == world.boxes()
    assert {name: world.set()[name] for name in first} == dict.fromkeys(first, 3)  # relabelled by the other model
    lineage = {row["name"]: row for row in sheets.read_csv(world.space.folder / "lineage.csv")}
    assert lineage[refused]["round"] == "1" and lineage[refused]["relabelled_in"] == "3"
    other = "rounds/003/control" if trial == "without" else "rounds/002/training"
    assert lineage[refused]["model"] == f"{other}/export/best"


def test_a_won_trial_keeps_the_new_boxes_although_the_control_had_the_former_ones(world):
    world.values = {"003/training": 0.4, "003/control": 0.3}
    world.run(2)
    before = world.set()
    world.run(until="predict")
    assert world.trainings[-1][0] == "003/control" and not world.space.rounds()[-1].has_lost
    assert world.set() == before == world.boxes() and set(before.values()) == {2}


def test_a_round_with_nothing_but_relabelled_images_is_on_trial_too(world, capsys):
    world.run()
    world.oracle.refused = set(NAMES) - set(world.boxes())
    world.values = {"003/training": 0.3, "003/control": 0.4}
    world.run()
    world.run(until="train")
    trial = world.space.rounds()[-1].state["trial"]
    assert (trial["images"], trial["relabelled"], trial["lost"]) == (0, 2, True)
    said = capsys.readouterr().out
    assert "the same training without the new boxes of relabelled images" in said
    assert "learned from 2 relabelled images: " in said and "lost; they get their former boxes back" in said
    assert set(world.set().values()) == {1}


def test_from_scratch_the_last_model_is_the_control_of_relabelled_images(world):
    world.changes |= {"retrain": "scratch"}
    world.run(2)
    world.run(until="train")
    assert [run for run, _ in world.trainings][-1] == "003/training"
    assert world.space.rounds()[-1].state["trial"]["against"] == "last"


def test_from_scratch_what_a_person_relabelled_needs_a_control_of_its_own(world):
    world.changes |= {"retrain": "scratch"}
    world.run()
    world.oracle.seen = {min(world.boxes())}
    world.oracle.refused = set(NAMES) - set(world.boxes())
    world.run()
    world.run(until="train")
    run, boxes = world.trainings[-1]
    assert run == "003/control" and sorted(boxes.values()) == [1, 2]


@pytest.mark.parametrize("dies_in", ["003/training", "003/control"])
def test_killed_in_either_training_it_ends_with_the_same_set(world, dies_in):
    world.values = {"003/training": 0.3, "003/control": 0.4}
    world.run(2)
    world.dies_in = dies_in
    with pytest.raises(Killed):
        world.run()
    expected = {"003/training": 2, "003/control": 1}
    assert set(world.trainings[-1][1].values()) == {expected[dies_in]}
    world.run(until="predict")
    for run, boxes in world.trainings[-2:]:  # the training is looked at again, with the boxes that it had
        assert set(boxes.values()) == {expected[run]}
    assert set(world.set().values()) == {1}


@pytest.mark.parametrize("after", range(5))
def test_killed_while_it_merges_it_ends_with_the_same_set(world, monkeypatch, after):
    world.run()
    world.oracle.refused = {min(world.boxes())}
    calls = []

    def dying(function):
        def call(*given):
            calls.append(given)
            if len(calls) == after + 1:
                raise Killed
            return function(*given)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(growing_set, "add", dying(growing_set.add))
        patched.setattr(growing_set, "remove", dying(growing_set.remove))
        patched.setattr(relabelling, "merge", dying(relabelling.merge))
        with pytest.raises(Killed):
            world.run()
    assert set(world.boxes().values()) == {1}  # nothing is adopted yet
    world.run()
    assert world.set() == world.boxes()
    assert len(world.boxes()) == 3 and set(world.boxes().values()) == {2}
    assert len(world.oracle.asked) == 2  # its answers are in the round


def test_killed_between_the_two_files_of_answers_it_asks_again(world, monkeypatch):
    world.run()
    with monkeypatch.context() as patched:
        real = answers.write_answers

        def write(path, given, add=None):
            if path.name == "answers.jsonl":
                raise Killed
            return real(path, given, add)

        patched.setattr(answers, "write_answers", write)
        with pytest.raises(Killed):
            world.run()
    assert world.space.rounds()[-1].relabelled_path.exists() and set(world.boxes().values()) == {1}
    world.run()
    assert len(world.oracle.asked) == 3 and world.set() == world.boxes() and set(world.boxes().values()) == {2}


def test_a_class_that_is_not_worth_it_leaves_the_former_boxes(world, capsys):
    world.run()
    first = set(world.boxes())
    world.worths = [worth(26, 100, "cat")]
    world.run()
    said = capsys.readouterr().out
    assert "relabelled: 0 adopted images get new boxes, 2 keep their former boxes" in said
    round_ = world.space.rounds()[-1]
    assert world.set() == world.boxes() == dict.fromkeys(first, 1)
    assert round_.state["held_back"] == 2  # of the pool alone
    listed = {row["name"] for row in sheets.read_csv(round_.folder / class_worth.CONFIRMED)}
    assert len(listed) == 2 and not listed & first


def test_the_same_boxes_again_change_nothing_and_are_not_on_trial(world, capsys):
    world.run()
    first = dict(world.boxes())
    world.side = 1
    world.oracle.refused = set(NAMES) - set(first)
    world.run()
    assert "relabelled: 0 adopted images get new boxes, 2 keep their former boxes" in capsys.readouterr().out
    assert world.boxes() == first
    world.run(until="train")
    assert world.trainings[-1][0] == "003/training" and "trial" not in world.space.rounds()[-1].state


def test_another_oracle_is_not_asked_about_them(world, capsys):
    world.run()
    first = set(world.boxes())
    world.oracle = Oracle("another")
    world.run()
    assert not first & set(world.oracle.asked[-1])
    assert "2 adopted images keep their boxes: they are not those of the oracle another" in capsys.readouterr().out
    assert {name: world.boxes()[name] for name in first} == dict.fromkeys(first, 1)
    assert not world.space.rounds()[-1].relabelled_path.exists()


def test_an_image_that_can_no_longer_be_read_keeps_its_boxes(world, capsys):
    world.run()
    first = sorted(world.boxes())
    world.run(until="ask")
    (world.space.folder.parent / "photos" / first[0]).unlink()
    world.run()
    assert "it keeps its former boxes" in capsys.readouterr().err
    assert world.boxes()[first[0]] == 1 and world.boxes()[first[1]] == 2
    names = {answer.name for answer in standing.read_relabelled(world.space.rounds()[-1])}
    assert names == {first[1]}


def test_boxes_that_must_be_exchanged_need_their_image(world):
    world.run(2)
    lost = min(name for name, image in world.space.standing().items() if image.is_relabelled)
    (world.space.folder.parent / "photos" / lost).unlink()
    with pytest.raises(errors.DatasetError, match="can no longer be read(.|\n)*put the image back"):
        world.run(until="train")


def test_the_setting_cannot_change_once_the_pool_is_predicted(world):
    world.changes = {"selection": {"budget": 2}}
    world.run(until="predict")
    world.changes = {"relabel": True}
    with pytest.raises(errors.UsageError, match="relabel: round 1 has begun with different settings"):
        world.run()


def test_status_and_report_count_relabelled_images(world, capsys):
    world.run()
    refused = min(world.boxes())
    world.oracle.refused = {refused}
    world.run()
    capsys.readouterr()
    reporting.say_status(world.space.folder)
    said = " ".join(capsys.readouterr().out.split())
    assert "adopted since 3 of these relabelled 1" in said and "boxes of adopted images" in said
    assert "1 finished 1 0 2 finished 2 1" in said.replace("-", "").replace("  ", " ")
    facts = round_facts.read_rounds(world.space.folder)
    assert facts[0].relabelled is None
    changed = facts[1].relabelled
    assert (changed.renewed, changed.returned) == (1, 1)
    assert (changed.change.images, changed.change.boxes) == (-1, -1)
    assert changed.change.images_of_class == {"cat": -1, "dog": 0} == changed.change.boxes_of_class
    names = round_facts.read_class_names(world.space.folder)
    assert law_tables.show_relabelled(facts, names).rows == (("2", "1", "1", "-1"),)
    folder = world.space.folder / "report"
    folder.mkdir(exist_ok=True)
    assert law_tables.write_tables(folder, facts, names)[-1] == folder / "relabelled.csv"
    (row,) = sheets.read_csv(folder / "relabelled.csv", law_tables.RELABEL_HEADER)
    assert list(row.values()) == ["2", "1", "1", "-1"]
    law_tables.write_tables(folder, facts[:1], names)
    assert not (folder / "relabelled.csv").exists()


def test_shares_of_the_pool_predict_adopted_images_too(world):
    world.run()
    world.run(until="train")
    rounds.predict_share(world.space.folder, (1, 2))
    round_ = world.space.rounds()[-1]
    predicted = {each.name for each in predictions.read_predictions(round_.adopted_predictions_dir)}
    assert predicted == set(world.boxes())
