"""The names of the classes of a published model, which its archive does not have."""

from tfodhelper import console
from tfodhelper.config import checkpoint_classes
from tfodhelper.prediction import saved_models


def find_label_map(path):
    """The included label map of the model of the zoo that a folder is named after, if the model has none beside it.

    Args:
      path: as for `saved_models.find_model`.

    Returns:
      A `LabelMap`, or None.

    Raises:
      PredictionError, ZooError: see `saved_models.find_model`.
    """
    model = saved_models.find_model(path)
    if saved_models.is_tflite(model) or saved_models.find_label_map(path) is not None:
        return None
    for candidate in checkpoint_classes.of_zoo(model / "variables"):
        console.say(f"{path}: the names of its classes are those of {candidate.source}")
        return candidate.label_map
    return None
