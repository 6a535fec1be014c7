"""Families of detectors: one table with a row for each family. Importing it does not import TensorFlow.

To add a family, write a module here with its row, a package `models/NAME` that builds its detectors, and add the row to
`TABLE`. Nothing else asks for a family by its name.
"""

from tfodhelper import errors
from tfodhelper.families import faster_rcnn, ssd
from tfodhelper.families.spec import BOXES, MASKS, PROPOSALS, Family

__all__ = ["BOXES", "MASKS", "PROPOSALS", "TABLE", "Family", "architecture_of", "family_of", "find_family", "names"]

TABLE = (ssd.FAMILY, faster_rcnn.FAMILY)


def names():
    """Names of all families: fields of DetectionModel."""
    return tuple(family.name for family in TABLE)


def find_family(model):
    """The `Family` of a DetectionModel message; None if it has none, or one that is not in the table."""
    name = model.WhichOneof("model")
    return next((family for family in TABLE if family.name == name), None)


def family_of(model):
    """The `Family` of a DetectionModel message.

    Raises:
      ConfigError: it has none, or one that is not in the table.
    """
    family = find_family(model)
    if family is None:
        name = model.WhichOneof("model")
        raise errors.ConfigError(
            f"model: models of the family {name} cannot be trained here yet"
            if name
            else "model: no architecture is set",
            expected="one of " + ", ".join(sorted(names())),
            received=name or "nothing",
            fix="`tfodhelper zoo --trainable` lists the models that can be trained" if name else None,
        )
    return family


def architecture_of(model):
    """The message of the architecture (Ssd, FasterRcnn, ...); errors as `family_of`."""
    return family_of(model).architecture(model)
