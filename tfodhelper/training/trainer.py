"""The Model Garden's trainer, with checkpoints that carry the zoo's keys and a stop on losses that are not finite."""

import tensorflow as tf
from official.core import base_trainer

from tfodhelper import errors
from tfodhelper.fields import Inputs, Losses
from tfodhelper.training import checkpoints


class DetectionTrainer(base_trainer.Trainer):
    """Trains and evaluates a detector.

    Checkpoints hold `model` under the keys of the published checkpoints, `optimizer` and `step`.

    Args:
      config: the Model Garden's `ExperimentConfig`.
      task: a `DetectionTask`.
      model: the detector.
      optimizer: a tf_keras optimizer.
      schedule: maps a step to the learning rate.
      make_evaluation: a function without arguments that returns a fresh `evaluation.Evaluation`.
      evaluated: called with the trainer's weights as they are evaluated (averaged ones, where averaging is on) and the
        result, before training goes on.
    """

    def __init__(self, config, task, model, optimizer, schedule, make_evaluation, evaluated=None, train=True):
        super().__init__(config, task, model, optimizer, train=train, evaluate=True)
        self._schedule, self._make_evaluation, self._evaluated = schedule, make_evaluation, evaluated
        self._checkpoint = tf.train.Checkpoint(
            step=self.global_step, model=checkpoints.ModelView(model), optimizer=optimizer
        )
        # Written by the step that goes wrong; the files are those of the batch on this machine.
        with tf.device("CPU:0"):
            self._bad_step = tf.Variable(-1, dtype=tf.int64, trainable=False)
            self._bad_files = tf.Variable([""], dtype=tf.string, shape=[None], trainable=False)

    def train_step(self, iterator):
        """One step on all replicas; remembers the first batch whose loss is not finite."""
        inputs = self.next_train_inputs(iterator)

        def step_fn(inputs):
            losses = self.task.train_step(
                inputs, model=self.model, optimizer=self.optimizer, metrics=self.train_metrics
            )
            self.global_step.assign_add(1)
            return losses[Losses.TOTAL]

        per_replica = self.strategy.run(step_fn, args=(inputs,), options=self._runtime_options)
        total = self.strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica, axis=None)
        files = self.strategy.experimental_local_results(inputs[0][Inputs.FILENAME])
        step = tf.convert_to_tensor(self.global_step)
        with tf.device("CPU:0"):
            if tf.logical_not(tf.math.is_finite(total)) and self._bad_step < 0:
                self._bad_step.assign(step)
                self._bad_files.assign(tf.concat(files, axis=0))

    def train_loop_end(self):
        """Means of the losses since the last call, and the learning rate.

        Raises:
          TrainingError: when a loss was not finite; it names the files of the first such batch.
        """
        logs = {metric.name: metric.result() for metric in self.train_metrics}
        for metric in self.train_metrics:
            metric.reset_states()
        if int(self._bad_step) >= 0:
            raise self._not_finite()
        logs["learning_rate"] = self._schedule(self.global_step)
        return logs

    def _not_finite(self):
        files = sorted({name.decode("utf-8", "replace") for name in self._bad_files.numpy()})
        return errors.TrainingError(
            f"step {int(self._bad_step)}: the loss is not finite",
            expected="a number",
            received="NaN or infinity, on the batch of " + ", ".join(files),
            way_out="look at these images with `python -m tfodhelper check`, lower --learning_rate, or set "
            "train_config.gradient_clipping_by_norm; the last checkpoint is from before this step and is kept",
        )

    def eval_begin(self):
        super().eval_begin()
        return self._make_evaluation()

    def eval_end(self, aggregated_logs=None):
        """Closes the evaluation while the evaluated weights are still in place."""
        result = self.task.reduce_aggregated_logs(aggregated_logs, global_step=self.global_step)
        if self._evaluated is not None:
            self._evaluated(aggregated_logs, result)
        if isinstance(self.optimizer, base_trainer.optimization.ExponentialMovingAverage):
            self.optimizer.swap_weights()
        return result
