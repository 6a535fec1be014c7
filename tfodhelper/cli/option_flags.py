"""Flags from options classes, and options from parsed flags: the place where `tfodhelper.options` meets absl."""

from absl import flags

from tfodhelper import errors, options


class _Parser(flags.ArgumentParser):
    """Hands a text to the option, which converts and checks it."""

    def __init__(self, option):
        super().__init__()
        self._option = option

    def parse(self, argument):
        if isinstance(argument, str):
            return self._option.parse(argument)
        return self._option.check(argument)

    def flag_type(self):
        option = self._option
        if option.choices:
            return "string enum"
        is_text = option.kind == "texts" or (option.kind == "int" and option.words)
        return "string" if is_text else option.kind


def define_flags(fv, kind, without=(), defaults=None):
    """Defines a flag for each option of an options class.

    Args:
      fv: the verb's `FlagValues`.
      kind: an options class.
      without: names of options that get no flag.
      defaults: {name: default} where the flag has another default than the option.
    """
    for option in options.options_of(kind):
        if option.name not in without:
            define_flag(fv, option, (defaults or {}).get(option.name, option.default))


def define_flag(fv, option, default):
    """Defines the flag of an `options.Option`, and the alias of its former name."""
    parser, serializer = _Parser(option), flags.ArgumentSerializer()
    if option.kind == "texts":
        flag = flags.MultiFlag(parser, serializer, option.flag, list(default), option.text)
    else:
        flag = flags.Flag(parser, serializer, option.flag, default, option.text, boolean=option.kind == "bool")
    flag.option = option
    fv[option.flag] = flag
    if option.former:
        flags.DEFINE_alias(option.former, option.flag, flag_values=fv)


def read_options(fv, kind, **given):
    """Makes an options object from parsed flags.

    Args:
      fv: the verb's parsed `FlagValues`.
      kind: an options class.
      **given: values of options that have no flag here.

    Raises:
      UsageError: a flag that must be given is missing, a value is invalid, or a flag has no effect beside the others.
    """
    described = [option for option in options.options_of(kind) if option.flag in fv and option.name not in given]
    missing = [option for option in described if option.is_required and fv[option.flag].value is None]
    if missing:
        raise errors.UsageError(
            "missing: " + ", ".join(f"--{option.flag}" for option in missing),
            expected="; ".join(f"--{option.flag}: {option.text.rstrip('.')}" for option in missing),
        )
    _refuse_idle(fv, described)
    return kind(**{option.name: fv[option.flag].value for option in described} | given)


def _refuse_idle(fv, described):
    """Raises for a flag on the command line that has no effect beside the others."""
    by_name = {option.name: option for option in described}
    for option in described:
        if not fv[option.flag].present or fv[option.flag].value is False:
            continue
        name, *values = option.only_with or (None,)
        if name in by_name and not _has_value(fv[by_name[name].flag], values):
            needed = f"--{by_name[name].flag}" + (f"={values[0]}" if values else "")
            raise errors.UsageError(
                f"--{option.flag} has no effect without {needed}", fix=f"add {needed}, or leave out --{option.flag}"
            )
        for other in (by_name[name].flag for name in option.not_with if name in by_name):
            if fv[other].present and fv[other].value is not False:
                raise errors.UsageError(
                    f"--{option.flag} has no effect with --{other}", fix=f"leave out --{option.flag} or --{other}"
                )


def _has_value(flag, values):
    """Whether a flag has one of the values, or, if there are none, any that means something."""
    given = flag.value if isinstance(flag.value, list) else [flag.value]
    return bool(set(given) & set(values)) if values else bool(flag.value)


def read_given(fv, kind):
    """{name: value} of the options of a class whose flags are on the command line."""
    described = [option for option in options.options_of(kind) if option.flag in fv]
    return {option.name: option.check(fv[option.flag].value) for option in described if fv[option.flag].present}
