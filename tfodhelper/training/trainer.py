"""The Model Garden's trainer, with checkpoints that carry the zoo's keys and a stop on losses that are not finite."""

import contextlib
import types

import tensorflow as tf
from official.core import base_trainer
from orbit import controller as orbit_controller
from orbit.utils import loop_fns

from tfodhelper import errors, tensorflow_setup
from tfodhelper.checkpoints import save
from tfodhelper.fields import Inputs, Losses
from tfodhelper.training import strategy as strategies

# Not used by devices.
_ON_HOST = (Inputs.FILENAME, Inputs.SOURCE_ID, Inputs.ORIGINAL_IMAGE, Inputs.VERIFIED, Inputs.STORED_MASKS)


def _split_host_features(inputs):
    """((features, labels) for the devices, features that stay on the host)."""
    features, labels = inputs
    on_host = {key: value for key, value in features.items() if key in _ON_HOST}
    return ({key: value for key, value in features.items() if key not in _ON_HOST}, labels), on_host


def average_trained(optimizer, variables):
    """Lets an optimizer that averages weights do so for these alone.

    Frozen weights have no average: it would begin at 0, and come close to them without being the same.
    """
    if isinstance(optimizer, base_trainer.optimization.ExponentialMovingAverage):
        optimizer.shadow_copy(types.SimpleNamespace(trainable_variables=variables))


class BadBatch:
    """Remembers the first step whose loss is not finite, and the files of its batch on this machine.

    Made outside of a strategy's scope: the variables belong to the host, not to the replicas.
    """

    def __init__(self):
        with tf.device("CPU:0"):
            self.step = tf.Variable(-1, dtype=tf.int64, trainable=False)
            self.files = tf.Variable([""], dtype=tf.string, shape=[None], trainable=False)

    def remember(self, loss, step, files):
        """Records a step if its loss is the first that is not finite.

        Args:
          loss: float32 scalar.
          step: int64 scalar.
          files: string tensors, one for each replica of this machine.
        """
        with tf.device("CPU:0"):
            if tf.logical_not(tf.math.is_finite(loss)) and self.step < 0:
                self.step.assign(step)
                self.files.assign(tf.concat(files, axis=0))

    def check(self):
        """Raises a TrainingError that names the files of the recorded step, if any."""
        if self.step.numpy() < 0:
            return
        files = sorted({name.decode("utf-8", "replace") for name in self.files.numpy()})
        raise errors.TrainingError(
            f"step {self.step.numpy()}: the loss is not finite",
            expected="a number",
            received="NaN or infinity, on the batch of " + ", ".join(files),
            fix="check these images with `tfodhelper check`, lower --learning_rate, or set "
            "train_config.gradient_clipping_by_norm; the last checkpoint is from before this step and is kept",
        )


class DetectionTrainer(base_trainer.Trainer):
    """Trains and evaluates a detector.

    Checkpoints hold `model` under the keys of the published checkpoints, `optimizer` and `step`; with float16 also
    `loss_scale`.

    Args:
      config: the Model Garden's `ExperimentConfig`.
      task: a `DetectionTask`.
      model: the detector.
      optimizer: a tf_keras optimizer.
      schedule: maps a step to the learning rate.
      bad_batch: a `BadBatch`.
      make_evaluation: a function without arguments that returns a fresh `evaluation.Evaluation`.
      evaluated: called with the evaluation and its result before training continues, while the evaluated weights
        (averaged ones, if averaging is on) are in place.
    """

    def __init__(
        self, config, task, model, optimizer, schedule, bad_batch, make_evaluation, evaluated=None, train=True
    ):
        average_trained(optimizer, task.trained_variables(model))
        super().__init__(config, task, model, optimizer, train=train, evaluate=True)
        self._schedule, self._make_evaluation, self._evaluated = schedule, make_evaluation, evaluated
        self._bad_batch = bad_batch
        more = {} if task.loss_scale is None else {"loss_scale": task.loss_scale}
        self._checkpoint = tf.train.Checkpoint(
            step=self.global_step, model=save.ModelView(model), optimizer=optimizer, **more
        )

    def create_optimizer_variables(self):
        """Creates what the optimizer keeps of each variable, before the first step.

        The first step would do so as well, and because of it TensorFlow would trace the step twice.
        """
        is_averaging = isinstance(self.optimizer, base_trainer.optimization.ExponentialMovingAverage)
        inner = self.optimizer._optimizer if is_averaging else self.optimizer
        inner._create_all_weights(self.task.updated_variables(self.model))

    def distribute_dataset(self, dataset_or_fn, *args, **kwargs):
        """The batches for the devices; where the only device is the host's processor, the dataset as it is.

        TensorFlow's iterator over devices would keep a thread that tunes, see `inputs.reader.without_tuning`.
        """
        if strategies.is_host(self.strategy):
            return dataset_or_fn(*args, **kwargs)
        return super().distribute_dataset(dataset_or_fn, *args, **kwargs)

    def train_step(self, iterator):
        """One step on all replicas; remembers the first batch whose loss is not finite."""
        inputs, on_host = _split_host_features(self.next_train_inputs(iterator))

        def step_fn(inputs):
            losses = self.task.train_step(
                inputs, model=self.model, optimizer=self.optimizer, metrics=self.train_metrics
            )
            self.global_step.assign_add(1)
            return losses[Losses.TOTAL]

        per_replica = self.strategy.run(step_fn, args=(inputs,), options=self._runtime_options)
        total = self.strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica, axis=None)
        files = self.strategy.experimental_local_results(on_host[Inputs.FILENAME])
        self._bad_batch.remember(total, tf.convert_to_tensor(self.global_step), files)

    def train_loop_end(self):
        """Means of the losses since the last call, and the learning rate.

        Raises:
          TrainingError: a loss was not finite; it names the files of the first such batch.
        """
        logs = {metric.name: metric.result() for metric in self.train_metrics}
        for metric in self.train_metrics:
            metric.reset_states()
        self._bad_batch.check()
        logs["learning_rate"] = self._schedule(self.global_step)
        return logs

    def next_eval_inputs(self, iterator):
        """The next batch for the devices, and its parts that stay on the host: names and stored images."""
        inputs, on_host = _split_host_features(next(iterator))
        return inputs, {key: self.strategy.experimental_local_results(value) for key, value in on_host.items()}

    def create_eval_loop_fn(self, has_state):
        """A loop in Python, with state or without; what TensorFlow notes about the graph of a step is left out."""
        del has_state
        return loop_fns.create_loop_fn(quiet_at_first(tf.function(self.eval_step, autograph=False)))

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


def quiet_at_first(step):
    """A function that calls another one, the first time without what TensorFlow's C++ library writes.

    In the first call, the graph is optimized; of two-stage detectors, the estimator of costs then writes a warning for
    each operation that crops an unknown number of boxes, which no setting turns off.
    """
    is_first = True

    def call(*arguments):
        nonlocal is_first
        with tensorflow_setup.stderr_is_silent() if is_first else contextlib.nullcontext():
            is_first = False
            return step(*arguments)

    return call


@contextlib.contextmanager
def quiet_orbit():
    """Keeps orbit from printing every number again, next to our progress line."""
    spoken, orbit_controller._log = orbit_controller._log, lambda message: None
    try:
        yield
    finally:
        orbit_controller._log = spoken
