"""Values of an Optimizer message that fit together, for `config` and for the builders of optimizer and schedule."""

import math

from tfodhelper import errors

OPTIMIZERS = ("rms_prop_optimizer", "momentum_optimizer", "adam_optimizer")


def check_optimizer(message):
    """Checks an Optimizer message and its schedule.

    Raises:
      ConfigError: nothing is chosen, or values contradict each other.
    """
    kind = message.WhichOneof("optimizer")
    if kind not in OPTIMIZERS:
        raise errors.ConfigError(
            "train_config.optimizer: no optimizer is chosen", expected="one of " + ", ".join(OPTIMIZERS)
        )
    if message.use_moving_average and not 0.0 <= message.moving_average_decay < 1.0:
        raise errors.ConfigError(
            "train_config.optimizer.moving_average_decay",
            expected="at least 0 and below 1",
            received=f"{message.moving_average_decay:g}",
        )
    check_schedule(getattr(message, kind).learning_rate)


def check_schedule(learning_rate):
    """Checks a LearningRate message.

    Raises:
      ConfigError: no schedule is chosen, a rate is negative or not a number, or the steps contradict each other.
    """
    kind = learning_rate.WhichOneof("learning_rate")
    if kind not in _CHECKS:
        raise errors.ConfigError(
            "train_config.optimizer: the optimizer has no learning_rate",
            expected="one of constant_, exponential_decay_, manual_step_ or cosine_decay_learning_rate",
        )
    schedule = getattr(learning_rate, kind)
    _check_rates(kind, schedule)
    _CHECKS[kind](schedule)


def _check_rates(kind, schedule):
    """Raises a ConfigError for a rate that is negative or not finite; 0 is one that moves nothing."""
    for message, where in [(schedule, kind)] + [
        (step, f"{kind}.schedule[{index}]") for index, step in enumerate(getattr(schedule, "schedule", ()))
    ]:
        for field, value in message.ListFields():
            if "learning_rate" in field.name and not 0.0 <= value < math.inf:
                raise errors.ConfigError(f"{where}.{field.name}", expected="a number from 0", received=f"{value:g}")


def _check_constant(schedule):
    """Whatever its rate, a constant schedule has no steps."""
    del schedule


def _check_exponential(schedule):
    if schedule.decay_steps < 1:
        raise errors.ConfigError(
            "exponential_decay_learning_rate.decay_steps", expected="1 or more", received=schedule.decay_steps
        )


def _check_manual(schedule):
    boundaries = [step.step for step in schedule.schedule]
    if not boundaries or boundaries[0] == 0 or any(b <= a for a, b in zip(boundaries, boundaries[1:])):
        raise errors.ConfigError(
            "manual_step_learning_rate.schedule: the steps do not increase from above 0",
            expected="for example step: 1000, then step: 2000",
            received=", ".join(f"step: {boundary}" for boundary in boundaries) or "no steps",
            fix="give the rate of the first steps as initial_learning_rate, and each later one its own step",
        )


def _check_cosine(schedule):
    if schedule.total_steps < 1 or schedule.total_steps < schedule.warmup_steps + schedule.hold_base_rate_steps:
        raise errors.ConfigError(
            "cosine_decay_learning_rate.total_steps is shorter than the warm-up and the hold",
            expected=f"at least {max(1, schedule.warmup_steps + schedule.hold_base_rate_steps)}",
            received=schedule.total_steps,
            fix="lower warmup_steps, or raise total_steps",
        )
    if schedule.warmup_steps and schedule.learning_rate_base < schedule.warmup_learning_rate:
        raise errors.ConfigError(
            "cosine_decay_learning_rate: the warm-up starts above learning_rate_base",
            expected=f"warmup_learning_rate of at most {schedule.learning_rate_base:g}",
            received=f"{schedule.warmup_learning_rate:g}",
        )


_CHECKS = {
    "constant_learning_rate": _check_constant,
    "exponential_decay_learning_rate": _check_exponential,
    "manual_step_learning_rate": _check_manual,
    "cosine_decay_learning_rate": _check_cosine,
}
