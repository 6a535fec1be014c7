"""Options that describe themselves: one field of a dataclass is a keyword argument, a flag and a stored setting.

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class TrainOptions(options.Options):
        eval_every: int | None = options.option(None, "Steps between evaluations.", least=1)

That line is all there is to an option. The flag --eval_every, its help, the check of its range, the words that refuse a
value, and the key under which it is stored follow from it. Whoever needs the value reads `options.eval_every`.

The annotation says what a value is: bool, int, float, str, `Path`, or `Texts` for a flag that may be repeated. With
`| None` the option may be left out.
"""

import dataclasses
import difflib
import functools
import inspect
import numbers
import os
import types
import typing
from collections.abc import Sequence

from tfodhelper import errors

Path = str | os.PathLike
Texts = Sequence[str]  # kept as a tuple
REQUIRED = dataclasses.MISSING

_KEY = "option"
_KINDS = {bool: "bool", int: "int", float: "float", str: "string", Texts: "texts"}
_EXPECTED = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "string": "a text",
    "path": "a path",
    "texts": "one or more texts",
}
_TRUE, _FALSE = ("true", "t", "1"), ("false", "f", "0")


def option(
    default,
    text,
    *,
    flag=None,
    former=None,
    choices=(),
    words=(),
    least=None,
    most=None,
    may_change=False,
    only_with=(),
    not_with=(),
):
    """Makes a field of an options class.

    Args:
      default: the value when nothing is said; `REQUIRED` for an option that must be given.
      text: what the option means, in sentences; the help of its flag.
      flag: name of the flag where it differs from the field's.
      former: a name that the option had before; as a flag and in stored files it is still read.
      choices: the values that are allowed, or {value: explanation}; of `Texts`, those of each text.
      words: of a path or a number, further values, such as "none".
      least, most: bounds of a number, both allowed; None for no bound.
      may_change: whether a job that is resumed may have another value than it began with.
      only_with: (name of another option, values of it): without one of them, this option would have no effect, and its
        flag is refused. No values stand for any that is given.
      not_with: names of other options; where one of them is given, this option would have no effect either.
    """
    metadata = {
        _KEY: {
            "text": text,
            "flag": flag,
            "former": former,
            "choices": choices,
            "words": words,
            "least": least,
            "most": most,
            "may_change": may_change,
            "only_with": only_with,
            "not_with": not_with,
        }
    }
    if default is REQUIRED:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def seed_option():
    """The field `seed`, which several jobs have in common."""
    return option(0, "Seed of everything that is drawn at random.", least=0)


def like(kind, name, default, **changes):
    """The field `name` of the options class `kind`, with another default, and other arguments of `option` if given."""
    return dataclasses.field(default=default, metadata={_KEY: _field(kind, name).metadata[_KEY] | changes})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """What an options class says of one of its fields; see `option`.

    Attributes:
      name: of the field.
      kind: "bool", "int", "float", "string", "path" or "texts".
      takes_none: whether None is a value.
      default: None for one that is required, too.
      is_required: whether it must be given.
      title: of the class that brings the option: the heading of its flag.
      flag: name of the flag.

    The other attributes are those of `option`.
    """

    name: str
    kind: str
    takes_none: bool
    default: object
    is_required: bool
    title: str
    flag: str
    text: str
    former: str | None
    choices: tuple | dict
    words: tuple
    least: float | None
    most: float | None
    may_change: bool
    only_with: tuple
    not_with: tuple

    @property
    def expected(self):
        """What a value may be, in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        text = ", ".join((*self.words, "or " * bool(self.words) + _EXPECTED[self.kind]))
        if self.least is not None and self.most is not None:
            return f"{text} from {self.least:g} to {self.most:g}"
        if self.least is not None:
            return f"{text}, at least {self.least:g}"
        return text if self.most is None else f"{text}, at most {self.most:g}"

    def parse(self, text):
        """The value that a text on the command line means; of "texts", one of them.

        Raises:
          UsageError: naming the flag, what it takes and what came.
        """
        if not text.strip() or (self.kind in ("string", "path", "texts") and text.startswith("--")):
            raise errors.UsageError(
                f"--{self.flag} is given without a value",
                expected=self.expected,
                received=text.strip() or None,
                fix=f"--{self.flag}=VALUE",
            )
        value = self._convert(text)
        return self.check((value,))[0] if self.kind == "texts" else self.check(value)

    def _convert(self, text):
        if text.lower() in self.words:
            return text.lower()
        if self.kind == "path":
            return os.path.expanduser(text)  # which a shell does not do after "="
        try:
            if self.kind == "int":
                return int(text, {"0x": 16, "0o": 8}.get(text[:2].lower(), 10))
            if self.kind == "float":
                return float(text)
        except ValueError as error:
            raise self.refuse(text) from error
        if self.kind == "bool":
            return True if text.lower() in _TRUE else False if text.lower() in _FALSE else text
        return text

    def check(self, value):
        """The value, a list of texts as a tuple.

        Raises:
          UsageError: it is not of the kind, not among the choices or out of the bounds.
        """
        if (value is None and self.takes_none) or (isinstance(value, str) and value in self.words):
            return value
        if self.kind == "texts" and isinstance(value, list):
            value = tuple(value)
        if not _is_a(self.kind, value):
            raise self.refuse(value)
        for each in value if self.kind == "texts" else (value,):
            if self.choices and each not in self.choices:
                raise self.refuse(each)
        is_low = self.least is not None and not value >= self.least
        if is_low or self.most is not None and not value <= self.most:
            raise self.refuse(value)
        return value

    def refuse(self, value):
        """The `UsageError` of a value that is invalid."""
        near = difflib.get_close_matches(str(value), list(self.choices), n=1)
        return errors.UsageError(
            f"--{self.flag}={value}: invalid value",
            expected=self.expected,
            received=value,
            fix=f"did you mean {near[0]}?" if near else None,
        )

    def to_json(self, value):
        """The value as it is stored."""
        if self.kind == "texts":
            return list(value)
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    def absolute(self, value):
        """A path as an absolute one, for a file that is read from another folder; other values as they are."""
        if self.kind != "path" or value is None or value in self.words:
            return value
        return os.path.abspath(value)


def _is_a(kind, value):
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if kind == "float":
        return isinstance(value, numbers.Real) and not isinstance(value, bool) and value == value
    if kind == "texts":
        return isinstance(value, tuple) and all(isinstance(text, str) for text in value)
    return isinstance(value, str if kind == "string" else (str, os.PathLike))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Base of all options classes: what is wrong with a value is said when the object is made.

    A class sets `title`, the heading of its flags in --help.

    Raises:
      UsageError: an invalid value.
    """

    title = "Options"

    def __post_init__(self):
        for each in options_of(type(self)):
            object.__setattr__(self, each.name, each.check(getattr(self, each.name)))


@functools.cache
def options_of(kind):
    """The `Option`s of an options class, in the order of its fields; fields without description are skipped."""
    return tuple(_describe(kind, field) for field in dataclasses.fields(kind) if _KEY in field.metadata)


def _describe(kind, field):
    parts = typing.get_args(field.type) if isinstance(field.type, types.UnionType) else (field.type,)
    source = next(base for base in reversed(kind.__mro__) if field.name in inspect.get_annotations(base))
    metadata = field.metadata[_KEY]
    return Option(
        name=field.name,
        kind="path" if os.PathLike in parts else _KINDS[parts[0]],
        takes_none=type(None) in parts,
        default=None if field.default is dataclasses.MISSING else field.default,
        is_required=field.default is dataclasses.MISSING,
        title=source.title,
        **metadata | {"flag": metadata["flag"] or field.name},
    )


def _field(kind, name):
    return next(field for field in dataclasses.fields(kind) if field.name == name)


def pick(kind, source, **given):
    """An object of the options class `kind` with the values that `source`, of another class, has for its fields."""
    names = [field.name for field in dataclasses.fields(kind) if hasattr(source, field.name)]
    return kind(**{name: getattr(source, name) for name in names} | given)


def values_of(source, kind=None):
    """{name: value} of the options of `source`; those of the class `kind` only."""
    return {each.name: getattr(source, each.name) for each in options_of(kind or type(source))}


def rename_former(kind, values):
    """Stored values under the names that the options of the class `kind` have today."""
    former = {each.former: each.name for each in options_of(kind) if each.former}
    return {former.get(name, name): value for name, value in values.items()}


def complete(kind, values):
    """As `rename_former`; options that did not exist when the values were stored get their defaults."""
    defaults = {each.name: each.to_json(each.default) for each in options_of(kind) if not each.is_required}
    return defaults | rename_former(kind, values)
