"""A short training and evaluation in a folder of its own, to see how long steps and evaluations take."""

import contextlib
import dataclasses
import gc

import tf_keras

from tfodhelper import families, own_files, terminal
from tfodhelper.config import pipeline as pipelines
from tfodhelper.training import curves, loop, time_budget, trainer
from tfodhelper.training import progress as training_progress

_NEVER = 10**9  # steps


class Trial(loop.Session):
    """A session of which nothing remains; see `open_trial`."""

    @contextlib.contextmanager
    def begun(self):
        """Yields (a function that does a number of steps, a function that evaluates)."""
        loss_terms = families.family_of(self.pipeline.model).loss_terms(self.pipeline.model)
        self.line = training_progress.TrainingProgress(_NEVER, self._global_batch, 0, loss_terms)
        self._last_logged = (0, 0.0)
        self._restore()
        with self.strategy.scope(), trainer.quiet_orbit(), self._explained("train_input_reader"):
            controller = self._build_controller()

            def train(steps):
                step = int(self.trainer.global_step.numpy())
                controller.train(steps=step + steps, checkpoint_at_completion=False)

            def evaluate():
                # With all that an evaluation of a training does: weights are kept, results.csv and its picture written.
                self.history.add(int(self.trainer.global_step.numpy()), controller.evaluate(steps=-1))
                curves.write_curves(self.history, self.model_dir)

            yield train, evaluate


@contextlib.contextmanager
def open_trial(pipeline, label_map, model_dir, options, starting_point):
    """Opens a trial of a training; nothing is printed inside.

    Args:
      pipeline, label_map, options, starting_point: of the training, see `loop.Session`.
      model_dir: folder of the training, in which the trial has a temporary one.

    Yields:
      (a function that does a number of steps, a function that evaluates some of the validation images).
    """
    shortened = pipelines.new_pipeline()
    shortened.CopyFrom(pipeline)
    shortened.train_config.num_steps = max(shortened.train_config.num_steps, time_budget.LEAST_STEPS)
    given = shortened.eval_config.num_examples or time_budget.TRIAL_IMAGES
    shortened.eval_config.num_examples = min(given, time_budget.TRIAL_IMAGES)
    undisturbed = dataclasses.replace(
        options, eval_every=_NEVER, checkpoint_every=_NEVER, log_every=_NEVER, patience=None
    )
    folder = own_files.TemporaryFolder(model_dir)
    try:
        with terminal.muted():
            trial = Trial(shortened, label_map, folder.path, undisturbed, starting_point)
            with trial.begun() as functions:
                yield functions
    finally:
        trial = None
        folder.remove()
        tf_keras.backend.clear_session()
        gc.collect()
