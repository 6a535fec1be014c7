"""Learning-rate schedules of `LearningRate` in pipeline.config, as functions of the number of finished steps."""

import math

import tensorflow as tf
import tf_keras

from tfodhelper.config import schedule_values

_Schedule = tf_keras.optimizers.schedules.LearningRateSchedule


class Constant(_Schedule):
    """The same rate at every step."""

    def __init__(self, learning_rate):
        self.learning_rate = float(learning_rate)

    def __call__(self, step):
        del step
        return tf.constant(self.learning_rate, tf.float32)

    def get_config(self):
        return {"learning_rate": self.learning_rate}


class ExponentialDecay(_Schedule):
    """`initial * factor ** ((step - burnin_steps) / decay_steps)`, after a burn-in at a rate of its own.

    Args:
      initial: rate at the end of the burn-in.
      decay_steps: steps in which the rate falls by `factor`.
      factor: multiplier per `decay_steps`.
      staircase: whether the exponent is rounded down to whole numbers.
      burnin_rate: rate during the burn-in; 0 means `initial`.
      burnin_steps: length of the burn-in.
      minimum: the rate never falls below this.
    """

    def __init__(self, initial, decay_steps, factor, staircase=True, burnin_rate=0.0, burnin_steps=0, minimum=0.0):
        self.initial, self.decay_steps, self.factor = float(initial), int(decay_steps), float(factor)
        self.staircase, self.burnin_steps, self.minimum = bool(staircase), int(burnin_steps), float(minimum)
        self.burnin_rate = float(burnin_rate) or self.initial

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        exponent = (step - self.burnin_steps) / self.decay_steps
        if self.staircase:
            exponent = tf.floor(exponent)
        rate = self.initial * tf.pow(tf.constant(self.factor), exponent)
        rate = tf.where(step < self.burnin_steps, self.burnin_rate, rate)
        return tf.maximum(rate, self.minimum)

    def get_config(self):
        return {
            "initial": self.initial,
            "decay_steps": self.decay_steps,
            "factor": self.factor,
            "staircase": self.staircase,
            "burnin_rate": self.burnin_rate,
            "burnin_steps": self.burnin_steps,
            "minimum": self.minimum,
        }


class ManualSteps(_Schedule):
    """Piecewise constant; with `warmup` the first piece rises linearly from the first rate to the second.

    Args:
      boundaries: increasing steps at which the next rate begins.
      rates: one more than boundaries.
      warmup: whether the rate rises over [0, boundaries[0]).
    """

    def __init__(self, boundaries, rates, warmup=False):
        self.boundaries, self.rates, self.warmup = [int(b) for b in boundaries], [float(r) for r in rates], bool(warmup)

    def __call__(self, step):
        step = tf.cast(step, tf.int64)
        index = tf.reduce_sum(tf.cast(step >= tf.constant(self.boundaries, tf.int64), tf.int32))
        rate = tf.gather(tf.constant(self.rates, tf.float32), index)
        if self.warmup:
            slope = (self.rates[1] - self.rates[0]) / self.boundaries[0]
            rate = tf.where(index == 0, self.rates[0] + slope * tf.cast(step, tf.float32), rate)
        return rate

    def get_config(self):
        return {"boundaries": self.boundaries, "rates": self.rates, "warmup": self.warmup}


class CosineDecay(_Schedule):
    """Linear warm-up to `base`, an optional hold, then half a cosine to 0 at `total_steps` (arXiv 1608.03983).

    Args:
      base: the highest rate.
      total_steps: where the rate reaches 0; it stays 0 afterwards.
      warmup_rate: rate at step 0.
      warmup_steps: length of the linear rise.
      hold_steps: steps at `base` after the rise.
    """

    def __init__(self, base, total_steps, warmup_rate=0.0, warmup_steps=0, hold_steps=0):
        self.base, self.total_steps = float(base), int(total_steps)
        self.warmup_rate, self.warmup_steps, self.hold_steps = float(warmup_rate), int(warmup_steps), int(hold_steps)

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        start = self.warmup_steps + self.hold_steps
        rate = 0.5 * self.base * (1 + tf.cos(math.pi * (step - start) / max(self.total_steps - start, 1)))
        if self.hold_steps:
            rate = tf.where(step > start, rate, self.base)
        if self.warmup_steps:
            slope = (self.base - self.warmup_rate) / self.warmup_steps
            rate = tf.where(step < self.warmup_steps, self.warmup_rate + slope * step, rate)
        return tf.where(step > self.total_steps, 0.0, rate)

    def get_config(self):
        return {
            "base": self.base,
            "total_steps": self.total_steps,
            "warmup_rate": self.warmup_rate,
            "warmup_steps": self.warmup_steps,
            "hold_steps": self.hold_steps,
        }


def build_schedule(learning_rate):
    """Builds the schedule that a `LearningRate` message describes.

    Raises:
      ConfigError: no schedule is chosen, or its numbers are contradictory.
    """
    schedule_values.check_schedule(learning_rate)
    kind = learning_rate.WhichOneof("learning_rate")
    return _BUILDERS[kind](getattr(learning_rate, kind))


def _constant(config):
    return Constant(config.learning_rate)


def _exponential(config):
    return ExponentialDecay(
        config.initial_learning_rate,
        config.decay_steps,
        config.decay_factor,
        config.staircase,
        config.burnin_learning_rate,
        config.burnin_steps,
        config.min_learning_rate,
    )


def _manual(config):
    boundaries = [step.step for step in config.schedule]
    rates = [config.initial_learning_rate, *(step.learning_rate for step in config.schedule)]
    return ManualSteps(boundaries, rates, config.warmup)


def _cosine(config):
    return CosineDecay(
        config.learning_rate_base,
        config.total_steps,
        config.warmup_learning_rate,
        config.warmup_steps,
        config.hold_base_rate_steps,
    )


_BUILDERS = {
    "constant_learning_rate": _constant,
    "exponential_decay_learning_rate": _exponential,
    "manual_step_learning_rate": _manual,
    "cosine_decay_learning_rate": _cosine,
}
