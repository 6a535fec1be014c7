"""What is where in a run folder: the places that several rooms know, so that a user may name the run folder alone."""

import os
import pathlib

STATE = "run.json"


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is that of a run, finished or not."""
    return (pathlib.Path(folder) / STATE).is_file()


def checkpoints_of(folder: str | os.PathLike[str]) -> pathlib.Path:
    """The folder of a run's training: its checkpoints, event files and evaluations."""
    return pathlib.Path(folder) / "checkpoints"


def export_of(folder: str | os.PathLike[str], which: str) -> pathlib.Path:
    """The folder of a run's export: of the "best" or the "last" checkpoint."""
    return pathlib.Path(folder) / "export" / which


def to_training(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """A path of checkpoints as it is; of a run folder, that of its training."""
    return checkpoints_of(path) if is_run(path) else path


def to_best_checkpoint(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """A path of checkpoints as it is; of a run folder, that of its best checkpoint."""
    return checkpoints_of(path) / "best" if is_run(path) else path
