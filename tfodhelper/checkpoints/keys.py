"""The names that the variables of a model have in checkpoints.

* An object-graph checkpoint (TensorFlow 2) names a variable by its path: `model/`, the place of its part, its own key
  in that part, and TensorFlow's suffix.
* A classification checkpoint of that kind has the backbone alone, under `feature_extractor/`.
* A first-generation checkpoint (TensorFlow 1) has the scopes of TF-Slim.

A detector gives its parts with all these names (`models.detector.Detector.parts`), so that nobody has to tell from a
key what a variable is.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

from tfodhelper.families import roles

ROOT = "model"
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_CLASSIFICATION_ROOT = "feature_extractor"


class ClassColumns(NamedTuple):
    """How the classes are arranged in the last dimension of a variable.

    It consists of equal sections (one for each anchor, or a single one); a section has columns for the background, then
    one for each class.

    Attributes:
      num_background: columns for the background.
      width: numbers per column: 1 for logits, 4 for boxes.
    """

    num_background: int
    width: int = 1


class NamedVariable(NamedTuple):
    """A variable and what it is called in checkpoints.

    Attributes:
      key: in object-graph checkpoints.
      variable: a `tf.Variable`.
      classification_key: in object-graph checkpoints of a classification network; None for what those do not have.
      slim_names: in first-generation checkpoints, the likeliest first.
      class_columns: `ClassColumns` of its last dimension; None if that does not follow from the number of classes.
      is_sized_by_classes: whether the network chose its channels by the number of classes.
    """

    key: str
    variable: object
    classification_key: str | None
    slim_names: tuple
    class_columns: ClassColumns | None
    is_sized_by_classes: bool = False

    @property
    def depends_on_classes(self):
        """Whether the last dimension follows from the number of classes."""
        return self.class_columns is not None

    def differs_by_classes(self, other_shape):
        """Whether the variable can have another shape only because a model has another number of classes."""
        shape, other_shape = list(self.variable.shape), list(other_shape)
        if self.is_sized_by_classes and shape[:-2] == other_shape[:-2] and len(shape) == len(other_shape):
            return True
        return self.depends_on_classes and shape[:-1] == other_shape[:-1]


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a detector: which role it plays, and where checkpoints have it.

    Attributes:
      scope: its place below `model/` in object-graph checkpoints.
      module: has `checkpoint_keys()`, {own key: variable}, and `regularization_losses()`, a list of scalars.
      role: one of `families.roles`.
      class_columns: {own key: `ClassColumns`} of the variables whose last dimension follows from the number of classes.
      sized_by_classes: own keys of variables whose channels the network chose by the number of classes.
      classification_keys: {own key: key below the root of a classification checkpoint}.
      slim_names: {own key: names in first-generation checkpoints, the likeliest first}.
    """

    scope: str
    module: object
    role: str
    class_columns: Mapping[str, ClassColumns] = dataclasses.field(default_factory=dict)
    sized_by_classes: frozenset = frozenset()
    classification_keys: Mapping[str, str] = dataclasses.field(default_factory=dict)
    slim_names: Mapping[str, tuple] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.role not in roles.ALL:
            raise ValueError(f"{self.scope}: expected a role of {sorted(roles.ALL)}, received {self.role!r}")

    def variables(self):
        """A `NamedVariable` for each variable of the part."""
        return [self._name(own_key, variable) for own_key, variable in self.module.checkpoint_keys().items()]

    def _name(self, own_key, variable):
        classification_key = self.classification_keys.get(own_key)
        return NamedVariable(
            key=f"{ROOT}/{self.scope}/{own_key}{SUFFIX}",
            variable=variable,
            classification_key=classification_key and f"{_CLASSIFICATION_ROOT}/{classification_key}{SUFFIX}",
            slim_names=tuple(self.slim_names.get(own_key, ())),
            class_columns=self.class_columns.get(own_key),
            is_sized_by_classes=own_key in self.sized_by_classes,
        )
