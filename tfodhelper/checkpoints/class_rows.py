"""The part of a detector's last layers that belongs to each class, taken from a checkpoint with other classes."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class ClassRows:
    """Which classes of a model are classes of a checkpoint.

    Attributes:
      num_classes: of the checkpoint, without background.
      source_of: {class of the model: class of the checkpoint}, both 0-based; the other classes of the model are new.
    """

    num_classes: int
    source_of: Mapping[int, int]

    def width_in_checkpoint(self, named, num_classes):
        """Size that the last dimension of a variable has in the checkpoint.

        Args:
          named: a `NamedVariable` that depends on the classes.
          num_classes: of the model.
        """
        background, width = named.class_columns
        sections = named.variable.shape[-1] // ((background + num_classes) * width)
        return sections * (background + self.num_classes) * width

    def fill(self, named, stored, num_classes):
        """The value of a variable with background and known classes from the checkpoint.

        Args:
          named: a `NamedVariable` that depends on the classes; new classes keep the values it has.
          stored: its value in the checkpoint, [..., `width_in_checkpoint`].
          num_classes: of the model.

        Returns:
          An array of the shape of the variable.
        """
        background, width = named.class_columns
        initial = named.variable.numpy()
        filled = initial.reshape([*initial.shape[:-1], -1, background + num_classes, width]).copy()
        stored = stored.reshape([*initial.shape[:-1], -1, background + self.num_classes, width])
        filled[..., :background, :] = stored[..., :background, :]
        for index, source in self.source_of.items():
            filled[..., background + index, :] = stored[..., background + source, :]
        return filled.reshape(initial.shape)


def count_classes(named, stored_width, num_classes):
    """Number of classes of a checkpoint by the size of the last dimension of a variable; None: there is no such number.

    Args:
      named: a `NamedVariable` that depends on the classes.
      stored_width: size of its last dimension in the checkpoint.
      num_classes: of the model.
    """
    background, width = named.class_columns
    sections = named.variable.shape[-1] // ((background + num_classes) * width)
    columns, rest = divmod(stored_width, sections * width)
    return columns - background if rest == 0 and columns > background else None
