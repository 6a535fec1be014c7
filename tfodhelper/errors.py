"""What can go wrong, in words that a user can act on.

Every error that a user can meet derives from `TfodhelperError`. A message names the file, the object, what was
expected, what was received, and how to fix it; the command line prints it without a traceback.
"""


class TfodhelperError(Exception):
    """Base of all errors that are caused by the input, the machine or the user, and not by this program.

    Args:
      what: one sentence that names the file or the object and says what is wrong.
      expected: what would have been right, where that helps.
      received: what was there instead.
      fix: what to do about it, preferably something to type.
    """

    exit_status = 1

    def __init__(self, what, *, expected=None, received=None, fix=None):
        self.what = str(what)
        self.expected = expected
        self.received = received
        self.fix = fix
        lines = [self.what]
        if expected is not None:
            lines.append(f"  expected: {expected}")
        if received is not None:
            lines.append(f"  received: {received}")
        if fix is not None:
            lines.append(f"  fix: {fix}")
        super().__init__("\n".join(lines))

    def __reduce__(self):
        """Errors travel from worker processes; their constructors differ, so they are restored without them."""
        return _restore, (type(self), self.args, self.__dict__)


class UsageError(TfodhelperError):
    """An invalid flag, or flags that cannot be combined."""

    exit_status = 2


class AnnotationError(TfodhelperError):
    """An annotation file or a label map that cannot be used."""


class DatasetError(TfodhelperError):
    """A set of images that cannot be converted, split or read as a whole."""


class ConfigError(TfodhelperError):
    """A pipeline.config that cannot be parsed, or that asks for something that is not supported."""


class ZooError(TfodhelperError):
    """A model that is not in the zoo, or whose archive could not be downloaded or unpacked."""


class CheckpointError(TfodhelperError):
    """A checkpoint that does not belong to the model."""


class TrainingError(TfodhelperError):
    """Training that cannot continue."""


class ExportError(TfodhelperError):
    """A model that could not be exported."""


class PredictionError(TfodhelperError):
    """A SavedModel that cannot be used, or an image that cannot be predicted."""


class StorageError(TfodhelperError):
    """A folder that cannot be written, a full disk, a run that another process is using."""


def _restore(kind, args, state):
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error
