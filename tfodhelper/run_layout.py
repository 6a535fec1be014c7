"""The layout of a run folder, as far as other rooms accept a run folder in place of what is in it."""

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
    """The folder of the training of a run folder; any other path as it is."""
    return checkpoints_of(path) if is_run(path) else path


def to_best_checkpoint(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The folder of the best checkpoint of a run folder; any other path as it is."""
    return checkpoints_of(path) / "best" if is_run(path) else path
