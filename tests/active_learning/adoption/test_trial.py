"""When a round loses its trial, and what is said of it."""

import json

import pytest

from tests.metrics import sets
from tfodhelper.active_learning import round_training
from tfodhelper.active_learning.adoption import trial
from tfodhelper.active_learning.options import RoundTrainingOptions
from tfodhelper.metrics import detection_file

MAP = "DetectionBoxes_Precision/mAP"


@pytest.mark.parametrize(
    "value, other, error, lost, kept_error",
    [
        (0.40, 0.45, 0.030, True, 0.030),  # 1.6449 x 0.03 = 0.0493
        (0.40, 0.45, 0.031, False, 0.031),  # 0.0510
        (0.40, 0.45, None, True, None),  # not known: by however little
        (0.45, 0.40, 0.01, False, None),
        (0.40, 0.40, 0.01, False, None),
        (None, 0.40, 0.01, False, None),
    ],
)
def test_a_round_loses_by_more_than_chance_explains(tmp_path, monkeypatch, value, other, error, lost, kept_error):
    round_ = type("Round", (), {"training_dir": tmp_path / "training"})
    for folder, figure in ((round_.training_dir, value), (tmp_path / "control", other)):
        (folder / "checkpoints").mkdir(parents=True)
        line = json.dumps({"step": 7, "metrics": {} if figure is None else {MAP: figure}})
        (folder / "checkpoints" / "evaluations.jsonl").write_text(line + "\n")
        (folder / "run.json").write_text("{}")
    monkeypatch.setattr(round_training.round_settings, "training_options", lambda round_: RoundTrainingOptions())
    monkeypatch.setattr(trial, "error_of_difference", lambda first, second, metric: error)
    held = round_training._hold(round_, tmp_path / "control", trial.CONTROL, 3, 0)
    assert (held.lost, held.error, held.value, held.other, held.metric) == (lost, kept_error, value, other, MAP)
    assert trial.from_facts(json.loads(json.dumps(trial.to_facts(held)))) == held


def test_what_is_said():
    def words(lost, error=None):
        return trial.Trial(trial.CONTROL, MAP, 0.4, 0.45, lost, 2, error=error).to_words(3)

    beginning = "round 3 learned from 2 images with boxes that nobody has seen: "
    beginning += MAP + " 0.4000, the same training without them 0.4500; "
    assert words(True).startswith(beginning + "lost; they go back to the pool")
    assert words(True, 0.0213).startswith(beginning + "lost by more than chance explains (standard error 0.0213); they")
    assert words(False, 0.06) == (beginning + "no more than chance explains (standard error 0.0600); they stay")
    assert words(False) == beginning + "they stay"


def write(folder, images):
    folder.mkdir()
    detection_file.write_detections(folder / "detections.npz", sets.collect(*images).images)
    return folder


def test_the_error_of_two_evaluations(tmp_path):
    images = sets.random_images(5, num_images=8)
    first = write(tmp_path / "first", images)
    others = [(gt, {**found, "scores": found["scores"][::-1]}) for gt, found in images]
    second = write(tmp_path / "second", others)
    error = trial.error_of_difference(first, second, MAP)
    assert 0.0 < error < 0.5 and error == trial.error_of_difference(second, first, MAP)
    assert trial.error_of_difference(first, first, MAP) == 0.0
    assert trial.error_of_difference(first, second, "Loss/total_loss") is None
    assert trial.error_of_difference(first, tmp_path / "nowhere", MAP) is None
    assert trial.error_of_difference(first, write(tmp_path / "fewer", images[1:]), MAP) is None
