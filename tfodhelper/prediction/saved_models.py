"""Where a SavedModel and its label map are."""

import pathlib

from tfodhelper import errors, run_layout


def find_saved_model(path):
    """Finds the SavedModel of a folder.

    Args:
      path: the folder of the SavedModel itself, the folder around it (an export, an unpacked archive of the zoo), or a
        run folder, meaning its best export.

    Returns:
      pathlib.Path.

    Raises:
      PredictionError: there is none.
    """
    path = pathlib.Path(path)
    for folder in (path, path / "saved_model", run_layout.export_of(path, "best") / "saved_model"):
        if (folder / "saved_model.pb").is_file() or (folder / "saved_model.pbtxt").is_file():
            return folder
    if run_layout.is_run(path):
        raise errors.PredictionError(
            f"{path}: this run has not exported a model yet",
            expected=f"the folder {run_layout.export_of(path, 'best')}",
            fix="start the same `tfodhelper run` again: it resumes where it stopped",
        )
    raise errors.PredictionError(
        f"{path}: no SavedModel found",
        expected="a folder with saved_model.pb or saved_model/saved_model.pb, or a run folder",
        received="a folder without it" if path.is_dir() else "no such folder",
        fix="make one from a checkpoint with `tfodhelper export`",
    )


def find_label_map(saved_model_dir):
    """Finds the label map of a SavedModel: in its folder, in its assets or in the folder above.

    Returns:
      pathlib.Path of label_map.pbtxt, or of the only other *.pbtxt; None if there is neither.
    """
    folder = find_saved_model(saved_model_dir)
    for parent in (folder, folder / "assets", folder / "assets.extra", folder.parent):
        if (parent / "label_map.pbtxt").is_file():
            return parent / "label_map.pbtxt"
        candidates = [path for path in sorted(parent.glob("*.pbtxt")) if path.name != "saved_model.pbtxt"]
        if len(candidates) == 1:
            return candidates[0]
    return None
