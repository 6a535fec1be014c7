"""The layout of a run folder, as far as other rooms accept a run folder in place of what is in it."""

import os
import pathlib
from typing import Any

from tfodhelper import json_shapes, state_files, storage

STATE = "run.json"
_FIX = "restore the file from a copy; or move this folder away, or choose another --output_dir, and start again"
_PHASES = {str: {"seconds": float}}
_NUMBERS = {"step": int, "mAP": (float, None), "mAP@.50IOU": (float, None)}
_STATE_FORM = state_files.StateForm("the state of a run", {"settings": dict, "phases": _PHASES, "finished": bool}, _FIX)
_SETTINGS_FORM = state_files.StateForm("the settings of a run", {"data": dict}, _FIX)
_FINISHED_FORM = state_files.StateForm("the state of a finished run", {"result": dict}, _FIX)
_RESULT_FORM = state_files.StateForm("the result of a run", {"best": _NUMBERS, "last": _NUMBERS}, _FIX)
_NO_GROUNDTRUTH = -1.0  # what the first versions stored for a figure that could not be measured
_MAP = "DetectionBoxes_Precision/mAP"
BEST_BY = "best_by"  # of an evaluation: by which figure it was the best so far, null if it was not
_FIGURES = {str: (float, None)}
_EVALUATION = {"step": float, "metrics": _FIGURES, "train?": _FIGURES, "seconds?": (float, None)}
_EVALUATION |= {f"{BEST_BY}?": (str, None)}
_METRICS = ("DetectionBoxes_", "ProposalBoxes_")


def is_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder is that of a run, finished or not."""
    return (pathlib.Path(folder) / STATE).is_file()


def read_state(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The content of a run's run.json: settings, phases, whether it is finished; None without such a file.

    Raises:
      StorageError: the file is damaged, or from another version; the message says what to do.
    """
    path = pathlib.Path(folder) / STATE
    if not is_run(folder):
        return None
    state = state_files.read_state(path, _STATE_FORM)
    state_files.check_state(f"{path}, settings", state["settings"], _SETTINGS_FORM)
    return state


def result_of(folder: str | os.PathLike[str], state: dict[str, Any]) -> dict[str, Any]:
    """The result in the state of a finished run: {"best": ..., "last": ..., ...}; errors as in `read_state`."""
    path = pathlib.Path(folder) / STATE
    state_files.check_state(path, state, _FINISHED_FORM)
    return state_files.check_state(f"{path}, result", state["result"], _RESULT_FORM)


def checkpoints_of(folder: str | os.PathLike[str]) -> pathlib.Path:
    """The folder of a run's training: its checkpoints, event files and evaluations."""
    return pathlib.Path(folder) / "checkpoints"


def export_of(folder: str | os.PathLike[str], which: str) -> pathlib.Path:
    """The folder of a run's export: of the "best" or the "last" checkpoint."""
    return pathlib.Path(folder) / "export" / which


def evaluation_of(folder: str | os.PathLike[str], which: str) -> pathlib.Path:
    """The folder with what an evaluation found, of a training or a run: of "best" or "last", or of "step-600"."""
    return pathlib.Path(to_training(folder)) / "evaluation" / which


def to_training(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The folder of the training of a run folder; any other path as it is."""
    return checkpoints_of(path) if is_run(path) else path


def to_best_checkpoint(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The folder of the best checkpoint of a run folder; any other path as it is."""
    return checkpoints_of(path) / "best" if is_run(path) else path


def read_evaluations(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads the evaluations of a training, evaluations.jsonl.

    Returns:
      For each one, oldest first, {"step": ..., "metrics": {tag: value, None if it could not be measured}, ...}.

    Raises:
      StorageError: the file cannot be read, or a line is not an evaluation.
    """
    form = storage.LineForm(
        content="an evaluation",
        expected='{"step": ..., "metrics": {...}}',
        fix="remove this line; that evaluation is then missing in results.csv",
        parse=_to_evaluation,
        shape=_EVALUATION,
    )
    return list(storage.read_json_lines(path, form))


def best_of(records: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The evaluation whose weights are in the folder `best`: the last one that was marked as the best so far.

    Args:
      records: what `read_evaluations` returns. Those of versions without marks are compared by mAP.

    Returns:
      The record; None where the figure that decides could not be measured.
    """
    marked = [record for record in records if record.get(BEST_BY)]
    if marked:
        return marked[-1]
    scored = [record for record in records if BEST_BY not in record and record["metrics"].get(_MAP) is not None]
    return max(scored, key=lambda record: record["metrics"][_MAP], default=None)


def _to_evaluation(value: dict[str, Any]) -> dict[str, Any]:
    metrics = {
        tag: None if figure == _NO_GROUNDTRUTH and tag.startswith(_METRICS) else figure
        for tag, figure in value["metrics"].items()
    }
    json_shapes.check_finite(value.get("seconds"), "seconds")
    return {**value, "step": int(value["step"]), "metrics": metrics}
