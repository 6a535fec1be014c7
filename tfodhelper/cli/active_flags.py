"""The flags of rounds and the settings that they mean: `active init` stores them, `round` and `run` may change some."""

from tfodhelper.active_learning import options as active_options
from tfodhelper.active_learning.oracles.options import shared_options
from tfodhelper.cli import option_flags
from tfodhelper.options import options_of


def define_settings(fv):
    """Defines the flags of the settings of rounds; --seed only where the verb has none of its own."""
    option_flags.define_flags(fv, active_options.RoundTrainingOptions, without=("seed",))
    option_flags.define_flags(fv, active_options.RoundOptions, without=("seed",) if "seed" in fv else ())
    option_flags.define_flags(fv, active_options.PoolOptions)
    option_flags.define_flags(fv, active_options.SelectOptions, without=("seed",), defaults={"budget": None})
    for option in shared_options().values():
        option_flags.define_flag(fv, option, None)


def read_settings(fv):
    """All settings that the flags mean, complete; for `init`.

    Raises:
      UsageError, ZooError, ConfigError, CheckpointError: settings that no round could use.
    """
    from tfodhelper.active_learning import round_settings

    return round_settings.complete_new(_collect(fv, lambda flag: True))


def read_changes(fv):
    """The settings that were given on the command line, for a round from now on."""
    settings = _collect(fv, lambda flag: flag.present)
    return {part: value for part, value in settings.items() if value not in ({}, None)}


def _collect(fv, is_wanted):
    """Settings by part, as workspaces store them; of the options whose flags are wanted."""

    def read(options):
        return {
            option.name: option.absolute(option.to_json(fv[option.flag].value))
            for option in options
            if is_wanted(fv[option.flag])
        }

    settings = {part: read(active_options.part_options(part)) for part in active_options.PARTS}
    given = {name: value for name, value in read(shared_options().values()).items() if value is not None}
    oracle = ({"name": fv.oracle} if fv.oracle else {}) | given
    whole = {
        name: fv[name].value if is_wanted(fv[name]) else None
        for name in (option.name for option in options_of(active_options.RoundOptions))
    }
    return settings | whole | {"oracle": oracle}
