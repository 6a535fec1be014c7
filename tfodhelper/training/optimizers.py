"""Optimizers of `Optimizer` in pipeline.config."""

import tf_keras
from official.modeling import optimization

from tfodhelper.config import schedule_values
from tfodhelper.training import schedules

# The legacy classes keep their state in slots, which is what the moving average wrapper of the Model Garden needs and
# what checkpoints of the Object Detection API hold.
_legacy = tf_keras.optimizers.legacy


def build_optimizer(config, averages=True):
    """Builds the optimizer of `train_config.optimizer`.

    RMSProp's `decay` is the decay of the average of squared gradients, as in the paper and in the first
    generation of the Object Detection API. Weight averaging wraps the optimizer.

    Args:
      config: an `Optimizer` message.
      averages: False disables averaging, whatever the message says.

    Returns:
      (optimizer, schedule): the schedule maps a step to the learning rate.

    Raises:
      ConfigError: no optimizer is chosen.
    """
    schedule_values.check_optimizer(config)
    kind = config.WhichOneof("optimizer")
    chosen = getattr(config, kind)
    schedule = schedules.build_schedule(chosen.learning_rate)
    if kind == "rms_prop_optimizer":
        optimizer = _legacy.RMSprop(
            schedule, rho=chosen.decay, momentum=chosen.momentum_optimizer_value, epsilon=chosen.epsilon
        )
    elif kind == "momentum_optimizer":
        optimizer = _legacy.SGD(schedule, momentum=chosen.momentum_optimizer_value)
    else:
        optimizer = _legacy.Adam(schedule, epsilon=chosen.epsilon)
    if averages and config.use_moving_average:
        optimizer = optimization.ExponentialMovingAverage(optimizer, average_decay=config.moving_average_decay)
    return optimizer, schedule
