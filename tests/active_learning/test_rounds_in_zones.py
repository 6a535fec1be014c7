"""A round whose boxes are adopted in zones, and one that learns from them with a share of the batches."""

import dataclasses
import json

import pytest

from tests.active_learning import tiny_workspace as tiny
from tfodhelper.active_learning import answers, rounds, workspace
from tfodhelper.active_learning.adoption import rehearsal
from tfodhelper.active_learning.oracles.zones import Zone
from tfodhelper.active_learning.structures import ADOPTED
from tfodhelper.annotations import labelimg
from tfodhelper.config import pipeline as pipelines

pytestmark = pytest.mark.slow


def test_weights_travel_from_the_validation_images_to_the_next_training(tmp_path, monkeypatch, capsys):
    exercise = tiny.make_exercise(tmp_path)
    zones = {}

    def find_zones(oracle, images, score_threshold):
        """The real ones of a detector that has learned nothing leave hardly an object; so the middle score is one."""
        assert set(real(oracle, images, score_threshold)) == set(images.names)
        boxes = [pair for q in rehearsal._questions(images, score_threshold) for pair in oracle.find_candidates(q)]
        scores = sorted(detection.score for _, detection in boxes)
        zones.update({name: Zone(scores[len(scores) // 2], scores[-2]) for name in images.names})
        return zones

    real = rehearsal.find_zones
    monkeypatch.setattr(rehearsal, "find_zones", find_zones)
    folder = tiny.init_confirmed(exercise, tmp_path / "w", min_box_worth=0.0, trial="off")
    in_zones = {"several_boxes": "zones", "min_box_score": 0.0}
    assert rounds.run_rounds(folder, 1, changes={"oracle": in_zones}) == rounds.DONE
    assert "objects from a score of" in capsys.readouterr().out
    space = workspace.Workspace(folder)
    (first,) = space.rounds()
    adopted = [each for each in answers.read_answers(first.answers_path) if each.verdict == ADOPTED]
    boxes = {each.name: each.annotation.boxes for each in adopted}
    kinds = {(box.weight > 0, box.location_weight) for own in boxes.values() for box in own}
    assert {(True, 0.0), (False, 1.0)} <= kinds
    for name, own in boxes.items():
        read = labelimg.read_labelimg((space.set_dir / name).with_suffix(".xml"))
        assert [dataclasses.astuple(box) for box in read.boxes] == [dataclasses.astuple(box) for box in own]
    training = {"adopted_share": 0.5, "strong_augmentation": True, "ramp_steps": 2}
    assert rounds.run_rounds(folder, until="train", changes={"training": training}) == "train"
    second = space.rounds()[-1]
    reader = pipelines.read_pipeline(second.training_dir / "pipeline.config").train_input_reader
    assert list(reader.sample_from_datasets_weights) == [0.5, 0.5]
    manifest = json.loads((second.folder / "training_adopted" / "manifest.json").read_text())
    assert sum(shard["records"] for shard in manifest["shards"]["validate"]) == len(adopted)
    assert second.has("train") and (second.model_dir / "saved_model").is_dir()
