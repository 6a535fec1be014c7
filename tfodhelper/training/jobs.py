"""Training and evaluation of one model folder, from a pipeline.config to a result."""

import contextlib
import functools
import pathlib
import time

import tensorflow as tf

from tfodhelper import console, errors, events, jpeg_dct, run_layout, state_files, storage
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.checkpoints import find, save, whole
from tfodhelper.config import checks, overrides
from tfodhelper.config import options as config_options
from tfodhelper.config import pipeline as pipelines
from tfodhelper.inputs import build as inputs_build
from tfodhelper.inputs import sampling
from tfodhelper.metrics import eval_values
from tfodhelper.options import pick
from tfodhelper.training import compilation, evaluation, job_inputs, loop, strategy, time_budget, trial
from tfodhelper.training.options import TrainOptions
from tfodhelper.training.task import StartingPoint

SAMPLING = "sampling.json"  # in a model folder: which classes an epoch sees
_SAMPLING_FORM = state_files.StateForm(
    "the sampling of a training", {"mode": str}, "restore the file from a copy, or remove it and repeat the same flags"
)


def train(options):
    """Trains with a pipeline.config: the verb `train`.

    Args:
      options: `TrainJobOptions`.

    Returns:
      A `loop.TrainResult`.

    Raises:
      UsageError, ConfigError, CheckpointError, TrainingError, StorageError.
    """
    # Of several workers, one tells how the job is doing.
    hears = (options.notify, options.on_event) if strategy.is_chief_process(options.strategy) else ()
    with events.job("train", *hears):
        events.note(folder=str(options.model_dir))
        result = _train(options)
        console.say(result.best_reason)
        names = ("step", "ended", "best_checkpoint", "last_checkpoint")
        events.emit(events.FINISHED, result={name: getattr(result, name) for name in names})
        return result


def _train(options):
    pipeline = pipelines.read_pipeline(options.pipeline_config_path)
    if options.num_steps is not None:
        pipeline.train_config.num_steps = options.num_steps
    checkpoint = options.fine_tune_checkpoint
    if checkpoint == config_options.ZOO:
        raise errors.UsageError(
            "--fine_tune_checkpoint=zoo works only with the verbs config and run, which know the model",
            fix="give the path of a checkpoint, or none",
        )
    if checkpoint:
        pipeline.train_config.fine_tune_checkpoint = "" if checkpoint == config_options.SCRATCH else str(checkpoint)
    pipeline = _change(pipeline, options)
    with process_log_in(options.model_dir), console.phase("train"), time_budget.told(options.time):
        events.emit(events.PHASE_STARTED, phase="train")
        fitting = fit_to_time(pipeline, options.model_dir, pick(TrainOptions, options))
        if fitting is not None:
            pipeline, notes = time_budget.rescale(pipeline, fitting.num_steps)
            for note in [f"steps: {fitting.num_steps}", *notes]:
                console.say(note)
        return train_model(pipeline, options.model_dir, pick(TrainOptions, options), options.num_steps == 0)


def evaluate(options):
    """Evaluates checkpoints of a training: the verb `eval`.

    Args:
      options: `EvalOptions`.

    Yields:
      (step, {tag: value}), see `evaluate_model`.
    """
    pipeline, model_dir, dct = read_evaluation_job(options)
    chosen = pick(TrainOptions, options, jpeg_dct=dct)
    with process_log_in(model_dir):
        build = functools.partial(evaluation.build_evaluation, iou_threshold=options.iou_threshold)
        yield from evaluate_model(pipeline, model_dir, chosen, options.checkpoint, options.eval_timeout, build)


def read_evaluation_job(options):
    """What `EvalOptions` mean: the configuration, the folder of the training, and how JPEGs are decoded."""
    model_dir = run_layout.to_training(options.model_dir)
    config_path = options.pipeline_config_path or pipelines.find_pipeline(model_dir)
    pipeline = _change(pipelines.read_pipeline(config_path), options)
    pipeline.eval_config.metrics_set.extend(options.metrics)
    eval_values.check_eval_config(pipeline.eval_config)
    return pipeline, model_dir, options.jpeg_dct or jpeg_dct.find(model_dir)


def process_log_in(model_dir):
    """A context in which everything that is printed is also in the process.log of a folder, which is made."""
    return console.process_log(storage.make_folder(model_dir) / "process.log")


def _change(pipeline, options):
    """The configuration with the changes of `ChangeOptions`."""
    pipeline = overrides.apply_overrides(pipeline, options.overrides)
    checks.check_pipeline(pipeline, options.ignore_unsupported_fields, _class_names(pipeline))
    return pipeline


def _class_names(pipeline):
    """Names of the label map of evaluation, if there is one already."""
    path = pipeline.eval_input_reader[0].label_map_path if pipeline.eval_input_reader else ""
    return [item.name for item in label_maps.read_label_map(path)] if pathlib.Path(path).is_file() else None


def train_model(pipeline, model_dir, options, only_evaluates=False):
    """Trains a model with evaluation every few steps, or resumes an interrupted training.

    Args:
      pipeline: a complete `TrainEvalPipelineConfig` message.
      model_dir: folder of checkpoints, event files and evaluations; one process at a time.
      options: `TrainOptions`.
      only_evaluates: whether 0 steps are what is wanted; else they mean that the number is not set.

    Returns:
      A `loop.TrainResult`.

    Raises:
      ConfigError, CheckpointError, TrainingError, StorageError, UsageError.
    """
    if pipeline.train_config.num_steps < 1 and not only_evaluates:
        raise errors.ConfigError(
            "train_config.num_steps: the number of training steps is not set",
            fix="--num_steps=N; 0 only evaluates the starting weights",
        )
    starting_point, label_map, num_validation = job_inputs.check_inputs(pipeline, options)
    model_dir = storage.make_folder(model_dir)
    is_chief = strategy.is_chief_process(options.strategy)
    with storage.hold(model_dir) if is_chief else contextlib.nullcontext():
        if is_chief:
            for folder in (model_dir, model_dir / "last", model_dir / "best"):
                save.remove_leftovers(folder)
        keep_sampling(pipeline.train_input_reader, model_dir, options, is_chief)
        keep_jpeg_dct(model_dir, options.jpeg_dct, is_chief)
        session = loop.Session(pipeline, label_map, model_dir, options, starting_point, num_validation)
        return session.train()


def fit_to_time(pipeline, model_dir, options, clock=time.monotonic):
    """Chooses how many steps fit into the hours of --time, or reads what was chosen when the training began.

    Args:
      pipeline: a complete `TrainEvalPipelineConfig` message; its number of steps does not count.
      model_dir: folder of the training, which keeps the choice.
      options: `TrainOptions`.
      clock: seconds.

    Returns:
      A `time_budget.Fit`; None without --time.

    Raises:
      UsageError: the folder has checkpoints that were trained with another time; else as `train_model`.
    """
    kept = time_budget.find_kept(model_dir, options.time)
    if kept is not None or options.time is None:
        return kept
    starting_point, label_map, num_validation = job_inputs.check_inputs(pipeline, options)
    model_dir = storage.make_folder(model_dir)
    with storage.hold(model_dir):
        console.say(f"--time={options.time:g}: measuring how long steps and an evaluation take")
        chosen = pick(TrainOptions, options)
        opened = functools.partial(trial.open_trial, pipeline, label_map, model_dir, chosen, starting_point)
        measured = time_budget.measure(opened, num_validation, clock)
        fitting = time_budget.fit(options.time, measured, options.eval_interval)
        console.say(time_budget.describe(fitting, options.eval_interval))
        time_budget.warn_of_least(fitting)
        time_budget.keep_fit(model_dir, fitting)
    return fitting


def keep_sampling(input_reader, model_dir, options, is_chief=True):
    """Prints and writes which classes an epoch will see, and refuses to resume with another sampling.

    Args:
      input_reader: the `InputReader` message of training.
      model_dir: its sampling.json gets the distribution.
      options: `TrainOptions`.
      is_chief: whether this process writes.

    Raises:
      UsageError: there are checkpoints that were trained with another sampling.
    """
    chosen = sampling.Sampling(options.sampling, options.negatives)
    path = pathlib.Path(model_dir) / SAMPLING
    known = state_files.read_state(path, _SAMPLING_FORM) if path.exists() else {"mode": sampling.BASE}
    previous = sampling.Sampling(known["mode"], known.get("negatives"))
    if previous != chosen and find.find_newest_in(model_dir):
        raise errors.UsageError(
            f"{model_dir}: its checkpoints were trained with another sampling",
            expected=f"--sampling={previous.mode}, negatives {previous.negatives}",
            received=f"--sampling={chosen.mode}, negatives {chosen.negatives}",
            fix="repeat the previous flags, or choose another --model_dir",
        )
    if chosen.is_plain:
        return
    catalogue, draw, label_map = inputs_build.build_draw(input_reader, chosen, options.seed)
    facts = sampling.describe(catalogue, draw, label_map)
    console.say(sampling.format_distribution(chosen, facts))
    if is_chief:
        storage.write_json(path, {"mode": chosen.mode, "negatives": chosen.negatives, **facts})


def keep_jpeg_dct(model_dir, chosen, is_chief=True):
    """Writes how JPEGs are decoded, for evaluations and exports, and refuses to resume with something else.

    Args:
      model_dir: folder of the training.
      chosen: a key of `jpeg_dct.CHOICES`.
      is_chief: whether this process writes.

    Raises:
      UsageError: there are checkpoints that were trained with the other transform.
    """
    previous = jpeg_dct.find_in(model_dir)
    if previous != chosen and find.find_newest_in(model_dir):
        raise errors.UsageError(
            f"{model_dir}: its checkpoints were trained with JPEGs decoded differently",
            expected=f"--jpeg_dct={previous}",
            received=f"--jpeg_dct={chosen}",
            fix="repeat the previous flags, or choose another --model_dir",
        )
    if is_chief:
        jpeg_dct.keep(model_dir, chosen)


def evaluate_model(pipeline, model_dir, options, checkpoint=None, timeout_s=0.0, build=evaluation.build_evaluation):
    """Evaluates checkpoints on the validation set.

    Args:
      pipeline: a complete `TrainEvalPipelineConfig` message.
      model_dir: folder of a training; its `eval` folder gets the summaries.
      options: `TrainOptions`; only the strategy and how JPEGs are decoded are used.
      checkpoint: prefix, or folder whose newest checkpoint is taken; defaults to `model_dir`.
      timeout_s: how long to wait for a newer checkpoint in the folder; 0 evaluates one.
      build: makes the `evaluation.Evaluation`, from what `evaluation.build_evaluation` takes.

    Yields:
      (step, {tag: value}).
    """
    label_map = job_inputs.read_matching_label_map(pipeline, pipeline.eval_input_reader[0], "eval_input_reader")
    compilation.check_images(options, pipeline)
    num_images = job_inputs.check_eval_records(pipeline)
    prefixes = find_whole_ones(checkpoint or model_dir, timeout_s)
    session = loop.Session(pipeline, label_map, model_dir, options, StartingPoint(), num_images, train=False)
    session.build_evaluation = build
    for prefix in prefixes:
        yield session.evaluate(prefix)


def find_whole_ones(where, timeout_s=0.0):
    """Finds the checkpoints to evaluate.

    Args:
      where: prefix of a checkpoint, or folder whose newest one is taken.
      timeout_s: how long to wait for a newer checkpoint in the folder; 0 finds one, before anything else is done.

    Returns:
      Iterable of prefixes.

    Raises:
      CheckpointError: there is none that is whole.
    """
    if not timeout_s or not pathlib.Path(where).is_dir():
        return [whole.find_whole(where)]
    return _wait_for_whole_ones(where, timeout_s)


def _wait_for_whole_ones(where, timeout_s):
    for prefix in tf.train.checkpoints_iterator(str(where), timeout=timeout_s):
        problem = whole.describe_damage(prefix)
        if problem is None:
            yield prefix
        else:  # a later one may be whole
            console.warn(f"{prefix}: this checkpoint is damaged ({problem}) and is not evaluated")


def say_evaluation(step, metrics):
    """Prints the numbers of one evaluation, see `say_figures`."""
    console.say(f"evaluation at step {step}")
    say_figures(metrics)


def say_figures(metrics):
    """Prints figures, sorted by tag; NaN, which could not be measured, as "-"."""
    rows = [(tag, evaluation.format_figure(value)) for tag, value in sorted(metrics.items())]
    console.say(console.format_table(("metric", "value"), rows, numbers=(1,)))
    if any(figure == "-" for _, figure in rows):
        console.say(evaluation.UNMEASURED)


def is_finished(model_dir, num_steps):
    """Whether a folder contains a training up to `num_steps` with its last evaluation."""
    history = evaluation.History(pathlib.Path(model_dir) / "evaluations.jsonl")
    return history.has(num_steps) and find.find_newest_in(pathlib.Path(model_dir) / "last") is not None
