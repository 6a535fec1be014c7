"""The main job: a folder of labelled images becomes a trained, evaluated, exported detector in one run folder.

The phases are convert, config, train and export. Each leaves a complete result behind, so that a second start of the
same command resumes where the first one stopped.
"""

import contextlib
import dataclasses
import datetime
import glob
import pathlib
import shutil
import time

from tfodhelper import (
    console,
    environment,
    errors,
    events,
    result_folder,
    run_layout,
    run_options,
    run_summary,
    storage,
    terminal,
)
from tfodhelper.config.options import AUTO
from tfodhelper.options import pick
from tfodhelper.records.options import ConvertOptions
from tfodhelper.training.options import TrainOptions
from tfodhelper.version import __version__

# In sizes of the checkpoint that training starts from: three of training, up to twice as large with the state of the
# optimizer, the last and the best one, and two exports with a checkpoint and a SavedModel each.
_CHECKPOINTS_ON_DISK = 3 * 2 + 2 + 2 * 2


def run(options, is_part=False):
    """Runs the main job, or resumes it.

    Args:
      options: `RunOptions`.
      is_part: whether it is part of a larger job, which reports the result and the next step itself.

    Returns:
      The run folder.

    Raises:
      TfodhelperError: says what is wrong; finished phases are kept.
    """
    if is_part or (options.strategy == "multi_worker" and not _is_chief()):
        return _run(options, is_part)
    with events.job("run", options.notify, options.on_event):
        return _run(options, is_part)


def _run(options, is_part):
    options.check_model()
    options = options.located()
    settings = run_options.settings_of(options)
    if options.strategy == "multi_worker":
        if not options.output_dir:
            raise errors.UsageError("--strategy=multi_worker needs --output_dir: a folder that all workers see")
        if not _is_chief():
            return _follow(options)
    folder = run_options.choose_folder(options, settings)
    if not is_part:
        events.note(folder=str(folder))
    if not (run_layout.read_state(folder) or {"finished": False})["finished"]:
        _check_early(options)  # what fails here leaves no folder behind
    storage.make_folder(folder)
    with storage.hold(folder), console.process_log(folder / "process.log"):
        state = _read_or_begin(folder, settings)
        if state["finished"]:
            console.say(f"{folder}: this run is already finished")
        else:
            _start(folder, state)
            _phases(options, folder, state)
        if not is_part:
            _report(folder)
            run_summary.say_summary(folder, state)
            events.emit(events.FINISHED, result=state["result"])
    return folder


def _check_early(options):
    """Raises for what can be known without reading images and without a download: names, flags, folders, devices."""
    from tfodhelper.config import configuration

    options.check_end()
    configuration.check_start(options)
    options.check_early()
    if options.strategy == "gpu":
        from tfodhelper import tensorflow_setup

        tensorflow_setup.prepare_training()
        from tfodhelper.training import strategy

        strategy.build_strategy("gpu")


def _read_or_begin(folder, settings):
    """The state of a run folder; a new one if no phase has ever been finished in it, whatever its settings were."""
    state = run_layout.read_state(folder)
    if state is None:
        return {"settings": settings, "phases": {}, "finished": False}
    if not run_options.differences(state["settings"], settings) or not run_options.is_replaceable(state, settings):
        return state
    progress = "with its converted images" if state["phases"] else "which had finished no phase"
    console.say(f"{folder}: this takes the place of an earlier start with other settings, {progress}")
    if not state["phases"]:
        shutil.rmtree(folder / "data", ignore_errors=True)
    return {"settings": settings, "phases": state["phases"], "finished": False}


def _is_chief():
    from tfodhelper import tensorflow_setup

    tensorflow_setup.prepare_training()
    from tfodhelper.training import strategy

    return strategy.is_chief_process("multi_worker")


def _follow(options):
    """What every worker but the first does: waits for the configuration and takes part in the training."""
    from tfodhelper.config import pipeline

    folder = pathlib.Path(options.output_dir)
    console.say(f"waiting for the first worker to write {folder / 'pipeline.config'}")
    while "config" not in (run_layout.read_state(folder) or {"phases": {}})["phases"]:
        time.sleep(1)
    _train(options, folder, pipeline.read_pipeline(folder / "pipeline.config"))
    return folder


def _start(folder, state):
    verb = "resuming" if (folder / run_layout.STATE).exists() else "starting"
    console.say(f"{verb} {folder} (tfodhelper {__version__})")
    storage.write_json(folder / run_layout.STATE, state)


def _phases(options, folder, state):
    # The images are read before the weights are downloaded: what is wrong with them costs no download.
    from tfodhelper import tensorflow_setup
    from tfodhelper.config import configuration

    tensorflow_setup.prepare_training()
    from tfodhelper.training import compilation, patience

    converted = _timed(folder, state, "convert", lambda: _convert(options, folder))
    if "config" not in state["phases"]:
        planned = configuration.check_with_data(options, converted)
        patience.check_metric(options, planned, converted.label_map)
        compilation.check_images(options, planned)
    start = configuration.find_start(options)
    _check_space(folder, start.checkpoint)
    pipeline = _timed(folder, state, "config", lambda: _config(options, folder, start, converted))
    pipeline, result = _timed(
        folder, state, "train", lambda: _train_in_time(options, folder, pipeline, start, converted)
    )
    if (run_layout.checkpoints_of(folder) / "sampling.json").exists():
        state["sampling"] = storage.read_json(run_layout.checkpoints_of(folder) / "sampling.json")
    _timed(folder, state, "export", lambda: _export(options, folder, pipeline, converted, result))
    state["result"] = _numbers(result)
    state["environment"] = environment.describe()
    state["finished"] = True
    storage.write_json(folder / run_layout.STATE, state)


def _check_space(folder, checkpoint):
    """Raises if the disk has no room for the checkpoints and exports of a training from a checkpoint."""
    if checkpoint is None:
        return
    paths = pathlib.Path(checkpoint).parent.glob(glob.escape(pathlib.Path(checkpoint).name) + ".*")
    needed = _CHECKPOINTS_ON_DISK * sum(path.stat().st_size for path in paths)
    if any(run_layout.checkpoints_of(folder).glob("ckpt-*.index")):
        return  # most of it has been written
    storage.check_space(folder, needed, "the checkpoints and exports", fix="use a folder on another disk")


def _timed(folder, state, name, work):
    start = datetime.datetime.now()
    events.emit(events.PHASE_STARTED, phase=name)
    with contextlib.nullcontext() if name == "convert" else console.phase(name):  # convert says its own phase
        value = work()
    seconds = (datetime.datetime.now() - start).total_seconds()
    phase = state["phases"].setdefault(name, {"seconds": 0.0})
    phase["seconds"] = round(phase["seconds"] + seconds, 1)
    storage.write_json(folder / run_layout.STATE, state)
    return value


def _convert(options, folder):
    from tfodhelper.records import convert

    return convert.convert(pick(ConvertOptions, options, output_dir=folder / "data"))


def _config(options, folder, start, converted):
    from tfodhelper.config import configuration, pipeline
    from tfodhelper.training import batch_size, time_budget

    # Of --time, the configuration has the number of steps once it is known, as if --num_steps had given it.
    kept = time_budget.read_fit(run_layout.checkpoints_of(folder)) if options.time is not None else None
    if kept is not None:
        options = dataclasses.replace(options, num_steps=kept.num_steps)
    path, train_options = folder / "pipeline.config", pick(TrainOptions, options)
    measure = None
    if options.batch_size == AUTO:
        measure = configuration.measure_once(path, lambda *about: batch_size.find_batch_size(*about, train_options))
    message = configuration.make_pipeline(options, start, converted, measure)
    pipeline.write_pipeline(path, message)
    return message


def _train_in_time(options, folder, pipeline, start, converted):
    """(the configuration, the result) of a training whose number of steps may have to be chosen first."""
    from tfodhelper.training import jobs, time_budget

    with time_budget.told(options.time):
        fitting = jobs.fit_to_time(pipeline, run_layout.checkpoints_of(folder), pick(TrainOptions, options))
        if fitting is not None and pipeline.train_config.num_steps != fitting.num_steps:
            with terminal.muted():  # nothing changes but what the next line says
                pipeline = _config(options, folder, start, converted)
            path = folder / "pipeline.config"
            console.say(f"{path}: {fitting.num_steps} steps, and the learning-rate schedule that belongs to them")
        return pipeline, _train(options, folder, pipeline)


def _train(options, folder, pipeline):
    from tfodhelper.training import jobs

    return jobs.train_model(
        pipeline, run_layout.checkpoints_of(folder), pick(TrainOptions, options), options.num_steps == 0
    )


def _export(options, folder, pipeline, converted, result):
    from tfodhelper.exporting import saved_model

    exported = {}
    for name, prefix in (("best", result.best_checkpoint), ("last", result.last_checkpoint)):
        target, step = run_layout.export_of(folder, name), prefix.rpartition("-")[2]
        if target.is_dir():
            console.say(f"{target}: already exists")
        elif step in exported:
            with result_folder.whole_folder(target) as copy:
                shutil.copytree(exported[step], copy, dirs_exist_ok=True)
            console.say(f"{target}: step {step}, same as {exported[step].name}")
        else:
            saved_model.export_trained(
                pipeline, prefix, target, label_map_path=converted.label_map_path, dct=options.jpeg_dct
            )
            console.say(f"{target}: step {step}")
        exported[step] = target


def _report(folder):
    """Writes the page of a finished run, unless it has one; part of the job that a killed process may owe."""
    from tfodhelper.reporting import write

    if not (folder / write.PAGE).exists():
        with console.phase("report"):
            write.report_finished(folder)


def _numbers(result):
    from tfodhelper.training import evaluation

    best, last = result.history.best(), result.history.records[-1]
    return (
        {
            name: {
                "step": record["step"],
                "mAP": record["metrics"][evaluation.MAP],
                "mAP@.50IOU": record["metrics"][evaluation.MAP_50],
            }
            for name, record in (("best", best or last), ("last", last))
        }
        | {"seconds_per_step": result.seconds_per_step, "ended": result.ended, "reason": result.reason}
        | {"best_reason": result.best_reason}
    )


def read_result(folder):
    """Reads the metrics of a finished run.

    Returns:
      {"best": record, "last": record, "seconds_per_step": float or None, "ended": what ended the training, or None},
      records with "step" and "metrics", {tag: value}, with None for a value that cannot be measured; None if the run is
      not finished.

    Raises:
      StorageError: run.json cannot be read.
    """
    state = run_layout.read_state(pathlib.Path(folder))
    if state is None or not state["finished"]:
        return None
    result = run_layout.result_of(folder, state)
    evaluations = run_layout.checkpoints_of(folder) / "evaluations.jsonl"
    stored = run_layout.read_evaluations(evaluations) if evaluations.exists() else []
    records = {record["step"]: record for record in stored}

    def read(name):
        numbers = result[name]
        tags = {f"DetectionBoxes_Precision/{short}": numbers[short] for short in ("mAP", "mAP@.50IOU")}
        return records.get(numbers["step"], {"step": numbers["step"], "metrics": tags})

    return {"best": read("best"), "last": read("last")} | {
        name: result.get(name) for name in ("seconds_per_step", "ended")
    }
