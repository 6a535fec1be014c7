"""The label map of a trained model: a file, or one that is included in this program."""

import os
import pathlib

from tfodhelper import errors
from tfodhelper.annotations import label_map
from tfodhelper.zoo import base_configs


def to_label_map(value):
    """The `LabelMap` that is meant.

    Args:
      value: a `LabelMap`, or what `find_label_map` takes.

    Returns:
      `LabelMap`, or None for None.

    Raises:
      AnnotationError, ConfigError, UsageError: see `find_label_map`.
    """
    if value is None or isinstance(value, label_map.LabelMap):
        return value
    return label_map.read_label_map(find_label_map(value))


def find_label_map(value):
    """Finds the file given by --label_map, and checks that it is a label map.

    Args:
      value: path of a label_map.pbtxt, a name such as "mscoco", or None.

    Returns:
      pathlib.Path, or None.

    Raises:
      AnnotationError: the file is not a label map.
      UsageError: the file does not exist.
      ConfigError: the name is unknown.
    """
    if value is None:
        return None
    path = pathlib.Path(value)
    if not path.is_file():
        if path.name != os.fspath(value) or path.suffix:
            raise errors.UsageError(f"--label_map={value}: no such file", fix="give the path of a label_map.pbtxt")
        path = pathlib.Path(base_configs.label_map_path(path.name))
    label_map.read_label_map(path)
    return path
