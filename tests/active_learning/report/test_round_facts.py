"""The results of the rounds of a hand-made workspace, against figures counted by hand."""

import dataclasses
import json

import pytest

from tests.active_learning import rounds_on_disk as disk
from tfodhelper import errors
from tfodhelper.active_learning.report import round_facts
from tfodhelper.active_learning.structures import Edits


def test_what_a_round_learned_from_and_was_measured_on(tmp_path):
    first, second = round_facts.read_rounds(disk.two_rounds(tmp_path).folder)
    assert first.train == round_facts.SetCounts(4, 5, {"cat": 3, "dog": 1}, {"cat": 4, "dog": 1})
    assert first.validate == round_facts.SetCounts(2, 3, {"cat": 2, "dog": 1}, {"cat": 2, "dog": 1})
    assert second.train == round_facts.SetCounts(6, 8, {"cat": 4, "dog": 3}, {"cat": 5, "dog": 3})
    assert first.train.share("cat") == 0.75


def test_the_figures_are_those_of_the_exported_model(tmp_path):
    first, second = round_facts.read_rounds(disk.two_rounds(tmp_path).folder)
    assert (first.step, first.map50, first.map5095, first.ap50) == (200, 0.6, 0.3, {"cat": 0.8, "dog": 0.4})
    assert (second.step, second.map50, second.map5095, second.ap50) == (100, 0.7, 0.4, {"cat": 0.9, "dog": None})


def test_time_is_assigned_to_phases_and_the_rest_is_named(tmp_path):
    first, second = round_facts.read_rounds(disk.two_rounds(tmp_path).folder)
    assert first.seconds == {
        "convert": 1.0,
        "train": 14.0,  # 20 s minus three evaluations of 2 s
        "evaluate": 6.0,
        "export": 4.0,
        "predict": 5.0,
        "select": 1.0,
        "ask": 2.0,
        "merge": 0.5,
        "other": 5.0,  # 30 s minus 1 + 20 + 4
    }
    assert second.seconds["train"] == 20.0
    assert second.seconds["other"] == 1.0


def test_answers_are_counted_with_reasons_and_cost(tmp_path):
    first, second = round_facts.read_rounds(disk.two_rounds(tmp_path).folder)
    assert first.verdicts == {"adopted": 2, "refused": 2, "waiting": 0}
    assert first.reasons == {("refused", "nothing found"): 1, ("refused", "another class"): 1}
    assert first.edits == Edits(kept=2, moved=1, relabelled=1, added=1, deleted=2)
    assert first.adopted == round_facts.SetCounts(2, 3, {"cat": 1, "dog": 2}, {"cat": 1, "dog": 2})
    assert first.num_edited == 3
    assert (second.edits, second.num_edited) == (None, 0)
    assert (first.selection.num_candidates, first.num_chosen, second.num_chosen) == (6, 4, 2)
    assert (first.selection.rule_used, first.selection.chosen) == ("random", ())


def test_the_last_stage_is_what_the_next_round_will_learn_from(tmp_path):
    space = disk.two_rounds(tmp_path)
    stages = round_facts.stages(round_facts.read_rounds(space.folder))
    assert [stage.label for stage in stages] == ["round 1", "round 2", "next"]
    assert [stage.counts.images for stage in stages] == [4, 6, 7]
    assert stages[-1].counts.images_of_class == {"cat": 4, "dog": 4}
    third = disk.add_training(space, 3, {"a.jpg": ["cat"]}, {"v.jpg": ["cat"]}, [(1, disk.metrics(0.1, {}))])
    disk.finish(third, train=1.0)
    labels = [stage.label for stage in round_facts.stages(round_facts.read_rounds(space.folder))]
    assert labels == ["round 1", "round 2", "round 3"]


def test_a_round_that_has_only_begun_has_no_figures(tmp_path):
    space = disk.start(tmp_path, ["cat"])
    space.begin_round(1, disk.SETTINGS)
    (facts,) = round_facts.read_rounds(tmp_path)
    assert (facts.train, facts.map50, facts.selection, facts.num_chosen, facts.edits) == (None, None, None, None, None)
    assert (facts.seconds, facts.reasons, facts.is_merged) == ({}, {}, False)
    assert round_facts.stages([facts]) == []


def test_figures_of_a_training_that_still_runs_are_not_a_rounds_figures(tmp_path):
    space = disk.start(tmp_path, ["cat"])
    round_ = disk.add_training(space, 1, {"a.jpg": ["cat"]}, {"v.jpg": ["cat"]}, [(1, disk.metrics(0.1, {"cat": 0.1}))])
    state = {"settings": {"data": {}}, "phases": {"convert": {"seconds": 3.0}}, "finished": False}
    (round_.training_dir / "run.json").write_text(json.dumps(state))
    (facts,) = round_facts.read_rounds(tmp_path)
    assert (facts.map50, facts.train, facts.seconds) == (None, None, {"convert": 3.0})


def test_a_folder_that_is_not_a_workspace_is_named(tmp_path):
    with pytest.raises(errors.DatasetError, match="is not a workspace"):
        round_facts.read_rounds(tmp_path)


def test_display_names_are_the_ones_that_are_shown(tmp_path):
    space = disk.start(tmp_path, ["n01"])
    (tmp_path / "label_map.pbtxt").write_text("item { id: 1 name: 'n01' display_name: 'cat' }")
    disk.add_training(space, 1, {"a.jpg": ["n01"]}, {"v.jpg": ["n01"]}, [(1, disk.metrics(0.2, {"n01": 0.2}))])
    round_ = disk.workspace.Workspace(tmp_path).rounds()[0]
    disk.add_answers(round_, [disk.adopted("b.jpg", ["cat"])])
    (facts,) = round_facts.read_rounds(tmp_path)
    assert facts.ap50 == {"cat": 0.2}
    assert facts.train.images_of_class == facts.adopted.images_of_class == {"cat": 1}


def test_rounds_of_an_earlier_version_are_read(tmp_path):
    space = disk.two_rounds(tmp_path)
    path = space.rounds()[0].training_dir / "data" / "manifest.json"
    value = json.loads(path.read_text()) | {"format": 0}
    path.write_text(json.dumps(value))
    assert round_facts.read_rounds(tmp_path)[0].train.images == 4
    path.write_text('{"format": 1}')
    with pytest.raises(errors.StorageError, match="manifest.json: is not a manifest"):
        round_facts.read_rounds(tmp_path)


def test_a_broken_line_is_named(tmp_path):
    space = disk.two_rounds(tmp_path)
    path = space.rounds()[0].training_dir / "checkpoints" / "evaluations.jsonl"
    path.write_text('{"step": 1, "metrics": {}}\n{"st\n')
    with pytest.raises(errors.StorageError, match="evaluations.jsonl, line 2"):
        round_facts.read_rounds(tmp_path)


def test_an_adopted_image_counts_once_for_a_class_and_a_round_may_adopt_none(tmp_path):
    space = disk.start(tmp_path, ["cat"])
    round_ = disk.add_training(space, 1, {"a.jpg": ["cat"]}, {"v.jpg": ["cat"]}, [(1, disk.metrics(0.1, {"cat": 0.1}))])
    disk.finish(round_, train=1.0, predict=1.0, select=1.0, ask=1.0, merge=1.0)
    disk.add_answers(round_, [disk.adopted("b.jpg", ["cat", "cat"]), disk.adopted("negative.jpg", [])])
    (facts,) = round_facts.read_rounds(tmp_path)
    assert facts.adopted == round_facts.SetCounts(2, 2, {"cat": 1}, {"cat": 2})
    assert round_facts.stages([facts])[-1].counts == round_facts.SetCounts(3, 3, {"cat": 2}, {"cat": 3})
    disk.add_answers(round_, [disk.refused("b.jpg", "nothing found")])
    assert [stage.label for stage in round_facts.stages(round_facts.read_rounds(tmp_path))] == ["round 1"]


def test_ignored_regions_are_not_boxes_that_a_round_learned_from(tmp_path):
    space = disk.start(tmp_path, ["cat", "dog"])
    figures = [(1, disk.metrics(0.1, {"cat": 0.1, "dog": 0.1}))]
    first = disk.add_training(space, 1, {"a.jpg": ["cat"]}, {"v.jpg": ["cat"]}, figures)
    answers = [disk.adopted("b.jpg", ["cat", "cat", "dog"], scores=[0.9, 0.3, 0.2]), disk.adopted("c.jpg", ["cat"])]
    boxes = [dataclasses.replace(box, weight=weight) for box, weight in zip(answers[0].annotation.boxes, (0.9, 0, 0))]
    annotation = dataclasses.replace(answers[0].annotation, boxes=tuple(boxes))
    answers[0] = dataclasses.replace(answers[0], annotation=annotation)
    disk.add_answers(first, answers)
    disk.finish(first, train=1.0, predict=1.0, select=1.0, ask=1.0, merge=1.0)
    learned = {"a.jpg": ["cat"], "b.jpg": ["cat", "cat", "dog"], "c.jpg": ["cat"]}
    second = disk.add_training(space, 2, learned, {"v.jpg": ["cat"]}, figures)
    disk.finish(second, train=1.0)
    before, after = round_facts.read_rounds(tmp_path)
    assert before.adopted == round_facts.SetCounts(2, 2, {"cat": 2, "dog": 0}, {"cat": 2, "dog": 0})
    assert after.train == round_facts.SetCounts(3, 3, {"cat": 3, "dog": 0}, {"cat": 3, "dog": 0})
