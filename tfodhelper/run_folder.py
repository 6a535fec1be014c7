"""The main job: a folder of labelled images becomes a trained, evaluated, exported detector in one run folder.

The phases are convert, config, train and export. Each leaves a whole result behind, so that a second start of the same
command goes on where the first one stopped.
"""

import contextlib
import dataclasses
import datetime
import pathlib
import shutil
import time

import tfodhelper
from tfodhelper import console, errors, storage

_STATE = "run.json"
# Settings that may differ between a start and the next one that goes on with it.
_FREE = ("strategy", "tpu_address", "cache_dir", "output_dir")


@dataclasses.dataclass
class RunOptions:
    """All that `run` is told.

    Args:
      data: keyword arguments of `records.convert.ConvertOptions` besides its output folder.
      model: name of a model of the zoo, or None when `pipeline_config_path` is given.
      pipeline_config_path: an existing pipeline.config to fill in instead of a model of the zoo.
      num_steps, batch_size, learning_rate: None leaves the choice to the configuration.
      fine_tune_checkpoint: zoo, none or a path.
      overrides: texts such as "train_config.batch_size=4".
      eval_every, checkpoint_every: steps, or None.
      seed: of the split, the input order, the augmentation and the initial weights.
      sampling, negatives: see `inputs.sampling.Sampling`.
      strategy, tpu_address: which devices train.
      cache_dir: where downloaded models are kept, or None.
      ignore_unsupported_fields: whether fields that are not supported are only warned of.
      output_dir: the run folder, or None for runs/NAME.
    """

    data: dict
    model: str | None = None
    pipeline_config_path: str | None = None
    num_steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    fine_tune_checkpoint: str = "zoo"
    overrides: tuple = ()
    eval_every: int | None = None
    checkpoint_every: int | None = None
    seed: int = 0
    sampling: str = "base"
    negatives: float | None = None
    strategy: str = "auto"
    tpu_address: str | None = None
    cache_dir: str | None = None
    ignore_unsupported_fields: bool = False
    output_dir: str | None = None


def run(options, is_part=False):
    """Runs the main job, or goes on with it.

    Args:
      options: `RunOptions`.
      is_part: whether it is a part of a larger work, which says itself what came out and what to do next.

    Returns:
      The run folder.

    Raises:
      TfodhelperError: with a word on what is wrong; finished phases stay.
    """
    settings = _settings(options)
    if options.strategy == "multi_worker":
        if not options.output_dir:
            raise errors.UsageError("--strategy=multi_worker needs --output_dir: a folder that all workers see")
        if not _is_chief():
            return _follow(options)
    folder = choose_folder(options, settings)
    storage.make_folder(folder)
    with storage.hold(folder), console.process_log(folder / "process.log"):
        state = _read_state(folder) or {"settings": settings, "phases": {}, "finished": False}
        if state["finished"]:
            console.say(f"{folder}: this run is finished already")
        else:
            _start(folder, state)
            _phases(options, folder, state)
        if not is_part:
            _summary(folder, state)
    return folder


def _is_chief():
    from tfodhelper import tensorflow_setup

    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.training import strategy

    return strategy.is_chief_process("multi_worker")


def _follow(options):
    """What every worker but the first does: waits for the configuration and takes part in the training."""
    from tfodhelper.config import pipeline

    folder = pathlib.Path(options.output_dir)
    console.say(f"waiting for the first worker to write {folder / 'pipeline.config'}")
    while "config" not in (_read_state(folder) or {"phases": {}})["phases"]:
        time.sleep(1)
    _train(options, folder, pipeline.read_pipeline(folder / "pipeline.config"))
    return folder


def _settings(options):
    values = {key: value for key, value in dataclasses.asdict(options).items() if key not in _FREE}
    values["data"] = {
        key: str(pathlib.Path(value).absolute()) if key.endswith(("_dir", "_list", "label_map")) and value else value
        for key, value in values["data"].items()
    }
    values["overrides"] = list(values["overrides"])
    return values


def choose_folder(options, settings):
    """The run folder: the one that is named, an unfinished one of the same settings, or the next free name.

    Raises:
      UsageError: the named folder holds something else.
    """
    if options.output_dir:
        return _check_named_folder(pathlib.Path(options.output_dir), settings)
    name = options.model or pathlib.Path(options.pipeline_config_path).stem
    number = 1
    while True:
        folder = pathlib.Path("runs") / (name if number == 1 else f"{name}-{number}")
        state = _read_state(folder)
        if state is not None and not state["finished"] and not _differences(state["settings"], settings):
            return folder
        if not folder.exists():
            return folder
        number += 1


def _check_named_folder(folder, settings):
    state = _read_state(folder)
    if state is None:
        strangers = (
            [p.name for p in folder.iterdir() if p.name not in (".lock", "process.log")] if folder.is_dir() else []
        )
        if strangers:
            raise errors.UsageError(
                f"--output_dir={folder} holds other things",
                expected="an empty folder, a new one, or one of an earlier start of the same command",
                received=", ".join(sorted(strangers)[:5]),
                fix="name another folder: nothing is ever overwritten",
            )
        return folder
    different = _differences(state["settings"], settings)
    if different:
        raise errors.UsageError(
            f"--output_dir={folder} holds a run with other settings",
            expected="; ".join(f"{key}={old!r}" for key, (old, _) in different.items()),
            received="; ".join(f"{key}={new!r}" for key, (_, new) in different.items()),
            fix="repeat the former flags to go on with it, or name another folder",
        )
    return folder


def _differences(old, new):
    return {key: (old.get(key), new.get(key)) for key in {*old, *new} if old.get(key) != new.get(key)}


def _read_state(folder):
    path = folder / _STATE
    return storage.read_json(path) if path.exists() else None


def _start(folder, state):
    again = "going on with" if (folder / _STATE).exists() else "starting"
    console.say(f"{again} {folder} (tfodhelper {tfodhelper.__version__})")
    storage.write_json(folder / _STATE, state)


def _phases(options, folder, state):
    # What can be known to fail is looked at before the first phase: names, flags, the download.
    from tfodhelper import tensorflow_setup
    from tfodhelper.config import generate

    base = generate.find_base(options.model, options.pipeline_config_path)
    generate.check_overrides(base, options.overrides)
    checkpoint = generate.find_fine_tune_checkpoint(base, options.fine_tune_checkpoint, options.cache_dir)
    tensorflow_setup.quiet_tensorflow()
    converted = _timed(folder, state, "convert", lambda: _convert(options, folder))
    pipeline = _timed(folder, state, "config", lambda: _config(options, folder, base, checkpoint, converted))
    result = _timed(folder, state, "train", lambda: _train(options, folder, pipeline))
    if (folder / "checkpoints" / "sampling.json").exists():
        state["sampling"] = storage.read_json(folder / "checkpoints" / "sampling.json")
    _timed(folder, state, "export", lambda: _export(folder, pipeline, converted, result))
    state["result"] = _numbers(result)
    state["finished"] = True
    storage.write_json(folder / _STATE, state)


def _timed(folder, state, name, work):
    start = datetime.datetime.now()
    with contextlib.nullcontext() if name == "convert" else console.phase(name):  # convert says its own phase
        value = work()
    seconds = (datetime.datetime.now() - start).total_seconds()
    phase = state["phases"].setdefault(name, {"seconds": 0.0})
    phase["seconds"] = round(phase["seconds"] + seconds, 1)
    storage.write_json(folder / _STATE, state)
    return value


def _convert(options, folder):
    from tfodhelper.records import convert

    return convert.convert(convert.ConvertOptions(output_dir=folder / "data", seed=options.seed, **options.data))


def _config(options, folder, base, checkpoint, converted):
    from tfodhelper.config import generate, pipeline, supported

    message, notes = generate.generate_pipeline(
        base,
        converted,
        num_steps=options.num_steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        fine_tune_checkpoint=checkpoint,
        overrides=options.overrides,
    )
    for note in notes:
        console.say(note)
    supported.check_supported(message, ignore_unsupported_fields=options.ignore_unsupported_fields)
    pipeline.write_pipeline(folder / "pipeline.config", message)
    return message


def _train(options, folder, pipeline):
    from tfodhelper.inputs import sampling
    from tfodhelper.training import jobs, loop

    num_steps = pipeline.train_config.num_steps
    return jobs.train_model(
        pipeline,
        folder / "checkpoints",
        loop.TrainOptions(
            eval_every=min(num_steps, options.eval_every or max(1, num_steps // 10)),
            checkpoint_every=options.checkpoint_every,
            strategy=options.strategy,
            tpu_address=options.tpu_address,
            seed=options.seed,
            sampling=sampling.Sampling(options.sampling, options.negatives),
        ),
    )


def _export(folder, pipeline, converted, result):
    from tfodhelper.exporting import saved_model

    exported = {}
    for name, prefix in (("best", result.best_checkpoint), ("last", result.last_checkpoint)):
        target, step = folder / "export" / name, prefix.rpartition("-")[2]
        if target.is_dir():
            console.say(f"{target}: is there already")
        elif step in exported:
            _copy_whole(exported[step], target)
            console.say(f"{target}: step {step}, the same as {exported[step].name}")
        else:
            saved_model.export_trained(pipeline, prefix, target, label_map_path=converted.label_map_path)
            console.say(f"{target}: step {step}")
        exported[step] = target


def _copy_whole(source, target):
    """Copies a folder so that the copy appears under its name only when it is complete."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    partial.rename(target)


def _numbers(result):
    from tfodhelper.training import evaluation

    best, last = result.history.best(), result.history.records[-1]
    return {
        name: {
            "step": record["step"],
            "mAP": record["metrics"][evaluation.MAP],
            "mAP@.50IOU": record["metrics"][evaluation.MAP_50],
        }
        for name, record in (("best", best or last), ("last", last))
    } | {"seconds_per_step": result.seconds_per_step}


def _summary(folder, state):
    rows = [
        (name, numbers["step"], _figure(numbers["mAP"]), _figure(numbers["mAP@.50IOU"]), folder / "export" / name)
        for name, numbers in state["result"].items()
        if name in ("best", "last")
    ]
    console.say("")
    console.say(console.format_table(("", "step", "mAP", "mAP@.50IOU", "exported to"), rows, numbers=(1, 2, 3)))
    times = [(name, console.format_seconds(phase["seconds"])) for name, phase in state["phases"].items()]
    console.say("")
    console.say(console.format_table(("phase", "time"), times, numbers=(1,)))
    console.say("")
    console.say(
        f"everything is in {folder}: data, pipeline.config, checkpoints (with results.csv and results.png), export, "
        "process.log"
    )
    console.say_next(
        f"tfodhelper predict --saved_model_dir={folder}/export/best --output_dir=predictions --draw IMAGES_OR_FOLDER",
        f"tensorboard --logdir={folder}/checkpoints",
    )


def _figure(value):
    return "-" if value is None else f"{value:.4f}"
