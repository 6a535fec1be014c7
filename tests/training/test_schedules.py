"""Learning-rate schedules against values worked out by hand."""

import math

import pytest
from google.protobuf import text_format

from tfodhelper import errors, protos
from tfodhelper.training import schedules


def build(text):
    return schedules.build_schedule(text_format.Parse(text, protos.message("LearningRate")()))


def test_constant():
    schedule = build("constant_learning_rate { learning_rate: 0.25 }")
    assert [float(schedule(step)) for step in (0, 7, 10**6)] == [0.25] * 3


@pytest.mark.parametrize(
    ("staircase", "step", "expected"),
    [("true", 0, 0.4), ("true", 9, 0.4), ("true", 10, 0.2), ("true", 25, 0.1), ("false", 5, 0.4 * 0.5**0.5)],
)
def test_exponential_decay(staircase, step, expected):
    schedule = build(
        "exponential_decay_learning_rate { initial_learning_rate: 0.4 decay_steps: 10 decay_factor: 0.5 "
        f"staircase: {staircase} }}"
    )
    assert float(schedule(step)) == pytest.approx(expected, rel=1e-6)


def test_exponential_decay_with_burn_in_and_floor():
    schedule = build(
        "exponential_decay_learning_rate { initial_learning_rate: 0.4 decay_steps: 10 decay_factor: 0.5 "
        "burnin_learning_rate: 0.05 burnin_steps: 4 min_learning_rate: 0.15 }"
    )
    # The exponent counts from the end of the burn-in: the first halving is at step 14.
    assert [float(schedule(s)) for s in (0, 3, 4, 13, 14, 24)] == pytest.approx([0.15, 0.15, 0.4, 0.4, 0.2, 0.15])


def test_a_burn_in_without_a_rate_of_its_own_uses_the_initial_rate():
    schedule = build(
        "exponential_decay_learning_rate { initial_learning_rate: 0.4 decay_steps: 1 decay_factor: 0.5 "
        "burnin_steps: 3 }"
    )
    assert [float(schedule(s)) for s in (0, 2, 3, 4)] == pytest.approx([0.4, 0.4, 0.4, 0.2])


def test_manual_steps():
    schedule = build(
        "manual_step_learning_rate { initial_learning_rate: 0.1 schedule { step: 5 learning_rate: 0.01 } "
        "schedule { step: 10 learning_rate: 0.001 } }"
    )
    assert [float(schedule(s)) for s in (0, 4, 5, 9, 10, 99)] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_manual_steps_with_warm_up():
    schedule = build(
        "manual_step_learning_rate { initial_learning_rate: 0.1 warmup: true schedule { step: 4 learning_rate: 0.5 } }"
    )
    assert [float(schedule(s)) for s in (0, 1, 2, 3, 4, 9)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5])


def test_cosine_with_warm_up():
    schedule = build(
        "cosine_decay_learning_rate { learning_rate_base: 0.8 total_steps: 110 warmup_learning_rate: 0.2 "
        "warmup_steps: 10 }"
    )
    expected = [0.2, 0.5, 0.8, 0.4 * (1 + math.cos(math.pi * 0.25)), 0.4, 0.0, 0.0]
    assert [float(schedule(s)) for s in (0, 5, 10, 35, 60, 110, 111)] == pytest.approx(expected, abs=1e-7)


def test_cosine_with_hold():
    schedule = build(
        "cosine_decay_learning_rate { learning_rate_base: 1.0 total_steps: 30 warmup_learning_rate: 0 warmup_steps: 10 "
        "hold_base_rate_steps: 10 }"
    )
    assert [float(schedule(s)) for s in (10, 15, 20, 25, 30)] == pytest.approx([1, 1, 1, 0.5, 0], abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "manual_step_learning_rate { }",
        "manual_step_learning_rate { schedule { step: 5 } schedule { step: 5 } }",
        "manual_step_learning_rate { schedule { step: 0 } }",
        "exponential_decay_learning_rate { decay_steps: 0 }",
        "cosine_decay_learning_rate { total_steps: 5 warmup_steps: 6 }",
        "cosine_decay_learning_rate { learning_rate_base: 0.1 warmup_learning_rate: 0.2 warmup_steps: 2 total_steps:9}",
    ],
)
def test_contradictions_are_errors(text):
    with pytest.raises(errors.ConfigError):
        build(text)
