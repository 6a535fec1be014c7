"""The options of the main job, what of them is stored, and which run folder they mean."""

import dataclasses
import pathlib

from tfodhelper import errors, own_files, run_layout, storage
from tfodhelper.config.options import ConfigOptions
from tfodhelper.dataset.options import HEADER
from tfodhelper.events import NotifyOptions
from tfodhelper.options import Path, complete, option, options_of
from tfodhelper.records.options import RecordOptions
from tfodhelper.training.options import TrainOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(NotifyOptions, TrainOptions, ConfigOptions, RecordOptions):
    """All that `run` is told: of the data, of the configuration and of the training."""

    title = "Result"

    output_dir: Path | None = option(
        None, "The run folder; when omitted, runs/MODEL or the next free name.", may_change=True
    )


def settings_of(options):
    """The settings that are stored, as JSON has them."""
    return _arrange({each.name: each.to_json(getattr(options, each.name)) for each in options_of(RunOptions)})


def read_settings(stored):
    """Stored settings under today's names; options that have been added since then have their defaults."""
    # Where "validate" is missing, the images were validated as `convert` does it.
    former = {"validate": HEADER} | stored["data"] | {name: stored[name] for name in stored if name != "data"}
    return _arrange(complete(RunOptions, former))


def _arrange(values):
    """Settings with those of the data apart, whose paths are absolute; without those that may change."""
    data = {each.name: each.absolute(values[each.name]) for each in options_of(RecordOptions) if each.name != "seed"}
    passed_over = {*data, *(each.name for each in options_of(RunOptions) if each.may_change)}
    return {"data": data} | {name: value for name, value in values.items() if name not in passed_over}


def choose_folder(options, settings):
    """The run folder: the one that is named, an unfinished one of the same settings, or the next free name.

    A run that has finished no phase makes room for another one, and one that has converted its images for one with the
    same images.

    Raises:
      UsageError: the named folder contains something else.
    """
    if options.output_dir:
        return _check_named_folder(pathlib.Path(options.output_dir), settings)
    name = options.model or pathlib.Path(options.pipeline_config_path).stem
    free, number = None, 1
    while True:
        folder = pathlib.Path("runs") / (name if number == 1 else f"{name}-{number}")
        state = run_layout.read_state(folder)
        if state is not None and not state["finished"] and not differences(state["settings"], settings):
            return folder
        if free is None and state is not None and is_replaceable(state, settings) and not storage.is_held(folder):
            free = folder
        if not folder.exists():
            return free or folder
        number += 1


def is_replaceable(state, settings):
    """Whether nothing is lost if a corrected command takes the folder of a run: only its images may be converted."""
    if state["finished"] or not set(state["phases"]) <= {"convert"}:
        return False
    of_data = {*settings["data"], "seed"}
    return not state["phases"] or not of_data & set(differences(state["settings"], settings))


def _check_named_folder(folder, settings):
    state = run_layout.read_state(folder)
    if state is None:
        if folder.is_dir():
            own_files.remove_dead(folder)
        strangers = (
            [p.name for p in folder.iterdir() if p.name not in (".lock", "process.log")] if folder.is_dir() else []
        )
        if strangers:
            raise errors.UsageError(
                f"--output_dir={folder} contains other files",
                expected="an empty folder, a new one, or that of an earlier start of the same command",
                received=", ".join(sorted(strangers)[:5]),
                fix="name another folder: existing files are never overwritten",
            )
        return folder
    different = differences(state["settings"], settings)
    if different and not is_replaceable(state, settings):
        raise errors.UsageError(
            f"--output_dir={folder} holds a run with other settings",
            expected="; ".join(f"{key}={old!r}" for key, (old, _) in different.items()),
            received="; ".join(f"{key}={new!r}" for key, (_, new) in different.items()),
            fix="repeat the former flags to resume it, or name another folder",
        )
    return folder


def differences(stored, new):
    """{name: (stored value, new value)} of the settings that differ."""
    old, new = ({**settings["data"], **settings} for settings in (read_settings(stored), new))
    return {key: (old.get(key), new.get(key)) for key in {*old, *new} - {"data"} if old.get(key) != new.get(key)}
