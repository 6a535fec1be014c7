"""JSON files in which a job keeps its state: what they must contain, and what is said about one that does not.

The program writes them atomically, so that one that is empty, cut off or incomplete was changed by something else: a
copy that was stopped, a damaged disk, an editor, another version.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from tfodhelper import errors, json_shapes, limits


@dataclasses.dataclass(frozen=True)
class StateForm:
    """What a file must contain.

    Attributes:
      content: what it holds, as in "the state of a run".
      keys: {name: shape of its value, see `json_shapes`}; further keys are allowed.
      fix: what to do about a file that is damaged.
      format: value of the key "format", or None if there is no such key.
      error: class of the errors.
    """

    content: str
    keys: Mapping[str, Any]
    fix: str
    format: int | None = None
    error: type[errors.TfodhelperError] = errors.StorageError


def read_state(path: str | os.PathLike[str], form: StateForm) -> dict[str, Any]:
    """Reads a state file.

    Args:
      path: the file.
      form: what it must contain.

    Returns:
      Its content.

    Raises:
      TfodhelperError: of the class of `form`; the file cannot be read, or its content is something else.
    """
    try:
        text = pathlib.Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise form.error(f"{path}: cannot be read ({error.strerror})", fix=form.fix) from error
    except UnicodeDecodeError as error:
        raise _refuse(path, form, f"bytes that are not UTF-8 text ({error})") from error
    return check_state(path, _parse(path, form, text), form)


def check_state(path: str | os.PathLike[str], value: Any, form: StateForm) -> dict[str, Any]:
    """Checks the content of a state file that has already been parsed; arguments and errors as in `read_state`."""
    if not isinstance(value, dict):
        raise _refuse(path, form, f"{json_shapes.name_of(type(value))} that is not a JSON object")
    if form.format is not None and value and value.get("format") != form.format:
        raise form.error(
            f"{path}: was written by another version of this program",
            expected=f"format {form.format}",
            received=f"format {value['format']}" if "format" in value else "no format",
            fix=f"use the version that wrote it; or {form.fix}",
        )
    missing = [name for name in form.keys if name not in value]
    if missing:
        received = f"no {', '.join(missing)}" if value else "an empty object, {}"
        raise _refuse(path, form, received)
    for name, shape in form.keys.items():
        try:
            json_shapes.check(value[name], shape, name)
        except ValueError as error:
            raise _refuse(path, form, str(error)) from error
    return value


def check_finite(path: str | os.PathLike[str], value: Any, form: StateForm) -> None:
    """Raises an error of the class of `form` for numbers in a checked content that are infinite or not a number."""
    try:
        json_shapes.check_finite(value)
    except ValueError as error:
        raise _refuse(path, form, str(error)) from error


def _parse(path, form, text):
    if not text.strip():
        raise _refuse(path, form, "an empty file" if not text else "a file of blanks")
    try:
        return limits.parse_json(text)
    except ValueError as error:
        is_cut_off = text.lstrip().startswith("{") and not text.rstrip().endswith("}")
        received = f"a file that ends too early ({error})" if is_cut_off else f"a file that is not JSON ({error})"
        raise _refuse(path, form, received) from error


def _refuse(path, form, received):
    keys = ", ".join(form.keys)
    return form.error(
        f"{path}: does not hold {form.content}",
        expected=f"a JSON object with {keys}" if keys else "a JSON object",
        received=received,
        fix=form.fix,
    )
