"""Oracles by name, with their options."""

import difflib

from tfodhelper import errors
from tfodhelper.active_learning.oracles import browser, image_label, label_studio, labelimg, simulated
from tfodhelper.active_learning.oracles.options import OPTIONS
from tfodhelper.options import options_of

_ORACLES = {
    "image_label": image_label.ImageLabelOracle,
    "browser": browser.BrowserOracle,
    "labelimg": labelimg.LabelImgOracle,
    "label_studio": label_studio.LabelStudioOracle,
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
      UsageError: an unknown oracle or option, or an invalid value.
    """
    check_names(name, options)
    return _ORACLES[name](OPTIONS[name](**options), label_map)


def names_of(name):
    """The option names of an oracle.

    Raises:
      UsageError: an unknown oracle.
    """
    if name not in _ORACLES:
        raise _unknown("oracle", name, _ORACLES)
    return [each.name for each in options_of(OPTIONS[name])]


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
