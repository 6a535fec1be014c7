"""How many steps of a training fit into a given time: --time.

Steps and an evaluation are measured by a trial in a folder of its own, before the training. Only then is the number of
steps decided, and with it the schedule of the learning rate: the training itself is, from its first step, the one that
--num_steps with this number gives. The number is kept in the folder of the training; a resumed training has the same.
"""

import contextlib
import dataclasses
import math
import pathlib
import time

from tfodhelper import console, errors, spelling, state_files, storage
from tfodhelper.checkpoints import find
from tfodhelper.config import pipeline as pipelines
from tfodhelper.config import schedule_scaling

NAME = "time.json"  # in the folder of a training
LEAST_STEPS = 100  # fewer teach a detector nothing
TRIAL_IMAGES = 24  # of the validation
_FIRST_STEPS, _STRETCH = 2, 5  # the first ones include tracing and the filling of buffers
_LEAST_STRETCHES, _MOST_STRETCHES = 2, 10
_STRETCHES_S = 20.0  # as many stretches as fit into this, within the bounds above
_RESERVE = 0.03  # of the time, for what a trial does not show
_FORM = state_files.StateForm(
    "the number of steps that fit into the time of a training",
    {"hours": float, "num_steps": int, "step_seconds": float, "evaluation_seconds": float, "estimated_seconds": float},
    "restore the file from a copy, or choose another folder",
)


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a trial has shown, in seconds.

    Attributes:
      step: one step.
      evaluation: one evaluation of all validation images.
      setup: what the training will need besides: building, restoring, tracing.
      elapsed: what the trial has taken itself.
    """

    step: float
    evaluation: float
    setup: float
    elapsed: float


@dataclasses.dataclass(frozen=True)
class Fit:
    """A training that fits into a time.

    Attributes:
      hours: the time.
      num_steps: the steps that fit.
      step_seconds, evaluation_seconds: as measured.
      estimated_seconds: how long the training takes with them, the trial included.
    """

    hours: float
    num_steps: int
    step_seconds: float
    evaluation_seconds: float
    estimated_seconds: float


def measure(open_trial, num_images, clock):
    """Measures steps and an evaluation.

    Args:
      open_trial: a function without arguments that returns a context manager, which gives (a function that does a
        number of steps, a function that evaluates up to `TRIAL_IMAGES` images).
      num_images: number of validation images.
      clock: seconds, as of `time.monotonic`.

    Returns:
      `Measured`.
    """
    begin = clock()
    with open_trial() as (train, evaluate):
        train(_FIRST_STEPS)
        setup = clock() - begin
        rates = []
        while len(rates) < _LEAST_STRETCHES or (
            len(rates) < _MOST_STRETCHES and _STRETCH * sum(rates) * (1 + 1 / len(rates)) <= _STRETCHES_S
        ):
            start = clock()
            train(_STRETCH)
            rates.append((clock() - start) / _STRETCH)
        times = []
        for _ in range(2):
            start = clock()
            evaluate()
            times.append(clock() - start)
    evaluation = times[1] * max(1.0, num_images / TRIAL_IMAGES)
    tracing = max(0.0, times[0] - times[1])
    return Measured(sorted(rates)[len(rates) // 2], evaluation, setup + tracing, clock() - begin)


def fit(hours, measured, eval_interval):
    """The largest number of steps with which a training takes no longer than a time.

    Args:
      hours: the time.
      measured: a `Measured`.
      eval_interval: number of steps -> steps between evaluations.

    Returns:
      A `Fit`, with at least `LEAST_STEPS`, however long they take.
    """

    def seconds_of(num_steps):
        evaluations = math.ceil(num_steps / eval_interval(num_steps))
        return measured.elapsed + measured.setup + num_steps * measured.step + evaluations * measured.evaluation

    most = hours * 3600 * (1 - _RESERVE)
    low, high = LEAST_STEPS, max(LEAST_STEPS, math.floor(most / max(measured.step, 1e-6)))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if seconds_of(middle) <= most else (low, middle - 1)
    return Fit(hours, low, round(measured.step, 4), round(measured.evaluation, 2), round(seconds_of(low), 1))


def describe(chosen, eval_interval):
    """A fit in one line."""
    evaluations = math.ceil(chosen.num_steps / eval_interval(chosen.num_steps))
    return (
        f"--time={chosen.hours:g}: {chosen.step_seconds:.3g} s for a step and "
        f"{console.format_seconds(chosen.evaluation_seconds)} for an evaluation, as measured; "
        f"{spelling.count(chosen.num_steps, 'step')} with {spelling.count(evaluations, 'evaluation')} take about "
        f"{console.format_seconds(chosen.estimated_seconds)}"
    )


def warn_of_least(chosen):
    """Warns if not even the least number of steps fits."""
    if chosen.estimated_seconds > chosen.hours * 3600:
        console.warn(
            f"--time={chosen.hours:g}: not even {LEAST_STEPS} steps fit, and fewer would be useless; they take "
            f"about {console.format_seconds(chosen.estimated_seconds)}"
        )


@contextlib.contextmanager
def told(hours, clock=time.monotonic):
    """Says at the end of the block how much of the hours it took; nothing if they are None."""
    begin = clock()
    yield
    if hours is not None:
        console.say(f"--time={hours:g}: this start took {console.format_seconds(clock() - begin)}")


def read_fit(model_dir):
    """The `Fit` that is kept in the folder of a training, or None.

    Raises:
      StorageError: the file is damaged.
    """
    path = pathlib.Path(model_dir) / NAME
    if not path.is_file():
        return None
    state = state_files.read_state(path, _FORM)
    return Fit(**{field.name: state[field.name] for field in dataclasses.fields(Fit)})


def keep_fit(model_dir, chosen):
    """Keeps a `Fit` in the folder of a training."""
    storage.write_json(pathlib.Path(model_dir) / NAME, dataclasses.asdict(chosen))


def find_kept(model_dir, hours):
    """The kept `Fit` of a training that has begun with these hours; None if it has not begun, or hours is None.

    Raises:
      UsageError: there are checkpoints that were trained with other hours.
    """
    kept = read_fit(model_dir)
    previous = kept.hours if kept is not None else None
    if previous == hours:
        return kept
    if find.find_newest_in(model_dir):
        flags = ["without --time" if value is None else f"--time={value:g}" for value in (previous, hours)]
        raise errors.UsageError(
            f"{model_dir}: the number of steps of its training was chosen for another time",
            expected=flags[0],
            received=flags[1],
            fix="repeat the previous flags, or choose another folder",
        )
    return None


def rescale(pipeline, num_steps):
    """A copy of a configuration with another number of steps, to which the schedule of the learning rate is scaled.

    Returns:
      (`TrainEvalPipelineConfig` message, notes).
    """
    scaled = pipelines.new_pipeline()
    scaled.CopyFrom(pipeline)
    train = scaled.train_config
    notes = schedule_scaling.scale_steps(train.optimizer, train.num_steps, num_steps)
    train.num_steps = num_steps
    return scaled, notes
