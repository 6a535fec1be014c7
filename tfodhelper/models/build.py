"""From a DetectionModel message to a detector.

The modules `build`, `parts` and `hyperparams` are the only readers of configuration in this layer. An unknown
name is an error that lists them.
"""

import importlib

from tfodhelper import families


def build_detector(model_message, is_training):
    """Builds a detector with all its variables, freshly initialized.

    Args:
      model_message: a DetectionModel message.
      is_training: whether the detector is to be trained; if not, batch norm statistics never move.

    Returns:
      A `models.detector.Detector`.

    Raises:
      ConfigError: on names and combinations that are not known.
    """
    family = families.family_of(model_message)
    return load_builder(family)(family.architecture(model_message), is_training)


def load_builder(family):
    """Imports the function that a family names as its builder."""
    module, _, function = family.builder.partition(":")
    return getattr(importlib.import_module(module), function)
