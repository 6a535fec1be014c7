"""--label_map where it names classes of a trained model: a file, or a label map that comes with this program."""

import pathlib

from tfodhelper import errors
from tfodhelper.annotations import label_map
from tfodhelper.cli import flagging
from tfodhelper.zoo import base_configs


def define(fv, otherwise):
    """Defines the flag.

    Args:
      fv: the verb's `FlagValues`.
      otherwise: what is taken when the flag is left out, in words.
    """
    flagging.define_path(
        fv,
        "label_map",
        None,
        "label_map.pbtxt with the names of the classes, or the name of one that comes along, as mscoco. "
        f"When left out: {otherwise}.",
    )


def resolve(value):
    """Finds the file that the flag means, and checks that it is a label map.

    Returns:
      pathlib.Path, or None when the flag is left out.

    Raises:
      AnnotationError: when the file is no label map.
      UsageError: when there is neither such a file nor such a name.
    """
    if value is None:
        return None
    path = pathlib.Path(value)
    if not path.is_file():
        if path.name != value or path.suffix:
            raise errors.UsageError(
                f"--label_map={value}: there is no such file", fix="give the path of a label_map.pbtxt"
            )
        path = pathlib.Path(base_configs.label_map_path(value))
    label_map.read_label_map(path)
    return path
