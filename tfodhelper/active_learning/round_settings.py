"""Settings of a round that differ from the workspace's: checked before any work, and refused where work would be lost.

A round keeps the settings that it began with. A part of them can still change as long as nothing was made with it.
"""

import os
import pathlib
import shutil

from tfodhelper import console, errors, storage
from tfodhelper.active_learning.options import PARTS, RoundTrainingOptions, part_options
from tfodhelper.active_learning.oracles import build
from tfodhelper.active_learning.selection import select
from tfodhelper.config import configuration
from tfodhelper.options import complete

_DEFAULT_BUDGET = 100
_NO_LIMIT = ("image_label",)  # oracles that cost nothing are asked about the whole pool
# The phase that works with a part of the settings.
_PHASE_OF = {
    **dict.fromkeys(("training", "retrain", "seed"), "train"),
    "prediction": "predict",
    **dict.fromkeys(("selection", "oracle"), "select"),
}


def complete_new(settings):
    """Completes and checks the settings of a new workspace.

    Args:
      settings: of rounds, see `Workspace.settings`; a budget of None leaves it to the oracle.

    Returns:
      The settings, with a budget.

    Raises:
      UsageError: no oracle or no model is named, or an option does not suit the oracle.
      ZooError, ConfigError, CheckpointError: the model or a path does not exist.
    """
    name = settings["oracle"].get("name")
    if name is None:
        raise errors.UsageError(
            "no oracle is named: who answers for the chosen images?", expected="--oracle=" + " or ".join(build.OPTIONS)
        )
    training = RoundTrainingOptions(**settings["training"])
    training.check_model()
    budget = settings["selection"]["budget"]
    if budget is None:
        budget = 0 if name in _NO_LIMIT else _DEFAULT_BUDGET
    build.build_oracle(**settings["oracle"])
    configuration.check_start(training)
    return settings | {"selection": settings["selection"] | {"budget": budget}}


def current_round(space, changes, label_map=None, has_oracle=False):
    """The round that is not finished, with changed settings where that is still possible; or a new one.

    Args:
      space: the `Workspace`.
      changes: {part: value, or dict of the values that differ}, or None.
      label_map: of the workspace.
      has_oracle: whether the caller brings an oracle of its own, whatever the settings say.

    Returns:
      `workspace.Round`.

    Raises:
      UsageError: settings that cannot be meant, or that come too late.
    """
    found = space.rounds()
    goes_on = bool(found) and not found[-1].is_finished
    before = found[-1].settings if found else space.settings
    settings = _changed(before, changes)
    if not has_oracle:
        build.check_names(settings["oracle"]["name"], (changes or {}).get("oracle", {}))
    one = found[-1] if goes_on else None
    if one is None or not one.has("select"):
        select.SelectOptions(seed=settings["seed"], **settings["selection"]).check()
    if not has_oracle and (one is None or not one.has("ask")):
        build_oracle(settings["oracle"], label_map)
    if one is None:
        return space.begin_round(len(found) + 1, settings)
    changed = {_PHASE_OF[part] for part in settings if _differs(one, part, settings[part])}
    if "train" in changed:
        _forget_training(one)
    if settings != one.settings:
        one.state["settings"] = settings
        one.save()
    return one


def build_oracle(settings, label_map):
    """The oracle that the settings name, with those of its options that are set; those of others are passed over."""
    known = build.names_of(settings["name"])
    options = {name: settings[name] for name in known if name in settings}
    return build.build_oracle(settings["name"], label_map=label_map, **options)


def check_place(space, one):
    """Makes sure that a training that was begun can go on: it does so only under the path where it was begun.

    Where nothing would be lost, it is begun anew.

    Raises:
      DatasetError: the workspace was moved or copied in the middle of the training.
    """
    state = one.training / "run.json"
    before = storage.read_json(state)["settings"]["data"]["data_dir"] if state.exists() else None
    if before is None or os.path.abspath(before) == os.path.abspath(space.set_dir):
        return
    if _has_learned(one):
        raise errors.DatasetError(
            f"{space.folder}: was moved or copied while round {one.number} trained, and a training goes on only where "
            "it was begun",
            expected=str(pathlib.Path(before).parent),
            received=str(space.folder.absolute()),
            fix=f"move it back for the rest of this round; or remove {one.training}: the round trains anew",
        )
    _forget_training(one)


def _changed(settings, changes):
    """Settings with changes; parts that are dicts are changed key by key."""
    result = dict(settings)
    for part, value in (changes or {}).items():
        result[part] = result[part] | value if isinstance(value, dict) else value
    return result


def _differs(one, part, value):
    """Whether a part of the settings changes in a way that matters; UsageError when it is too late for that."""
    old, phase = one.settings[part], _PHASE_OF[part]
    if isinstance(value, dict):
        known = complete(PARTS[part], old) if part in PARTS else old
        different = {key for key in value if value[key] != known.get(key)} - _may_change(part)
        old, value = ({key: values.get(key) for key in sorted(different)} for values in (old, value))
    if value == old:
        return False
    begun, folder = {
        "train": (one.has("train") or _has_learned(one), one.training),
        "predict": (one.predictions.exists(), one.predictions),
        "select": (one.has("select"), None),
    }[phase]
    if not begun:
        return True
    fix = "finish this round without the flag; the next one can have it"
    if folder is not None and not one.has(phase):
        fix += f". Or remove {folder}: the phase is then done anew"
    raise errors.UsageError(
        f"round {one.number} has begun with other settings of {part}",
        expected=str(old),
        received=str(value),
        fix=fix,
    )


def _may_change(part):
    """Names of settings that a round may change at any time."""
    return {option.name for option in part_options(part) if option.may_change} if part in PARTS else set()


def _has_learned(one):
    """Whether a training has come to a checkpoint."""
    return any((one.training / "checkpoints").glob("ckpt-*.index"))


def _forget_training(one):
    """Removes what a training left that stopped before its first checkpoint."""
    if one.training.is_dir():
        console.say(f"{one.training}: begun anew, nothing was learned yet")
        shutil.rmtree(one.training)
