"""The kinds of rules of `honoured`: what becomes of a field that a pipeline.config sets."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Unhonoured:
    """Not honoured; `reason` may name a way out."""

    reason: str = ""
    judges_default = False

    def judge(self, text, message):
        """Returns (status, reason) of a field that is set to `text` in `message`."""
        del text, message
        return "not honoured", self.reason


@dataclasses.dataclass(frozen=True)
class Honoured:
    """Read, and done."""

    judges_default = False

    def judge(self, text, message):
        """As `Unhonoured.judge`."""
        del text, message
        return "honoured", ""


@dataclasses.dataclass(frozen=True)
class Hint:
    """Not read, and nothing is lost by it; `reason` says why."""

    reason: str
    judges_default = False

    def judge(self, text, message):
        """As `Unhonoured.judge`."""
        del text, message
        return "hint", self.reason


@dataclasses.dataclass(frozen=True)
class Only:
    """Certain values only, given as texts."""

    values: tuple[str, ...]
    reason: str = ""
    judges_default = True

    def judge(self, text, message):
        """As `Unhonoured.judge`."""
        del message
        if text in self.values:
            return "honoured", ""
        return "not honoured", self.reason or "only " + " or ".join(self.values)


@dataclasses.dataclass(frozen=True)
class When:
    """A hint under a condition on the message that holds the field; else not honoured."""

    condition: Callable
    hint: str
    otherwise: str
    judges_default = False

    def judge(self, text, message):
        """As `Unhonoured.judge`."""
        del text
        return ("hint", self.hint) if self.condition(message) else ("not honoured", self.otherwise)


def make(names="", **others):
    """{field: rule}: the names, divided by spaces, are honoured."""
    return {name: Honoured() for name in names.split()} | others


SAME_NUMBERS = Hint("only chooses how the same numbers are computed")
LEGACY = Hint("has no effect in the published code either")
