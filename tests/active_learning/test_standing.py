"""Which answer counts for each image after rounds that adopt, relabel and lose, on answers written by hand."""

import dataclasses

import pytest

from tests.active_learning import rounds_on_disk as disk
from tfodhelper import sheets
from tfodhelper.active_learning import answers, standing
from tfodhelper.active_learning.standing import Standing
from tfodhelper.active_learning.structures import Edits

POOL = [(f"pool/{name}.jpg", f"/photos/{name}.jpg") for name in "abcdef"]
A, B, C, D, E, F = (name for name, _ in POOL)


def unseen(name, *labels, score=0.9):
    labels = labels or ("cat",)
    return disk.adopted(name, list(labels), scores=[score] * len(labels))


def seen(name):
    return disk.adopted(name, ["cat"], Edits(kept=1), [0.9])


def add_round(space, number, adopts=(), relabels=None, lost=False):
    """A finished round; `lost` is whether it lost its trial, by which the round before it is undone."""
    round_ = space.begin_round(number, disk.SETTINGS)
    disk.add_answers(round_, adopts)
    if relabels is not None:
        answers.write_answers(round_.relabelled_path, relabels)
    round_.state["oracle"] = f"oracle {number}"
    if lost:
        round_.state["trial"] = {
            "against": "last",
            "metric": "m",
            "value": 0.1,
            "other": 0.2,
            "lost": True,
            "images": 1,
        }
        round_.state["continues_with"] = f"rounds/{number - 1:03d}/training"
    disk.finish(round_, train=1.0, predict=1.0, select=1.0, ask=1.0, merge=1.0)
    return round_


@pytest.fixture
def space(tmp_path):
    """Round 1 adopts A and B unseen, C by a person; round 2 gives A new boxes, refuses B and adopts D."""
    space = disk.start(tmp_path / "w", ["cat", "dog"], POOL)
    add_round(space, 1, [unseen(A), unseen(B), seen(C)])
    add_round(space, 2, [unseen(D)], [unseen(A, "cat", "dog", score=0.8), disk.refused(B, "another class")])
    return space


def boxes_in(space, standings):
    """{name: class names of its boxes}."""
    found = standing.read(space.rounds(), standings)
    return {answer.name: [box.name for box in answer.annotation.boxes] for answer, _ in found}


def test_the_newest_answer_counts_and_what_is_refused_is_in_the_pool(space):
    assert space.standing() == {A: Standing(1, 2, True), C: Standing(1, 1, False), D: Standing(2, 2, True)}
    assert space.adopted() == {A: 1, C: 1, D: 2}
    assert boxes_in(space, space.standing()) == {A: ["cat", "dog"], C: ["cat"], D: ["cat"]}
    assert [image.name for image in space.open_pool()] == [B, E, F]
    assert [image.name for image in space.open_pool(before=2)] == [D, E, F]  # of round 2 itself
    assert space.training_names(3) == [A, C, D] and space.training_names(2) == [A, B, C]


def test_what_a_round_is_the_first_to_learn(space):
    assert (space.on_trial(2), space.relabelled(2)) == ({A, B}, set())
    assert (space.on_trial(3), space.relabelled(3)) == ({D}, {A, B})
    assert space.standing_in_training(3) == space.standing()
    control = space.standing_in_control(3)
    assert control == {A: Standing(1, 1, True), B: Standing(1, 1, True), C: Standing(1, 1, False)}
    assert boxes_in(space, control) == {A: ["cat"], B: ["cat"], C: ["cat"]}


def test_a_lost_trial_brings_the_former_boxes_and_the_refused_image_back(space):
    add_round(space, 3, [unseen(E)], [unseen(B, "dog")], lost=True)
    assert space.standing(before=3) == {A: Standing(1, 1, True), B: Standing(1, 1, True), C: Standing(1, 1, False)}
    assert space.labelled_names(3) == [A, B, C]
    assert space.training_names(3) == [A, C, D]  # what it was trained on stays what it was
    assert [image.name for image in space.open_pool(before=3)] == [D, E, F]
    assert space.standing()[B] == Standing(1, 3, True)  # its model relabelled again
    assert boxes_in(space, space.standing())[A] == ["cat"]


def test_a_relabelling_that_lost_leaves_later_ones_alone(space):
    add_round(space, 3, (), [unseen(A, "dog")], lost=True)
    add_round(space, 4, (), [unseen(A, "dog", "dog")], lost=True)
    add_round(space, 5)
    assert space.standing()[A] == Standing(1, 4, True)
    assert space.standing(before=4)[A] == Standing(1, 1, True)
    assert boxes_in(space, space.standing())[A] == ["dog", "dog"]


def test_an_image_may_be_refused_and_adopted_again(space):
    add_round(space, 3, [unseen(B, "dog")])
    assert space.standing()[B] == Standing(3, 3, True)
    add_round(space, 4, lost=True)
    assert B not in space.standing()


def test_what_a_person_answered_about_a_relabelled_image_is_not_undone(space):
    by_person = dataclasses.replace(unseen(A, "dog"), edits=Edits(relabelled=1))
    add_round(space, 3, (), [by_person, unseen(D, "dog")])
    assert space.relabelled(4) == {D}
    add_round(space, 4, lost=True)
    assert space.standing()[A] == Standing(1, 3, False) and space.standing()[D] == Standing(2, 2, True)


def test_answers_of_a_round_that_is_not_finished_do_not_count(space):
    round_ = space.begin_round(3, disk.SETTINGS)
    answers.write_answers(round_.relabelled_path, [disk.refused(A, "no")])
    disk.add_answers(round_, [unseen(E)])
    disk.finish(round_, train=1.0, predict=1.0, select=1.0, ask=1.0)
    assert set(space.standing()) == {A, C, D}


def test_the_lineage_says_which_round_adopted_an_image_and_which_one_drew_its_boxes(space):
    space.write_lineage()
    rows = {row["name"]: row for row in sheets.read_csv(space.folder / "lineage.csv")}
    columns = ("round", "model", "oracle", "boxes", "best_score", "relabelled_in")
    assert [rows[A][column] for column in columns] == [
        *("1", "rounds/002/training/export/best", "oracle 2", "2", "0.8000", "2"),
    ]
    assert [rows[C][column] for column in columns] == [
        *("1", "rounds/001/training/export/best", "oracle 1", "1", "0.9000", ""),
    ]
    assert list(rows) == [C, A, D]  # by round
