"""Where a SavedModel and its label map lie."""

import pathlib

from tfodhelper import errors


def find_saved_model(path):
    """Finds the SavedModel of a folder: the folder itself, or `saved_model` in it, as exports and zoo archives have it.

    Returns:
      pathlib.Path.

    Raises:
      PredictionError: when there is none.
    """
    path = pathlib.Path(path)
    for folder in (path, path / "saved_model"):
        if (folder / "saved_model.pb").is_file() or (folder / "saved_model.pbtxt").is_file():
            return folder
    raise errors.PredictionError(
        f"{path}: no SavedModel here",
        expected="a folder with saved_model.pb, or with saved_model/saved_model.pb",
        received="a folder without it" if path.is_dir() else "no such folder",
        fix="tfodhelper export makes one from a checkpoint",
    )


def find_label_map(saved_model_dir):
    """Finds the label map of a SavedModel: in its folder, in its assets or in the folder above.

    Returns:
      pathlib.Path of label_map.pbtxt, or of the only *.pbtxt there; None when there is neither.
    """
    folder = find_saved_model(saved_model_dir)
    for place in (folder, folder / "assets", folder / "assets.extra", folder.parent):
        if (place / "label_map.pbtxt").is_file():
            return place / "label_map.pbtxt"
        found = [path for path in sorted(place.glob("*.pbtxt")) if path.name != "saved_model.pbtxt"]
        if len(found) == 1:
            return found[0]
    return None
