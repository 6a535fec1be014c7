"""Trains with evaluation every few steps, keeps the best and the last weights, and resumes after any interruption."""

import contextlib
import dataclasses
import pathlib
import time

import orbit
import tensorflow as tf
from official.core import config_definitions

from tfodhelper import console, errors, events, families, own_files, run_layout, spelling, storage
from tfodhelper.checkpoints import find, moving_averages, restore, resume, save, whole
from tfodhelper.inputs import adopted, diagnose, sampling
from tfodhelper.models import normalization
from tfodhelper.training import (
    analysis_summaries,
    batch_pictures,
    compilation,
    curves,
    evaluation,
    loss_log,
    memory,
    optimizers,
    patience,
    strategy,
    summaries,
)
from tfodhelper.training import best as best_metrics
from tfodhelper.training import progress as training_progress
from tfodhelper.training import task as training_task
from tfodhelper.training import trainer as training_trainer

NUM_STEPS, PATIENCE = "num_steps", "patience"  # what ends a training


@dataclasses.dataclass
class TrainResult:
    """Where the weights are, and how good they are.

    Args:
      step: the last step.
      last_checkpoint: prefix of the weights of the last evaluation.
      best_checkpoint: prefix of the weights that are best by --best_metric.
      history: all evaluations.
      seconds_per_step: median over the logged stretches of this process, or None if nothing was trained.
      ended: NUM_STEPS or PATIENCE: what ended the training.
      reason: the same in words.
      best_reason: which step is the best one and why, in words.
    """

    step: int
    last_checkpoint: str
    best_checkpoint: str
    history: evaluation.History
    seconds_per_step: float | None
    ended: str = NUM_STEPS
    reason: str = ""
    best_reason: str = ""


class Session:
    """A model folder, opened for training or evaluation: model, inputs, checkpoints, curves.

    Args:
      pipeline: a complete `TrainEvalPipelineConfig` message.
      label_map: a `LabelMap`.
      model_dir: folder of checkpoints and event files.
      options: `options.TrainOptions`.
      starting_point: a `task.StartingPoint`, used if the folder contains no checkpoint.
      num_validation_images: for the progress line, or None.
      train: False for evaluation only.
    """

    def __init__(self, pipeline, label_map, model_dir, options, starting_point, num_validation_images=None, train=True):
        self.pipeline, self.label_map, self.options = pipeline, label_map, options
        self.model_dir = pathlib.Path(model_dir)
        self.strategy = strategy.build_strategy(options.strategy, options.tpu_address)
        self.is_chief = strategy.is_chief(self.strategy)
        self.history = evaluation.History(self.model_dir / "evaluations.jsonl")
        self._num_validation_images, self._starting_point = num_validation_images, starting_point
        self._patience, self._best_metric = patience.build_patience(options), best_metrics.build_best_metric(options)
        self.eval_every = options.eval_interval(pipeline.train_config.num_steps)
        self._global_batch = strategy.check_batch_size(pipeline.train_config.batch_size, self.strategy)
        self._resume_from = whole.find_to_resume(self.model_dir) if train else None
        self.start_step = save.step_of(self._resume_from) if self._resume_from else 0
        self._losses = loss_log.LossLog(self.model_dir if train and self.is_chief else None, self.start_step)
        self._rates = []
        self._progress, self.line, self.build_evaluation = None, None, evaluation.build_evaluation
        batch = spelling.count(self._global_batch, "image")
        lower = f", layers in {self.precision}" if train and self.precision != "float32" else ""
        lower += ", compiled by XLA, which takes a while at first" if options.jit else ""
        console.say(f"strategy: {strategy.describe(self.strategy)}; batch of {batch} per step{lower}")
        bad_batch = training_trainer.BadBatch()
        with self.strategy.scope():
            self._build(starting_point, train, bad_batch)

    def _build(self, starting_point, train, bad_batch):
        config = self._experiment_config(train)
        self.task = training_task.DetectionTask(
            config.task,
            self.pipeline,
            starting_point,
            self.options.seed,
            self.start_step,
            sampling.Sampling(self.options.sampling, self.options.negatives),
            self.options.jpeg_dct,
            training_task.choose_frozen(self.pipeline.train_config, self.options.freeze) if train else None,
            self.precision if train else "float32",
            treatment=adopted.make_treatment(self.options, self.pipeline.train_input_reader, self._global_batch),
            **compilation.choose(self.options, self.pipeline, self.strategy),
        )
        model = self.task.build_model()
        # Evaluation alone restores averaged weights itself; there is nothing to swap with.
        optimizer, schedule = optimizers.build_optimizer(self.pipeline.train_config.optimizer, averages=train)
        self.trainer = training_trainer.DetectionTrainer(
            config,
            self.task,
            model,
            optimizer,
            schedule,
            bad_batch,
            self._make_evaluation,
            evaluated=self._evaluated if train else self._write_evaluation,
            train=train,
        )
        if starting_point.checkpoint is None:
            # Otherwise statistics that begin at 0 and 1 would lag behind the weights for thousands of steps.
            normalization.warm_up_statistics(model, self.trainer.global_step)
        if self._resume_from is not None:
            resume.check_fits(model, self._resume_from)
            if self.is_chief and find.read_state(self.model_dir) != self._resume_from:
                save.name_newest(self._resume_from)  # orbit restores what the manager of checkpoints calls the newest
        self._scratch = None if self.is_chief else own_files.TemporaryFolder()
        self._own_folder = self.model_dir if self.is_chief else pathlib.Path(self._scratch.path)
        self.manager = tf.train.CheckpointManager(
            self.trainer.checkpoint,
            str(self._own_folder),
            max_to_keep=self.options.keep_checkpoints,
            step_counter=self.trainer.global_step,
            checkpoint_interval=self.checkpoint_every,
        )

    @property
    def precision(self):
        """Of the layers' arithmetic: as given; use_bfloat16 counts on TPUs, as in the Object Detection API."""
        on_tpu = isinstance(self.strategy, tf.distribute.TPUStrategy)
        by_config = "bfloat16" if self.pipeline.train_config.use_bfloat16 and on_tpu else "float32"
        return self.options.precision or by_config

    @property
    def checkpoint_every(self):
        """Steps between checkpoints: as given, or at every evaluation and at most 1000 steps apart."""
        return self.options.checkpoint_every or max(1, min(self.eval_every, 1000))

    def _experiment_config(self, train):
        data = config_definitions.DataConfig
        eval_batch = max(1, self.pipeline.eval_config.batch_size) * self.strategy.num_replicas_in_sync
        return config_definitions.ExperimentConfig(
            task=config_definitions.TaskConfig(
                train_data=data(global_batch_size=self._global_batch, is_training=True, seed=self.options.seed),
                validation_data=data(global_batch_size=eval_batch, is_training=False, drop_remainder=False),
            ),
            trainer=config_definitions.TrainerConfig(
                train_steps=self.pipeline.train_config.num_steps if train else 0,
                steps_per_loop=self.options.log_every,
                summary_interval=self.options.log_every,
                checkpoint_interval=self.checkpoint_every,
                validation_interval=self.eval_every,
                max_to_keep=self.options.keep_checkpoints,
            ),
        )

    def _make_evaluation(self):
        total = self._num_validation_images
        if total is not None and self.pipeline.eval_config.num_examples:
            total = min(total, self.pipeline.eval_config.num_examples)
        self._progress = console.Progress("evaluation: images", total)
        return self.build_evaluation(self.pipeline, self.label_map, self._progress)

    def _restore(self):
        """Restores the newest checkpoint on every worker, or fills the model from the starting point."""
        with self.strategy.scope():
            if self._resume_from is None:
                self.trainer.initialize()
                return
            console.say(f"resuming from {self._resume_from}, step {self.start_step}")
            try:
                self.trainer.checkpoint.restore(self._resume_from).assert_existing_objects_matched()
            except (AssertionError, ValueError) as error:
                raise resume.explain_refusal(self._resume_from, error) from error

    def _build_controller(self):
        """Builds orbit's outer loop over the restored model."""
        train_dir, eval_dir = self.model_dir / "train", self.model_dir / "eval"
        if self.is_chief:
            summaries.drop_after(train_dir, self.start_step)
            summaries.drop_after(eval_dir, max((record["step"] for record in self.history.records), default=0))
        with self.strategy.scope():
            return orbit.Controller(
                global_step=self.trainer.global_step,
                trainer=self.trainer,
                evaluator=self.trainer,
                strategy=self.strategy,
                steps_per_loop=self._steps_to_next_stop,
                checkpoint_manager=self.manager,
                summary_dir=str(train_dir) if self.is_chief else None,
                eval_summary_dir=str(eval_dir) if self.is_chief else None,
                eval_summary_manager=self._eval_summaries(),
                train_actions=[self._trained],
            )

    def _eval_summaries(self):
        folder = str(self.model_dir / "eval") if self.is_chief else None
        return summaries.MeasuredSummaries(folder, tf.summary.scalar, global_step=self.trainer.global_step)

    def train(self):
        """Trains to the last step; evaluates every `eval_every` steps and at the end.

        Returns:
          A `TrainResult`.
        """
        num_steps = self.pipeline.train_config.num_steps
        loss_terms = families.family_of(self.pipeline.model).loss_terms(self.pipeline.model)
        self.line = training_progress.TrainingProgress(num_steps, self._global_batch, self.start_step, loss_terms)
        if self.start_step > num_steps:
            raise errors.TrainingError(
                f"{self.model_dir}: has already been trained for {spelling.count(self.start_step, 'step')}",
                expected=f"at most {num_steps}, as num_steps says",
                fix="raise --num_steps, or choose another folder",
            )
        self._restore()
        with self.strategy.scope(), training_trainer.quiet_orbit(), self._explained("train_input_reader"):
            controller = self._build_controller()
            self.trainer.create_optimizer_variables()
            step = self._train_and_evaluate(controller, num_steps)
        early = self._find_early_end(step) if step < num_steps else None
        ended, reason = (PATIENCE, early) if early else (NUM_STEPS, f"all {num_steps} steps are done")
        return TrainResult(
            *(step, self.last_prefix(), self.best_prefix(), self.history, self._median_step_seconds(), ended, reason),
            best_reason=best_metrics.describe(self.history.records, self._best_metric) if self.history.records else "",
        )

    def _train_and_evaluate(self, controller, num_steps):
        step = self.start_step
        if step == 0 < num_steps and self.is_chief:
            batch_pictures.draw_first(self.task, self.trainer.config.task, self.label_map, self.model_dir)
            analysis_summaries.write_hparams(self.model_dir / "eval", self.pipeline, self.options)
        # A process that was killed between a checkpoint and the end of its evaluation must catch up on that evaluation.
        if step and self._is_due(step) and not self.history.has(step):
            self._evaluate(controller)
        if step == 0 and (num_steps == 0 or self._starting_point.keeps_classes) and not self.history.has(0):
            self._evaluate(controller)
        while step < num_steps and not self._find_early_end(step):
            target = min(num_steps, (step // self.eval_every + 1) * self.eval_every)
            self._last_logged = (step, time.monotonic())
            controller.train(steps=target, checkpoint_at_completion=True)
            self.line.end_line()
            step = int(self.trainer.global_step.numpy())
            self._evaluate(controller)
        if step < num_steps:
            console.say(f"training ends at step {step} of {num_steps}: {self._find_early_end(step)}")
        return step

    def _find_early_end(self, step):
        """Why the training ends at a step before its last one, in words, or None; follows from stored evaluations."""
        if self._patience is None:
            return None
        return self._patience.find_end([record for record in self.history.records if record["step"] <= step])

    @contextlib.contextmanager
    def _explained(self, name):
        """Names the record and the image if reading the input fails, and what to lower if memory runs out."""
        try:
            yield
        except tf.errors.ResourceExhaustedError as error:  # of a full disk, too
            refusal = storage.explain_refusal_in(error.message)
            raise refusal or memory.explain_out_of_memory(error, self.pipeline) from error
        except (tf.errors.OpError, UnicodeDecodeError) as error:
            patterns = [*self.pipeline.eval_input_reader[0].tf_record_input_reader.input_path]
            if name == "train_input_reader":
                patterns = [*self.pipeline.train_input_reader.tf_record_input_reader.input_path, *patterns]
            explained = diagnose.explain_input_error(error, patterns)
            if explained is None:
                raise
            raise explained from error

    def _steps_to_next_stop(self, step):
        """Steps from `step` to the next point of the curves or the next checkpoint."""
        return min(every - step % every for every in (self.options.log_every, self.checkpoint_every))

    def _is_due(self, step):
        return step % self.eval_every == 0 or step == self.pipeline.train_config.num_steps

    def _trained(self, logs):
        step, now = int(self.trainer.global_step.numpy()), time.monotonic()
        self.line.show(step, logs)
        losses = {name: float(value) for name, value in logs.items() if name.startswith(evaluation.LOSS_PREFIX)}
        self._losses.add(step, losses)
        last_step, last_time = self._last_logged
        self._rates.append((now - last_time) / max(1, step - last_step))
        self._last_logged = (step, now)

    def _median_step_seconds(self):
        rates = sorted(self._rates[1:])  # the first stretch includes the tracing of the step
        return rates[len(rates) // 2] if rates else None

    def _evaluate(self, controller):
        step, start = int(self.trainer.global_step.numpy()), time.monotonic()
        self.line.pause()
        metrics = controller.evaluate(steps=-1)
        self._progress.show(final=True)
        seconds = time.monotonic() - start
        if not self.is_chief:
            return
        self.history.add(step, metrics, **self._of_evaluation, seconds=round(seconds, 1))
        self._announce_evaluation()
        best = self.history.best()
        console.say(
            f"evaluation at step {step}: {evaluation.summarize(metrics)}, {console.format_seconds(seconds)}"
            + (f"; best so far: {best_metrics.describe_value(best)}" if best else "")
        )
        curves.write_curves(self.history, self.model_dir)

    def _announce_evaluation(self):
        best = self.history.best()
        num_steps = self.pipeline.train_config.num_steps
        events.emit(
            events.EVALUATION_DONE,
            **self.history.records[-1],
            num_steps=num_steps,
            best_step=best["step"] if best else None,
        )

    def _evaluated(self, finished, metrics):
        """Keeps the evaluated weights as the last ones, and as the best ones if they are."""
        step = int(self.trainer.global_step.numpy())
        # Every worker takes part in reading the variables; one keeps the files.
        last = save.save_weights(self.trainer.model, self._own_folder / whole.LAST, step)
        if not self.is_chief:
            return
        names, train = [whole.LAST], self._losses.mean(self.history.last_before(step), step)
        record = {"metrics": evaluation.to_stored(metrics), "train": evaluation.to_stored(train)}
        best = run_layout.best_of(self.history.before(step))
        is_best = self._best_metric.improves(record, best)
        by = self._best_metric.metric if is_best else None
        self._of_evaluation = {"train": record["train"], run_layout.BEST_BY: by}
        # Where the figure cannot be measured, the last weights are as good as any.
        if is_best or best is None:
            save.copy_weights(last, self.model_dir / whole.BEST)
            names.append(whole.BEST)
        folders = [run_layout.evaluation_of(self.model_dir, name) for name in names]
        analysis_summaries.write_analysis(finished.write(folders, step, last, metrics), step)
        summaries.write_images(finished.pictures, step)

    def _write_evaluation(self, finished, metrics):
        """Keeps what an evaluation of a single checkpoint has found."""
        if self.is_chief:
            step = int(self.trainer.global_step.numpy())
            folder = run_layout.evaluation_of(self.model_dir, f"step-{step}")
            finished.write([folder], step, self._evaluated_prefix, metrics)

    def evaluate(self, prefix):
        """Evaluates one checkpoint.

        Args:
          prefix: of a checkpoint of the model, or a folder that contains one.

        Returns:
          (step, {tag: value}).
        """
        prefix = self._evaluated_prefix = restore.restore_trained(self.trainer.model, prefix).prefix
        moving_averages.restore_averages(self.trainer.model, prefix)
        step = save.step_of(prefix)
        self.trainer.global_step.assign(step)
        with self.strategy.scope(), training_trainer.quiet_orbit(), self._explained("eval_input_reader"):
            controller = orbit.Controller(
                global_step=self.trainer.global_step,
                evaluator=self.trainer,
                strategy=self.strategy,
                eval_summary_manager=self._eval_summaries(),
            )
            metrics = controller.evaluate(steps=-1)
        self._progress.show(final=True)
        return step, metrics

    def last_prefix(self):
        """Prefix of the weights of the last evaluation, or where they are damaged, of those to go back to."""
        return self._weights(whole.LAST)

    def best_prefix(self):
        """Prefix of the best weights, or where they are damaged, of those to go back to."""
        return self._weights(whole.BEST)

    def _weights(self, name):
        """The checkpoint of a folder of weights, which the chief has written; None if there is none."""
        newest = find.find_newest_in(self.model_dir / name)
        return whole.find_whole(self.model_dir / name) if newest and self.is_chief else newest
