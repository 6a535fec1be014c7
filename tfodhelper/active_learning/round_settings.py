"""Changed settings of a round: checked before any work, and refused where work would be lost.

A round keeps the settings that it began with. A part of them can still change as long as nothing has been made with it.
"""

import os
import pathlib
import shutil

from tfodhelper import console, errors, run_layout
from tfodhelper.active_learning.options import PARTS, RoundOptions, RoundTrainingOptions, part_options
from tfodhelper.active_learning.oracles import build
from tfodhelper.active_learning.oracles.options import shared_options
from tfodhelper.active_learning.selection import select
from tfodhelper.config import configuration
from tfodhelper.options import complete, options_of

_DEFAULT_BUDGET = 100
_WAITING = ("browser", "labelimg", "label_studio")  # oracles that may leave questions unanswered for now
_NO_LIMIT = ("image_label",)  # oracles that cost nothing are asked about the whole pool
_DEFAULTS = {each.name: each.default for each in options_of(RoundOptions)}  # earlier versions lack some of them
# The phase that uses each part of the settings.
_PHASE_OF = {
    **dict.fromkeys(("training", "retrain", "seed"), "train"),
    "trial": "train",
    **dict.fromkeys(("prediction", "relabel"), "predict"),
    **dict.fromkeys(("selection", "oracle", "min_box_worth"), "select"),
}


def complete_new(settings):
    """Completes and checks the settings of a new workspace.

    Args:
      settings: of rounds, see `Workspace.settings`; a budget of None lets the oracle decide.

    Returns:
      The settings, with a budget.

    Raises:
      UsageError: no oracle or model is given, or an option does not suit the oracle.
      ZooError, ConfigError, CheckpointError: the model or a path does not exist.
    """
    name = settings["oracle"].get("name")
    if name is None:
        raise errors.UsageError(
            "no oracle given: who answers for the chosen images?", expected="--oracle=" + " or ".join(build.OPTIONS)
        )
    training = RoundTrainingOptions(**settings["training"])
    training.check_model()
    training.check_end()
    training.check_share()
    budget = settings["selection"]["budget"]
    if budget is None:
        budget = 0 if name in _NO_LIMIT else _DEFAULT_BUDGET
    build.build_oracle(**settings["oracle"])
    configuration.check_start(training)
    return settings | {"selection": settings["selection"] | {"budget": budget}}


def current_round(space, changes, label_map=None, has_oracle=False, finish_review=False):
    """The unfinished round, with changed settings where that is still possible; or a new one.

    Args:
      space: the `Workspace`.
      changes: {part: value, or dict of the values that differ}, or None.
      label_map: of the workspace.
      has_oracle: whether the caller brings an oracle of its own, whatever the settings say.
      finish_review: whether answers that are missing are not waited for.

    Returns:
      `workspace.Round`.

    Raises:
      UsageError: settings are invalid, or are changed too late.
    """
    rounds = space.rounds()
    goes_on = bool(rounds) and not rounds[-1].is_finished
    before = rounds[-1].settings if rounds else space.settings
    settings = _apply_changes(before, changes)
    if not has_oracle:
        build.check_names(settings["oracle"]["name"], (changes or {}).get("oracle", {}))
        if finish_review and settings["oracle"]["name"] not in _WAITING:
            raise errors.UsageError(
                f"--finish_review: the oracle {settings['oracle']['name']} answers at once, and nobody reviews drafts",
                expected="the oracle " + " or ".join(_WAITING),
                fix="leave the flag out",
            )
    round_ = rounds[-1] if goes_on else None
    if round_ is None or not round_.has("select"):
        select.SelectOptions(seed=settings["seed"], **settings["selection"]).check()
    if not has_oracle and (round_ is None or not round_.has("ask")):
        build_oracle(settings["oracle"], label_map)
    if round_ is None:
        return space.begin_round(len(rounds) + 1, settings)
    changed = {_PHASE_OF[part] for part in settings if _is_changed(round_, part, settings[part])}
    if "train" in changed:
        _forget_training(round_)
    if settings != round_.settings:
        round_.state["settings"] = settings
        round_.save()
    return round_


def build_oracle(settings, label_map):
    """The oracle that the settings name, with its options; those of other oracles are ignored."""
    known = build.names_of(settings["name"])
    options = {name: settings[name] for name in known if name in settings}
    return build.build_oracle(settings["name"], label_map=label_map, **options)


def training_options(round_):
    """The `RoundTrainingOptions` of a round."""
    return RoundTrainingOptions(**round_.settings["training"])


def check_not_moved(space, round_):
    """Checks that a training that has begun can resume: it can do so only under the path where it began.

    Where nothing would be lost, it starts again.

    Raises:
      DatasetError: the workspace was moved or copied during the training.
    """
    state = run_layout.read_state(round_.training_dir)
    before = state["settings"]["data"].get("data_dir") if state is not None else None
    if before is None or os.path.abspath(before) == os.path.abspath(space.set_dir):
        return
    if _has_learned(round_):
        raise errors.DatasetError(
            f"{space.folder}: was moved or copied while round {round_.number} was training; a training can resume only "
            "where it began",
            expected=str(pathlib.Path(before).parent),
            received=str(space.folder.absolute()),
            fix=f"move it back until this round is finished, or remove {round_.training_dir} to train the round again",
        )
    _forget_training(round_)


def changes_nothing(round_, changes):
    """Whether changes, see `current_round`, are those that a round was done with."""
    return _apply_changes(round_.settings, changes) == round_.settings


def _apply_changes(settings, changes):
    """Settings with changes; parts that are dicts are changed key by key."""
    result = dict(settings)
    for part, value in (changes or {}).items():
        result[part] = result[part] | value if isinstance(value, dict) else value
    return result


def _is_changed(round_, part, value):
    """Whether a part of the settings changes in a way that matters; UsageError when it is too late for that."""
    old, phase = round_.settings.get(part, _DEFAULTS.get(part)), _PHASE_OF[part]
    if isinstance(value, dict):
        known = complete(PARTS[part], old) if part in PARTS else old
        different = {key for key in value if value[key] != known.get(key)} - _may_change(part)
        old, value = ({key: values.get(key) for key in sorted(different)} for values in (old, value))
    if value == old:
        return False
    begun, folder = {
        "train": (round_.has("train") or _has_learned(round_), round_.training_dir),
        "predict": (round_.predictions_dir.exists(), round_.predictions_dir),
        "select": (round_.has("select"), None),
    }[phase]
    if not begun:
        return True
    fix = "finish this round without the flag, and set it for the next one"
    if folder is not None and not round_.has(phase):
        fix += f"; or remove {folder} to repeat the phase"
    raise errors.UsageError(
        f"{part}: round {round_.number} has begun with different settings",
        expected=str(old),
        received=str(value),
        fix=fix,
    )


def _may_change(part):
    """Names of settings that a round may change at any time."""
    described = part_options(part) if part in PARTS else shared_options().values() if part == "oracle" else ()
    return {option.name for option in described if option.may_change}


def _has_learned(round_):
    """Whether the training has written a checkpoint."""
    return any((round_.training_dir / "checkpoints").glob("ckpt-*.index"))


def _forget_training(round_):
    """Removes what is left of a training that stopped before its first checkpoint."""
    if round_.training_dir.is_dir():
        console.say(f"{round_.training_dir}: starting again, since no checkpoint was written yet")
        shutil.rmtree(round_.training_dir)
