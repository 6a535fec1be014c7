"""How JPEGs are decoded: one setting that training, evaluation, exports and predictions share.

The inverse transform of a JPEG has several implementations, whose pixels differ by a few levels of 256. That is enough
to change the mAP of a model in the third decimal if it was trained with the other one. The accurate transform gives the
pixels that Pillow and OpenCV read; the fast one is what the Object Detection API's decoder uses, since it takes
TensorFlow's default.
"""

import pathlib

from tfodhelper import errors, storage

ACCURATE, FAST = "accurate", "fast"
CHOICES = {
    ACCURATE: "the pixels that Pillow and OpenCV read",
    FAST: "those of the Object Detection API, which takes TensorFlow's default",
}
FILE = "decoding.json"  # in the folder of a training or of an export, unless the transform is the accurate one
_METHODS = {ACCURATE: "INTEGER_ACCURATE", FAST: "INTEGER_FAST"}
_LEVELS_UP = 2  # a checkpoint may be in best/ within a training, a SavedModel in saved_model/ within an export


def method_of(name):
    """The `dct_method` of TensorFlow's operations: "INTEGER_ACCURATE" or "INTEGER_FAST"."""
    return _METHODS[name]


def keep(folder, name):
    """Writes the setting to a folder; a folder without the file has ACCURATE."""
    path = pathlib.Path(folder) / FILE
    if name != ACCURATE:
        storage.write_json(path, {"jpeg_dct": name})
    else:
        path.unlink(missing_ok=True)


def find_in(folder):
    """The setting that `keep` wrote to a folder; see `find`."""
    path = pathlib.Path(folder) / FILE
    return _read(path) if path.is_file() else ACCURATE


def find(path):
    """The setting that belongs to a training, a checkpoint, an export or a SavedModel: ACCURATE or FAST.

    Args:
      path: folder or prefix; the file is searched there and in the folders around it.

    Raises:
      StorageError: the file exists and cannot be read, or names no known transform.
    """
    start = pathlib.Path(path)
    for folder in (start, *start.absolute().parents[:_LEVELS_UP]):
        if (folder / FILE).is_file():
            return find_in(folder)
    return ACCURATE


def _read(path):
    content = storage.read_json(path)
    name = content.get("jpeg_dct") if isinstance(content, dict) else None
    if isinstance(name, str) and name in CHOICES:
        return name
    fix = "restore the file, or remove it if the model was trained without --jpeg_dct"
    raise errors.StorageError(
        f"{path}: does not say how JPEGs are decoded", expected="jpeg_dct: " + " or ".join(CHOICES), fix=fix
    )
