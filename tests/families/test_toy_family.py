"""A family that is added needs a row of the table and a room for its models, and nothing else in the program.

The toy family is in `tests/families/toy`. All that a user does with a detector is done with it here.
"""

import shutil

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.core import config_definitions
from PIL import Image

from tests.families.toy import row
from tests.training import tiny
from tfodhelper import errors, families
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.checkpoints import restore
from tfodhelper.config import comparison, generate, model_scale, pipeline, supported
from tfodhelper.exporting import saved_model
from tfodhelper.models import build
from tfodhelper.prediction import predictor
from tfodhelper.training import evaluation, jobs, memory, task
from tfodhelper.training.options import TrainOptions

pytestmark = pytest.mark.slow

BASE = """
model { center_net { num_classes: 90 image_resizer { fixed_shape_resizer { height: 64 width: 64 } } } }
train_config {
  batch_size: 32
  data_augmentation_options { random_horizontal_flip { } }
  optimizer { adam_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.08 } } } }
}
eval_config { batch_size: 4 num_visualizations: 0 }
train_input_reader { label_map_path: "PATH_TO_BE_CONFIGURED" }
"""
OPTIONS = TrainOptions(eval_every=3, log_every=1)
LOSSES = {row.PRESENCE, row.CORNERS, "Loss/regularization_loss", "Loss/total_loss"}


@pytest.fixture(scope="module", autouse=True)
def added_row():
    """The one change: a row more in the table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families, "TABLE", (*families.TABLE, row.FAMILY))
        yield


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("toy"))


def configure(data, num_steps, checkpoint=None):
    """A complete configuration, as `config` generates it, and its notes."""
    base = generate.Base(pipeline.parse_pipeline(BASE), "toy.config", model=None, is_own=False)
    return generate.generate_pipeline(base, data, num_steps=num_steps, fine_tune_checkpoint=checkpoint)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """(configuration, model folder, result) of three steps."""
    config, folder = configure(data, 3)[0], tmp_path_factory.mktemp("trained")
    return config, folder, jobs.train_model(config, folder, OPTIONS)


def test_it_is_configured_with_its_own_defaults(data, tmp_path):
    config, notes = configure(data, 3)
    supported.check_supported(config)
    assert config.train_config.batch_size == 4 and config.model.center_net.num_classes == data.num_classes
    assert not any("batch norm" in note for note in notes)  # it has no switch for that
    assert comparison.differences(config.model, config.model) == []
    config.model.center_net.use_depthwise = True
    assert [hint.path for hint in supported.check_supported(config)] == ["model.center_net.use_depthwise"]
    config.model.center_net.compute_heatmap_sparse = True
    with pytest.raises(errors.ConfigError, match="model.center_net.compute_heatmap_sparse"):
        supported.check_supported(config)
    lower = {path for path, _, _ in memory.find_what_to_lower(config)}
    sides = "model.center_net.image_resizer.fixed_shape_resizer"
    assert lower == {"train_config.batch_size", f"{sides}.height", f"{sides}.width"}
    pipeline.write_pipeline(tmp_path / "pipeline.config", config)
    scale = model_scale.read_model_scale(tmp_path)
    assert (scale.height, scale.width, scale.smallest_anchor) == (64, 64, None)


def test_it_trains_and_tells_its_own_losses(trained):
    _, folder, result = trained
    (record,) = result.history.records
    assert result.step == record["step"] == 3
    assert set(record["train"]) == LOSSES and set(record["metrics"]) >= LOSSES
    assert all(np.isfinite(value) for value in record["train"].values())
    events = [
        event
        for path in (folder / "train").glob("events.out.tfevents.*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
    ]
    tags = {value.tag for event in events for value in event.summary.value}
    assert tags >= LOSSES


def test_its_loss_falls_on_one_batch(data):
    config = configure(data, 3)[0]
    learning = task.DetectionTask(config_definitions.TaskConfig(), config, task.StartingPoint(), seed=2)
    model = learning.build_model()
    inputs = learning.build_inputs(config_definitions.DataConfig(global_batch_size=4, is_training=True))
    batch, optimizer = next(iter(inputs)), tf_keras.optimizers.legacy.Adam(0.01)
    totals = [float(learning.train_step(batch, model, optimizer)["Loss/total_loss"]) for _ in range(12)]
    assert totals[-1] < 0.7 * totals[0]


def test_training_resumes(data, trained, tmp_path, capfd):
    folder = shutil.copytree(trained[1], tmp_path / "model")
    result = jobs.train_model(configure(data, 5)[0], folder, OPTIONS)
    assert f"{folder}/ckpt-3, step 3" in capfd.readouterr().out
    assert result.step == 5 and [record["step"] for record in result.history.records] == [3, 5]


def test_it_is_fine_tuned_for_other_classes(data, trained, tmp_path, capfd):
    names = [item.name for item in label_maps.read_label_map(data.label_map_path)]
    label_maps.write_label_map(tmp_path / "more.pbtxt", label_maps.make_label_map([*names, "another"]))
    config = configure(data, 1, checkpoint=trained[2].last_checkpoint)[0]
    config.model.center_net.num_classes += 1
    config.train_config.fine_tune_checkpoint_type = "full"
    for reader in (config.train_input_reader, config.eval_input_reader[0]):
        reader.label_map_path = str(tmp_path / "more.pbtxt")
    result = jobs.train_model(config, tmp_path / "model", OPTIONS)
    said = capfd.readouterr().out
    assert "weights: 17 variables restored" in said
    assert "2 freshly initialized, because the number of classes differs: model/_toy_head/presence/" in said
    assert result.step == 1


@pytest.mark.parametrize(("checkpoint_type", "num_restored"), [("classification", 15), ("detection", 15), ("full", 19)])
def test_each_type_of_checkpoint_restores_the_parts_of_its_roles(trained, checkpoint_type, num_restored):
    config, _, result = trained
    detector = build.build_detector(config.model, is_training=True)
    report = restore.restore_for_fine_tuning(detector, result.last_checkpoint, checkpoint_type)
    assert (len(report.restored), len(report.initialized)) == (num_restored, 19 - num_restored)
    assert not report.unused


def test_it_is_evaluated_as_in_training(trained):
    config, folder, result = trained
    ((step, metrics),) = jobs.evaluate_model(config, folder, OPTIONS, checkpoint=result.last_checkpoint)
    wanted = result.history.records[0]
    assert step == 3 and set(metrics) >= LOSSES
    for tag in (*LOSSES, evaluation.MAP):
        assert metrics[tag] == pytest.approx(wanted["metrics"][tag], rel=1e-4, abs=1e-6)


def test_it_is_exported_and_predicts(data, trained, tmp_path):
    config, _, result = trained
    folder = saved_model.export_trained(
        config, result.last_checkpoint, tmp_path / "export", label_map_path=data.label_map_path
    )
    noise = np.random.default_rng(0).integers(0, 256, [50, 80, 3], dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    (found,) = predictor.StreamPredictor(folder).predict([tmp_path / "noise.png"])
    names = {item.name for item in label_maps.read_label_map(data.label_map_path)}
    assert 0 < len(found.detections) <= 10 and {detection.name for detection in found.detections} <= names
    detector = build.build_detector(config.model, is_training=False)
    restore.restore_trained(detector, folder)
    inputs, shapes = detector.preprocess(noise[np.newaxis])
    wanted = detector.postprocess(detector.predict_raw(inputs, shapes), shapes)
    scores = [detection.score for detection in found.detections]
    np.testing.assert_allclose(scores, wanted["detection_scores"][0, : len(scores)], atol=1e-4)
    best = found.detections[0]
    corners = np.array([best.ymin, best.xmin, best.ymax, best.xmax]) / [50, 80, 50, 80]
    np.testing.assert_allclose(corners, wanted["detection_boxes"][0, 0], atol=1e-3)


def test_a_family_without_a_row_is_an_error_that_lists_the_known_ones():
    model = pipeline.parse_pipeline(BASE).model
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families, "TABLE", families.TABLE[:-1])
        with pytest.raises(errors.ConfigError, match="the family center_net cannot be trained here yet") as caught:
            build.build_detector(model, is_training=False)
    assert caught.value.expected == "one of faster_rcnn, ssd"
    model.Clear()
    with pytest.raises(errors.ConfigError, match="no architecture is set"):
        families.family_of(model)
