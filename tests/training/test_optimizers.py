"""Optimizers: two steps on one number, against the update rules worked out by hand."""

import pytest
import tensorflow as tf
from google.protobuf import text_format

from tfodhelper import errors, protos
from tfodhelper.training import optimizers

RATE = "learning_rate { constant_learning_rate { learning_rate: 0.1 } }"


def two_steps(text, gradients=(1.0, 2.0)):
    config = text_format.Parse(text, protos.message("Optimizer")())
    optimizer, _ = optimizers.build_optimizer(config)
    x = tf.Variable(1.0)
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient), x)])
    return float(x)


def test_momentum():
    # v1 = -0.1, x = 0.9; v2 = 0.5 * -0.1 - 0.2 = -0.25, x = 0.65
    text = f"momentum_optimizer {{ {RATE} momentum_optimizer_value: 0.5 }} use_moving_average: false"
    assert two_steps(text) == pytest.approx(0.65)


def test_rms_prop_uses_decay_for_the_squared_gradients():
    # Decay 0.8, momentum 0.5, epsilon 1: s is the mean of squared gradients, m the momentum.
    s1, s2 = 0.2 * 1, 0.8 * 0.2 + 0.2 * 4
    m1 = 0.1 * 1 / (s1 + 1) ** 0.5
    m2 = 0.5 * m1 + 0.1 * 2 / (s2 + 1) ** 0.5
    x = 1 - m1 - m2
    text = (
        f"rms_prop_optimizer {{ {RATE} momentum_optimizer_value: 0.5 decay: 0.8 epsilon: 1 }} use_moving_average: false"
    )
    assert two_steps(text) == pytest.approx(x, abs=1e-5)


def test_adam_first_step_is_the_learning_rate():
    text = f"adam_optimizer {{ {RATE} }} use_moving_average: false"
    assert two_steps(text, gradients=(5.0,)) == pytest.approx(0.9, abs=1e-5)


def test_moving_average_is_on_unless_switched_off():
    config = text_format.Parse(f"momentum_optimizer {{ {RATE} }}", protos.message("Optimizer")())
    optimizer, _ = optimizers.build_optimizer(config)
    assert type(optimizer).__name__ == "ExponentialMovingAverage"


def test_no_optimizer_is_an_error():
    with pytest.raises(errors.ConfigError, match="no optimizer is chosen"):
        optimizers.build_optimizer(protos.message("Optimizer")())
