"""A round whose pool, and whose validation images, are seen in fused views."""

import numpy as np
import pytest
import tensorflow as tf

from tests.active_learning import tiny_workspace as tiny
from tfodhelper.active_learning import answers, rounds, workspace
from tfodhelper.active_learning.adoption import rehearsal, validation
from tfodhelper.active_learning.oracles.zones import Zone
from tfodhelper.active_learning.pool import pool_predictor, predictions
from tfodhelper.active_learning.structures import ADOPTED, PoolImage

pytestmark = pytest.mark.slow


def test_validation_images_are_seen_as_the_pool_and_doubts_decide_on_places(tmp_path, monkeypatch):
    exercise = tiny.make_exercise(tmp_path)
    seen, doubts = [], []

    def find_zones(oracle, images, score_threshold):
        """The real ones of a detector that has learned nothing leave few objects; so all are, half without a place."""
        assert set(real(oracle, images, score_threshold)) == set(images.names)
        seen.append(images)
        doubts.append(float(np.nanmedian(images.det_doubts)))
        return {name: Zone(0.0, 0.0, doubts[0]) for name in images.names}

    real = rehearsal.find_zones
    monkeypatch.setattr(rehearsal, "find_zones", find_zones)
    folder = tiny.init_confirmed(exercise, tmp_path / "w", min_box_worth=0.0, trial="off")
    changes = {"oracle": {"several_boxes": "zones", "min_box_score": 0.0}, "prediction": {"views": "fused"}}
    assert rounds.run_rounds(folder, 1, changes=changes) == rounds.DONE
    space = workspace.Workspace(folder)
    (first,) = space.rounds()
    assert predictions.read_plan(first.predictions_dir).views == "fused"
    (images,) = seen
    assert isinstance(images, validation.SeenInViews)
    assert sorted(images.image_names) == sorted(space.validation())

    name = images.image_names[0]
    model = pool_predictor.PoolModel(first.model_dir, score_threshold=0.0, views="fused")
    (again,) = model.predict([PoolImage(name, str(space.set_dir / name))])
    _, det = images.of_image(0)
    scores = [each.score for each in again.found.detections]
    assert len(scores) > 5
    np.testing.assert_allclose(images.det_scores[det], scores, atol=1e-4)

    adopted = {each.name: each for each in answers.read_answers(first.answers_path) if each.verdict == ADOPTED}
    assert adopted
    kinds = set()
    for prediction in predictions.read_predictions(first.predictions_dir):
        if prediction.name in adopted:
            doubt_of = {round(each.score, 6): each.doubt for each in prediction.found.detections}
            answer = adopted[prediction.name]
            for box, score in zip(answer.annotation.boxes, answer.scores):
                doubt = doubt_of[round(score, 6)]
                assert box.location_weight == float(doubt is not None and doubt <= doubts[0])
                kinds.add(box.location_weight)
    assert kinds == {0.0, 1.0}


@pytest.mark.parametrize("is_averaged", [True, False])
def test_the_model_of_a_round_has_averaged_weights_where_they_are_switched_on(tmp_path, is_averaged):
    folder = tiny.init_confirmed(tiny.make_exercise(tmp_path), tmp_path / "w", min_box_worth=0.0, trial="off")
    switch = f"train_config.optimizer.use_moving_average={str(is_averaged).lower()}"
    assert rounds.run_rounds(folder, 1, changes={"training": {"overrides": [switch]}}) == rounds.DONE
    (first,) = workspace.Workspace(folder).rounds()
    trained = tf.train.load_checkpoint(str(first.training_dir / "checkpoints" / "ckpt-4"))
    exported = tf.train.load_checkpoint(str(first.model_dir / "checkpoint"))
    key = "model/_box_predictor/_prediction_heads/box_encodings/0/_box_encoder_layers/0/kernel"
    average = f"{key}/.OPTIMIZER_SLOT/optimizer/average/.ATTRIBUTES/VARIABLE_VALUE"
    key += "/.ATTRIBUTES/VARIABLE_VALUE"
    assert trained.has_tensor(average) == is_averaged
    expected = trained.get_tensor(average if is_averaged else key)
    np.testing.assert_allclose(exported.get_tensor(key), expected, rtol=1e-4, atol=1e-6)
    assert not is_averaged or np.abs(trained.get_tensor(key) - expected).max() > 1e-6
    # A plain round has no use for predictions of the validation images.
    assert not first.validation_predictions_dir.exists()
    assert predictions.read_plan(first.predictions_dir).views == "plain"
