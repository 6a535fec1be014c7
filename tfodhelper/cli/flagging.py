"""The command line of one verb: parsing, in words that a user can act on, and the text of --help.

A verb's module defines its flags on a `FlagValues` of its own, so that verbs do not see each other's; see
`option_flags`.
"""

import difflib
import re
import textwrap

from absl import flags

from tfodhelper import errors

_WIDTH = 100
_COLUMN = 34  # where the text of a flag begins
_LONGEST_CHOICES = 40
_PLACEHOLDERS = {"int": "N", "float": "X", "string": "TEXT", "texts": "TEXT", "path": "PATH"}
_FLAGFILE = "--flagfile=FILE reads flags from a file, one per line."


def refuse_arguments(args):
    """Checks that nothing is left of the command line; for verbs that take flags only.

    Raises:
      UsageError: naming what is left.
    """
    if args:
        raise errors.UsageError(
            f"{args[0]!r} is not a flag, and this verb takes only flags",
            fix="write flags as --name=value; quote a value that contains spaces",
        )


def make_flag_values(module):
    """A `FlagValues` with the flags of a verb's module."""
    fv = flags.FlagValues()
    fv.set_gnu_getopt(True)
    module.define_flags(fv)
    return fv


def parse(fv, argv):
    """Parses a verb's part of the command line.

    Args:
      fv: the verb's `FlagValues`.
      argv: strings after the verb.

    Returns:
      The arguments that are not flags.

    Raises:
      UsageError: naming the flag, what it takes and what came.
    """
    try:
        return fv(["tfodhelper", *argv])[1:]
    except flags.UnrecognizedFlagError as error:
        raise _unknown_flag(fv, error.flagname) from error
    except (flags.Error, ValueError) as error:
        without_value = re.fullmatch(r"Missing value for flag --?(\w+)", str(error))
        if without_value and hasattr(fv[without_value[1]], "option"):
            fv[without_value[1]].option.parse("")  # raises an error that says what is expected
        raise errors.UsageError(str(error), expected="--name=value", fix="--help lists the flags") from error


def _unknown_flag(fv, name):
    names = list(fv)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    near += [other for other in names if name in other.split("_") and other not in near]
    if near:
        fix = "did you mean " + " or ".join(f"--{other}" for other in near[:3]) + "?"
    else:
        fix = "--help lists the flags"
    return errors.UsageError(f"unknown flag --{name}", fix=fix)


def format_help(verb, module, fv):
    """The text of `tfodhelper VERB --help`: what the verb does, and its flags by subject with their defaults."""
    summary, _, body = (module.__doc__ or "").strip().partition("\n")
    parts = [f"tfodhelper {verb}: {summary}"]
    if body.strip():
        parts.append(textwrap.dedent(body).strip("\n").rstrip())
    described = [flag for flag in (fv[name] for name in fv) if hasattr(flag, "option")]  # others are aliases
    for title in dict.fromkeys(flag.option.title for flag in described):
        shown = [flag for flag in described if flag.option.title == title]
        shown.sort(key=lambda flag: not flag.option.is_required)
        parts.append("\n".join([f"{title}:", *map(_format_flag, shown)]))
    return "\n\n".join([*parts, _FLAGFILE]) + "\n"


def _format_flag(flag):
    option, head = flag.option, f"  {_spelling(flag.option)}"
    text = option.text
    if option.former:
        text += f" Former name: --{option.former}."
    if option.is_required:
        text += " (required)"
    if flag.default is not None and flag.default is not False and flag.default != []:
        text += f" (default: {_show(flag.default)})"
    lines = textwrap.wrap(text, _WIDTH - _COLUMN)
    if isinstance(option.choices, dict):
        lines += _format_choices(option.choices)
    if len(head) < _COLUMN - 1:
        lines[0] = head.ljust(_COLUMN) + lines[0]
    else:
        lines[0] = f"{head}\n{' ' * _COLUMN}{lines[0]}"
    return f"\n{' ' * _COLUMN}".join(lines)


def _show(default):
    if isinstance(default, list):
        return ", ".join(default)
    return "true" if default is True else default


def _spelling(option):
    if option.kind == "bool":
        return f"--[no]{option.flag}"
    if not option.choices:
        return f"--{option.flag}={'|'.join((_PLACEHOLDERS[option.kind], *option.words))}"
    choices = "|".join(option.choices)
    return f"--{option.flag}={choices if len(choices) <= _LONGEST_CHOICES else 'NAME'}"


def _format_choices(choices):
    width = max(map(len, choices)) + 2
    lines = []
    for choice, explanation in choices.items():
        wrapped = textwrap.wrap(explanation, _WIDTH - _COLUMN - width - 2)
        lines += ["  " + choice.ljust(width) + wrapped[0], *(" " * (width + 2) + line for line in wrapped[1:])]
    return lines
