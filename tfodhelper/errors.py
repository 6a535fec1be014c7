"""Everything that can go wrong, in words that a user can act on.

Every error that a user can see derives from `TfodhelperError`. A message names the file and the object, what was
expected, what was received, and how to fix it; the command line prints it without a traceback.
Characters that would steer a terminal are written as escapes, and very long lines are shortened.
"""

from typing import Any

from tfodhelper import plain_text

_LONGEST_LINE = 5000  # characters; the names of all models of the zoo fit


class TfodhelperError(Exception):
    """Base of all errors that are caused by the input, the machine or the user, not by a bug in this program.

    Args:
      what: one sentence that names the file or the object and says what is wrong.
      expected: what would have been valid, where that helps.
      received: what was found instead.
      fix: how to correct it, preferably something to type.
    """

    exit_status: int = 1

    def __init__(self, what: object, *, expected: object = None, received: object = None, fix: object = None) -> None:
        self.what = str(what)
        self.expected = expected
        self.received = received
        self.fix = fix
        if expected is not None and received is not None:
            expected, received = plain_text.tell_apart(expected, received)
        lines = [self.what]
        if expected is not None:
            lines.append(f"  expected: {expected}")
        if received is not None:
            lines.append(f"  received: {received}")
        if fix is not None:
            lines.append(f"  fix: {fix}")
        super().__init__("\n".join(plain_text.shorten(line, _LONGEST_LINE) for line in _visible_lines(lines)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors are sent by worker processes; since constructors differ, they are restored without calling them."""
        return _restore, (type(self), self.args, self.__dict__)


class UsageError(TfodhelperError):
    """An invalid flag or an invalid combination of flags."""

    exit_status = 2


class AnnotationError(TfodhelperError):
    """An annotation file or a label map that cannot be used."""


class DatasetError(TfodhelperError):
    """A set of images that cannot be converted, split or read as a whole."""


class ConfigError(TfodhelperError):
    """A pipeline.config that cannot be parsed, or that asks for something that does not exist."""


class ZooError(TfodhelperError):
    """A model that is not in the zoo, or whose archive could not be obtained."""


class CheckpointError(TfodhelperError):
    """A checkpoint that is missing, damaged or does not fit the model."""


class TrainingError(TfodhelperError):
    """Training that cannot continue."""


class ExportError(TfodhelperError):
    """A model that could not be exported."""


class PredictionError(TfodhelperError):
    """A SavedModel or an image that cannot be used for prediction."""


class StorageError(TfodhelperError):
    """A folder that cannot be written, a full disk, or a folder that another process is using."""


class ServerError(TfodhelperError):
    """A server of another program that does not answer, or refuses what it is asked."""


def _visible_lines(parts):
    return plain_text.visible("\n".join(parts)).split("\n")


def _restore(kind, args, state):
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error
