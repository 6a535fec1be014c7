"""What a JSON file must contain, as a plain value of the same shape, so that a damaged file is an error in words.

A shape is a type, a tuple of alternatives (None for null), `[shape]` for a list, `{key: shape}` for an object with at
least these keys (one that ends with "?" may be missing), `{str: shape}` for one with any keys, or `Any` for all values.
"""

import json
import sys
from typing import Any

from tfodhelper import plain_text, spelling

_MOST_SHOWN = 5  # entries of a list or an object, in a message


def check(value, shape, where="the content"):
    """Raises ValueError, which names the place, if a value does not have a shape.

    Args:
      value: plain JSON value.
      shape: see above.
      where: name of the value, for the message.
    """
    if shape is Any:
        return
    if isinstance(shape, tuple):
        _check_any(value, shape, where)
    elif isinstance(shape, dict):
        _check_type(value, dict, where)
        for key, part in shape.items():
            names = value if key is str else [key.removesuffix("?")]
            for name in names:
                if name in value:
                    check(value[name], part, f"{plain_text.shorten(name, 40)} of {where}")
                elif name == key:
                    raise ValueError(f"{where}: no {name!r}")
    elif isinstance(shape, list):
        _check_type(value, list, where)
        for number, item in enumerate(value, start=1):
            check(item, shape[0], f"item {number} of {where}")
    else:
        _check_type(value, shape, where)


def check_finite(value, where="the content"):
    """Raises ValueError, which names the place, for a number that no calculation can use; JSON allows 1e400.

    Args:
      value: plain JSON value, lists and objects with all that is in them.
      where: name of the value, for the message.
    """
    if isinstance(value, dict):
        for name, part in value.items():
            check_finite(part, f"{plain_text.shorten(name, 40)} of {where}")
    elif isinstance(value, list):
        for number, item in enumerate(value, start=1):
            check_finite(item, f"item {number} of {where}")
    elif isinstance(value, (int, float)) and not abs(value) <= sys.float_info.max:
        raise ValueError(f"{where}: {_quote(value)}, which is not a finite number")


def _check_any(value, shapes, where):
    problems = []
    for shape in shapes:
        if shape is None and value is None:
            return
        try:
            if shape is not None:
                check(value, shape, where)
                return
        except ValueError as error:
            problems.append(error)
    raise problems[0]


def _check_type(value, kind, where):
    """An integer serves as a float, but true and false are not numbers."""
    kinds = (int, float) if kind is float else kind
    if not isinstance(value, kinds) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where}: {_quote(value)}, which is not {name_of(kind)}")
    if kind is float and isinstance(value, int) and abs(value) > sys.float_info.max:
        raise ValueError(f"{where}: {_quote(value)}, which is too large for a number")


def _quote(value):
    """The beginning of a value, as JSON where it is short."""
    if isinstance(value, (dict, list)) and len(value) > _MOST_SHOWN:
        return f"{name_of(type(value))} of {spelling.count(len(value), 'entry')}"
    return plain_text.shorten(json.dumps(value, default=str), 100)


def name_of(kind):
    """A type in the words of JSON."""
    return _WORDS.get(kind, "a list")


_WORDS = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
