"""Where a SavedModel or a TFLite file and its label map are."""

import contextlib
import functools
import pathlib

from tfodhelper import errors, run_layout
from tfodhelper.zoo import cache, catalogue

_TFLITE = ".tflite"


def find_model(path):
    """Finds what a path of a model means: a TFLite file or a SavedModel.

    Args:
      path: a .tflite file, a folder with one, or what `find_saved_model` takes.

    Returns:
      pathlib.Path of the file, or of the folder of the SavedModel.

    Raises:
      PredictionError: there is none, it cannot be downloaded, or there are several TFLite files in the folder.
      ZooError: an archive cannot be unpacked.
    """
    given, path = path, _unpacked(path)
    if path.is_file():
        if path.suffix.lower() == _TFLITE:
            return path
        raise errors.PredictionError(
            f"{path}: this file is not a model",
            expected="a file *.tflite, the folder of a SavedModel, or an archive of the zoo (.tar.gz)",
        )
    files = sorted(path.glob(f"*{_TFLITE}"))
    if len(files) > 1 and not is_saved_model(path):
        names = ", ".join(file.name for file in files)
        raise errors.PredictionError(
            f"{path}: there are several TFLite files in this folder",
            received=names,
            fix=f"name one, such as {files[0]}",
        )
    return files[0] if files and not is_saved_model(path) else _find_saved_model(path, given)


def _unpacked(path):
    """The folder that stands for an archive or a name of the zoo; other paths as they are."""
    path = pathlib.Path(path)
    if cache.is_archive(path):
        return cache.unpack_local(path)
    if len(path.parts) == 1 and not path.exists():
        with contextlib.suppress(errors.ZooError):
            model = catalogue.find_model(path.name)
            return _fetched(model, cache.cache_folder()) if model.url else path
    return path


@functools.lru_cache
def _fetched(model, cache_dir):
    """The folder of a model of the zoo; asked for once, though a command looks at it several times."""
    try:
        return cache.fetch_archive(model, cache_dir)
    except errors.ZooError as error:
        raise errors.PredictionError(
            error.what,
            received=error.received,
            fix="name a model on your disk, a folder or an archive (.tar.gz); $TFODHELPER_MIRRORS can list further "
            "sources",
        ) from error


def is_tflite(path):
    """Whether a path that `find_model` returned is that of a TFLite file."""
    return pathlib.Path(path).suffix.lower() == _TFLITE


def is_saved_model(folder):
    """Whether a folder is that of a SavedModel."""
    return any((pathlib.Path(folder) / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt"))


def find_saved_model(path):
    """Finds the SavedModel of a folder.

    Args:
      path: the folder of the SavedModel itself, the folder around it (an export, an unpacked archive of the zoo), or a
        run folder, meaning its best export; an archive (.tar.gz), which is unpacked into the cache; or the name of a
        model of the zoo, which is downloaded unless it is in the cache.

    Returns:
      pathlib.Path.

    Raises:
      PredictionError: there is none, or it cannot be downloaded.
      ZooError: an archive cannot be unpacked.
    """
    return _find_saved_model(_unpacked(path), path)


def _find_saved_model(path, given):
    """As `find_saved_model`, of a path that may be the unpacked content of what the user gave."""
    for folder in (path, path / "saved_model", run_layout.export_of(path, "best") / "saved_model"):
        if is_saved_model(folder):
            return folder
    if path.is_file() or any(path.glob(f"*{_TFLITE}")):
        raise errors.PredictionError(
            f"{path}: a SavedModel is needed here",
            expected="a folder with saved_model.pb or saved_model/saved_model.pb, or a run folder",
            received="a TFLite file" if is_tflite(path) else "a file" if path.is_file() else "a folder of TFLite files",
            fix="export the checkpoint without --format=tflite",
        )
    if run_layout.is_run(path):
        raise errors.PredictionError(
            f"{path}: this run has not exported a model yet",
            expected=f"the folder {run_layout.export_of(path, 'best')}",
            fix="start the same `tfodhelper run` again: it resumes where it stopped",
        )
    if any(path.glob("frozen_inference_graph.pb")):
        raise errors.PredictionError(
            f"{given}: the archive has no SavedModel",
            expected="saved_model/saved_model.pb",
            received="frozen_inference_graph.pb, a graph without signature, which is not supported",
            fix="export its checkpoint with `tfodhelper export`",
        )
    raise errors.PredictionError(
        f"{given}: no SavedModel found",
        expected="a folder with saved_model.pb or saved_model/saved_model.pb, or a run folder",
        received="a folder without it" if path.is_dir() else "no such folder",
        fix="make one from a checkpoint with `tfodhelper export`",
    )


def find_label_map(path):
    """Finds the label map of a model.

    Args:
      path: as for `find_model`.

    Returns:
      pathlib.Path of label_map.pbtxt, or of the only other *.pbtxt; None if there is neither. It is looked for in the
      folder of a SavedModel, in its assets and in the folder above, and next to a TFLite file.
    """
    model = find_model(path)
    if is_tflite(model):
        label_map = model.parent / "label_map.pbtxt"
        return label_map if label_map.is_file() else None
    for parent in (model, model / "assets", model / "assets.extra", model.parent):
        if (parent / "label_map.pbtxt").is_file():
            return parent / "label_map.pbtxt"
        candidates = [path for path in sorted(parent.glob("*.pbtxt")) if path.name != "saved_model.pbtxt"]
        if len(candidates) == 1:
            return candidates[0]
    return None
