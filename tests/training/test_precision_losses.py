"""Trainings in lower precision stay within 1 % of the losses of float32 over 100 steps on drawn images, and resume."""

import json

import numpy as np
import pytest
import tensorflow as tf
from official.core import config_definitions

from tests.training import tiny
from tfodhelper.checkpoints import restore
from tfodhelper.config import overrides
from tfodhelper.exporting import saved_model
from tfodhelper.fields import Inputs, Losses
from tfodhelper.models import build, normalization
from tfodhelper.training import jobs, optimizers, task
from tfodhelper.training.options import TrainOptions

pytestmark = pytest.mark.slow

NUM_STEPS, STRETCH = 100, 10


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    data = tiny.make_data(tmp_path_factory.mktemp("precision"))
    return tiny.make_pipeline(data, tiny._OPTIMIZER.replace("0.01", "0.001"))


def train(pipeline, precision):
    """Total losses of 100 steps from scratch; the same weights and images for every precision."""
    tasks = task.DetectionTask(
        config_definitions.TaskConfig(), pipeline, task.StartingPoint(), seed=3, precision=precision
    )
    model = tasks.build_model()
    counter = tf.Variable(0, dtype=tf.int64, trainable=False)
    normalization.warm_up_statistics(model, counter)
    optimizer, _ = optimizers.build_optimizer(pipeline.train_config.optimizer, averages=False)
    data = config_definitions.DataConfig(global_batch_size=pipeline.train_config.batch_size, is_training=True)

    @tf.function(autograph=False)
    def step(features, labels):
        counter.assign_add(1)
        return tasks.train_step((features, labels), model, optimizer)[Losses.TOTAL]

    names = (Inputs.IMAGE, Inputs.TRUE_IMAGE_SHAPE)
    batches = tasks.build_inputs(data).take(NUM_STEPS)
    return np.array([float(step({name: features[name] for name in names}, labels)) for features, labels in batches])


@pytest.fixture(scope="module")
def exact(pipeline):
    return train(pipeline, "float32")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_losses_stay_within_one_percent(pipeline, exact, precision):
    losses = train(pipeline, precision)
    assert exact[-STRETCH:].mean() < 0.9 * exact[:STRETCH].mean()
    assert not np.array_equal(losses, exact)
    assert losses.mean() == pytest.approx(exact.mean(), rel=0.01)
    ours, theirs = (values.reshape(-1, STRETCH).mean(axis=1) for values in (losses, exact))
    np.testing.assert_allclose(ours, theirs, rtol=0.03)


def test_a_training_in_float16_is_resumed_with_its_loss_scale_and_exported_as_float32(pipeline, tmp_path):
    options = TrainOptions(eval_every=3, log_every=1, strategy="cpu", precision="float16")
    shorter = overrides.apply_overrides(pipeline, ["train_config.num_steps=3"])
    result = jobs.train_model(shorter, tmp_path / "model", options)
    reader = tf.train.load_checkpoint(str(tmp_path / "model" / "ckpt-3"))
    assert int(reader.get_tensor("loss_scale/num_finite/.ATTRIBUTES/VARIABLE_VALUE")) <= 3
    longer = overrides.apply_overrides(pipeline, ["train_config.num_steps=6"])
    result = jobs.train_model(longer, tmp_path / "model", options)
    assert [record["step"] for record in result.history.records] == [3, 6]
    saved_model.export_trained(longer, result.last_checkpoint, tmp_path / "export")
    detect = tf.saved_model.load(str(tmp_path / "export" / "saved_model")).signatures["serving_default"]
    image = np.random.RandomState(1).randint(0, 255, [1, 96, 96, 3]).astype(np.uint8)
    exported = detect(tf.constant(image))
    detector = build.build_detector(longer.model, is_training=False)
    restore.restore_trained(detector, result.last_checkpoint)
    assert {variable.dtype for variable in detector.variables} == {tf.float32}
    inputs, shapes = detector.preprocess(image)
    wanted = detector.postprocess(detector.predict_raw(inputs, shapes), shapes)
    np.testing.assert_allclose(exported["detection_scores"], wanted["detection_scores"], atol=1e-5)
    np.testing.assert_allclose(exported["detection_boxes"], wanted["detection_boxes"], atol=1e-4)
    assert json.loads((tmp_path / "model" / "evaluations.jsonl").read_text().splitlines()[0])["step"] == 3
