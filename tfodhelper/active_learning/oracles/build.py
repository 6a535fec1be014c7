"""Oracles by name, with their options."""

import dataclasses
import difflib

from tfodhelper import errors
from tfodhelper.active_learning.oracles import image_label, labelimg, simulated

_ORACLES = {
    "image_label": (image_label.ImageLabelOracle, image_label.ImageLabelOptions),
    "labelimg": (labelimg.LabelImgOracle, labelimg.LabelImgOptions),
    "simulated": (simulated.SimulatedOracle, simulated.SimulatedOptions),
}

# {name: dataclass of options}. Each field has a default and metadata: "help", one sentence, and "choices" where only
# a few values are allowed.
OPTIONS = {name: options for name, (_, options) in _ORACLES.items()}


def build_oracle(name, *, label_map=None, **options):
    """Builds an oracle.

    Args:
      name: a key of `OPTIONS`.
      label_map: the classes that a box may have; None allows all.
      **options: fields of the oracle's options; those left out keep their defaults.

    Returns:
      An object with `name`, `ask(questions, folder)` and `next_steps(folder)`.

    Raises:
      UsageError: an unknown oracle or option, or an invalid value.
    """
    check_names(name, options)
    oracle, kind = _ORACLES[name]
    chosen = kind(**options)
    for field in dataclasses.fields(kind):
        _check(name, field, getattr(chosen, field.name))
    return oracle(chosen, label_map)


def names_of(name):
    """The option names of an oracle.

    Raises:
      UsageError: an unknown oracle.
    """
    if name not in _ORACLES:
        raise _unknown("oracle", name, _ORACLES)
    return [field.name for field in dataclasses.fields(OPTIONS[name])]


def check_names(name, options):
    """Raises UsageError when an oracle or one of its option names is unknown; "name" is always allowed."""
    known = names_of(name)
    for option in options:
        if option not in (*known, "name"):
            owners = [other for other in OPTIONS if option in names_of(other)]
            raise _unknown(f"option of the oracle {name}:", option, known, owners)


def _unknown(kind, name, known, owners=()):
    near = difflib.get_close_matches(str(name), list(known), n=1)
    fix = f"did you mean {near[0]!r}?" if near else None
    if owners:
        fix = f"leave it out: it belongs to the oracle {' or '.join(owners)}"
    return errors.UsageError(f"no such {kind} {name!r}", expected="one of " + ", ".join(known), fix=fix)


def _check(oracle, field, value):
    """Refuses a value that is not one of the choices, or a number outside 0..1: all numbers are scores or overlaps."""
    choices = field.metadata.get("choices")
    if choices and value not in choices:
        raise _invalid_value(oracle, field, "one of " + ", ".join(choices), value)
    if field.type not in (float, float | None) or value is None and field.default is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _invalid_value(oracle, field, "a number from 0 to 1", value)


def _invalid_value(oracle, field, expected, value):
    return errors.UsageError(
        f"--{field.name} of the oracle {oracle}: {field.metadata['help']}", expected=expected, received=repr(value)
    )
