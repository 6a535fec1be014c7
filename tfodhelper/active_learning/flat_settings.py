"""Converts settings of rounds from the flat form of a call from Python to the parts that workspaces store."""

import difflib

from tfodhelper import errors
from tfodhelper.active_learning import options as active_options
from tfodhelper.active_learning.oracles import build
from tfodhelper.active_learning.oracles.options import OPTIONS
from tfodhelper.options import options_of, pick

_WHOLE = {each.name: each for each in options_of(active_options.RoundOptions)}


def to_init_options(chosen):
    """Converts to the options of `create_workspace.init`.

    Args:
      chosen: `FlatOptions`.

    Returns:
      `InitOptions`.

    Raises:
      UsageError, ZooError, ConfigError, CheckpointError: the settings are invalid.
    """
    from tfodhelper.active_learning import round_settings

    names = [*_by_name(), *_WHOLE]
    settings = arrange({name: getattr(chosen, name) for name in names} | {"oracle_options": chosen.oracle_options})
    return pick(active_options.InitOptions, chosen, settings=round_settings.complete_new({"oracle": {}} | settings))


def arrange(values):
    """Settings by part.

    Args:
      values: {name: value} of some fields of `FlatOptions` that belong to rounds.

    Returns:
      {part: value, or {name: value}}, of the parts and names that are given.

    Raises:
      UsageError: a name that does not exist, or an invalid value.
    """
    by_name, settings, values = _by_name(), {}, dict(values)
    oracle_options = values.pop("oracle_options", {})
    for name, value in values.items():
        if name in by_name:
            part, option = by_name[name]
            settings.setdefault(part, {})[option.name] = _to_stored(option, value)
        elif name in _WHOLE:
            settings[name] = _WHOLE[name].check(value)
        else:
            raise _unknown(name, [*by_name, *_WHOLE, "oracle_options"])
    oracle = settings.pop("oracle", None)
    if oracle is not None or oracle_options:
        settings["oracle"] = ({"name": oracle} if oracle else {}) | _read_oracle_options(oracle, oracle_options)
    return settings


def _by_name():
    """{name: (part, Option)} of the settings that belong to a part; the pool's have names of their own here."""
    entries = {}
    for part in active_options.PARTS:
        for option in active_options.part_options(part):
            name = option.flag if part == "prediction" else option.name
            entries[name] = part, option
    return entries


def _read_oracle_options(oracle, given):
    """The options of an oracle as they are stored; where it is not named, those that any oracle has."""
    if oracle is not None:
        build.check_names(oracle, given)
    kinds = [OPTIONS[oracle]] if oracle else OPTIONS.values()
    known = {option.name: option for kind in kinds for option in options_of(kind)}
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise _unknown(unknown, known)
    return {name: _to_stored(known[name], value) for name, value in given.items()}


def _to_stored(option, value):
    """The value, checked, as a workspace stores it: paths are absolute."""
    return option.absolute(option.to_json(option.check(value)))


def _unknown(name, known):
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return errors.UsageError(
        f"there is no setting {name!r}",
        expected="one of " + ", ".join(known),
        fix=f"did you mean {near[0]!r}?" if near else None,
    )
