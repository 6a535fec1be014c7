"""Oracles by name, with their options."""

import difflib

from tfodhelper import errors
from tfodhelper.active_learning.oracles import image_label, labelimg, simulated
from tfodhelper.active_learning.oracles.options import OPTIONS
from tfodhelper.options import options_of

_ORACLES = {
    "image_label": image_label.ImageLabelOracle,
    "labelimg": labelimg.LabelImgOracle,
    "simulated": simulated.SimulatedOracle,
}


def build_oracle(name, *, label_map=None, **options):
    """Builds an oracle.

    Args:
      name: a key of `OPTIONS`.
      label_map: the classes that a box may have; None allows all.
      **options: fields of the oracle's options; those left out keep their defaults.

    Returns:
      An object with `name`, `ask(questions, folder)` and `next_steps(folder)`.

    Raises:
      UsageError: an oracle or an option that is not known, or a value that an option cannot have.
    """
    check_names(name, options)
    return _ORACLES[name](OPTIONS[name](**options), label_map)


def names_of(name):
    """Names of the options of an oracle.

    Raises:
      UsageError: an oracle that is not known.
    """
    if name not in _ORACLES:
        raise _unknown("oracle", name, _ORACLES)
    return [each.name for each in options_of(OPTIONS[name])]


def check_names(name, options):
    """Raises UsageError when an oracle, or one of the names of its options, is not known; "name" is always allowed."""
    known = names_of(name)
    for option in options:
        if option not in (*known, "name"):
            owners = [other for other in OPTIONS if option in names_of(other)]
            raise _unknown(f"option of the oracle {name}:", option, known, owners)


def _unknown(what, name, known, owners=()):
    near = difflib.get_close_matches(str(name), list(known), n=1)
    fix = f"did you mean {near[0]!r}?" if near else None
    if owners:
        fix = f"leave it out: it is for the oracle {' or '.join(owners)}"
    return errors.UsageError(f"no such {what} {name!r}", expected="one of " + ", ".join(known), fix=fix)
