"""Kinds of rules for the fields of a pipeline.config. `config.supported` applies them."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Unsupported:
    """Not supported; `reason` may say what to do instead."""

    reason: str = ""
    judges_default = False

    def judge(self, text, message):
        """Returns (status, reason) of a field that is set to `text` in `message`."""
        del text, message
        return "not supported", self.reason


@dataclasses.dataclass(frozen=True)
class Untrainable(Unsupported):
    """A kind of model that cannot be trained here yet; removing the field would leave another model, or none.

    Attributes:
      known: the kinds that can be trained instead.
    """

    known: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Unjudged:
    """Depends on another field of the same message, which is not supported; left out, with all that is below it."""


@dataclasses.dataclass(frozen=True)
class Supported:
    """Read, and done."""

    judges_default = False

    def judge(self, text, message):
        """As `Unsupported.judge`."""
        del text, message
        return "supported", ""


@dataclasses.dataclass(frozen=True)
class Hint:
    """Not read, and nothing is lost by it; `reason` says why."""

    reason: str
    judges_default = False

    def judge(self, text, message):
        """As `Unsupported.judge`."""
        del text, message
        return "hint", self.reason


@dataclasses.dataclass(frozen=True)
class Different:
    """Not read, and what is done instead gives other results; `reason` says what, in a warning.

    For fields of published configurations whose models can be trained all the same.
    """

    reason: str
    judges_default = False

    def judge(self, text, message):
        """As `Unsupported.judge`."""
        del text, message
        return "different", self.reason


@dataclasses.dataclass(frozen=True)
class Only:
    """Certain values only, given as texts."""

    values: tuple[str, ...]
    reason: str = ""
    judges_default = True

    def judge(self, text, message):
        """As `Unsupported.judge`."""
        del message
        if text in self.values:
            return "supported", ""
        return "not supported", self.reason or "only " + " or ".join(self.values)


@dataclasses.dataclass(frozen=True)
class When:
    """A hint under a condition on the message that holds the field; else not supported."""

    condition: Callable
    hint: str
    otherwise: str
    judges_default = False

    def judge(self, text, message):
        """As `Unsupported.judge`."""
        del text
        return ("hint", self.hint) if self.condition(message) else ("not supported", self.otherwise)


@dataclasses.dataclass(frozen=True)
class SupportedWhen(Supported):
    """Read, and done, under a condition on the message that holds the field; else a hint."""

    condition: Callable
    hint: str

    def judge(self, text, message):
        """As `Unsupported.judge`."""
        del text
        return ("supported", "") if self.condition(message) else ("hint", self.hint)


def make(names="", **others):
    """{field: rule}; the fields in `names`, separated by spaces, are supported."""
    return {name: Supported() for name in names.split()} | others


SAME_NUMBERS = Hint("only chooses how the same numbers are computed")
LEGACY = Hint("has no effect in the published code either")
