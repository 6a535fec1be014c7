"""One training step, seen from one replica."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from official.core import config_definitions

from tests.training import tiny
from tfodhelper.fields import Losses
from tfodhelper.training import task


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("task"), 12)


def step(data, changes):
    """Gradient norm of one step, as the change of the weights under a learning rate of 1, and the losses."""
    pipeline = tiny.make_pipeline(data)
    changes(pipeline.train_config)
    detection_task = task.DetectionTask(config_definitions.TaskConfig(), pipeline, task.StartingPoint(), seed=2)
    model = detection_task.build_model()
    inputs = detection_task.build_inputs(config_definitions.DataConfig(global_batch_size=4, is_training=True))
    features, labels = next(iter(inputs))
    before = [variable.numpy() for variable in model.trainable_variables]
    losses = detection_task.train_step((features, labels), model, tf_keras.optimizers.legacy.SGD(1.0))
    squares = [np.sum((v.numpy() - b) ** 2) for v, b in zip(model.trainable_variables, before)]
    return np.sqrt(np.sum(squares)), losses


def test_gradient_clipping_bounds_the_norm_over_all_variables(data):
    free, _ = step(data, lambda config: None)
    bounded, _ = step(data, lambda config: setattr(config, "gradient_clipping_by_norm", 0.5))
    loose, _ = step(data, lambda config: setattr(config, "gradient_clipping_by_norm", float(free) * 2))
    assert free > 1.0
    assert bounded == pytest.approx(0.5, rel=1e-4)
    assert loose == pytest.approx(free, rel=1e-4)


def test_regularization_can_be_left_out(data):
    _, losses = step(data, lambda config: setattr(config, "add_regularization_loss", False))
    assert Losses.REGULARIZATION not in losses
    total = losses[Losses.LOCALIZATION] + losses[Losses.CLASSIFICATION]
    assert float(losses[Losses.TOTAL]) == pytest.approx(float(total), rel=1e-6)


def test_the_weights_follow_from_the_seed(data):
    pipeline = tiny.make_pipeline(data)
    build = lambda seed: task.DetectionTask(  # noqa: E731
        config_definitions.TaskConfig(), pipeline, task.StartingPoint(), seed=seed
    ).build_model()
    first, same, other = build(3), build(3), build(4)
    for a, b in zip(first.trainable_variables, same.trainable_variables):
        tf.debugging.assert_equal(a, b)
    assert any(np.any(a.numpy() != b.numpy()) for a, b in zip(first.trainable_variables, other.trainable_variables))
