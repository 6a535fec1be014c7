"""Fills detectors from checkpoints with the keys of the OD API: its own and those that `save` writes.

The parts of a detector know their names in checkpoints of every kind, and which of their variables depend on the
classes (`keys.Part`).
"""

import dataclasses
import re
from typing import NamedTuple

import tensorflow as tf

from tfodhelper import errors, spelling
from tfodhelper.checkpoints import class_rows, keys, whole
from tfodhelper.families import roles

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_BOOKKEEPING = re.compile(
    r"^(save_counter|step|global_step)(/|$)|^optimizer/|/\.OPTIMIZER_SLOT/|^_CHECKPOINTABLE_"
    r"|/(RMSProp|Momentum|Adam|ExponentialMovingAverage)(_\d+)?$"
)


# Ranges of values that training with quantization found, and their moving averages: a float network has none.
_RANGES = re.compile(r"(^|/)\w+_quant/")


@dataclasses.dataclass(frozen=True)
class RestoreReport:
    """What became of the variables of a detector and of those of the checkpoint.

    Attributes:
      prefix: of the checkpoint.
      restored: keys of the detector's variables that were filled.
      initialized: (key, reason) of those that keep their initial values.
      unused: names in the checkpoint that the model does not know; optimizer state and counters are not mentioned.
      num_ranges: variables of the checkpoint that say which ranges 8-bit values had; a float network needs none.
    """

    prefix: str
    restored: tuple
    initialized: tuple
    unused: tuple
    num_ranges: int = 0

    def __str__(self):
        lines = [f"weights: {spelling.count(len(self.restored), 'variable')} restored from {self.prefix}"]
        reasons = {}
        for key, reason in self.initialized:
            reasons.setdefault(reason, []).append(_short(key))
        for reason, names in reasons.items():
            lines.append(f"  {len(names)} freshly initialized, {reason}: {_abridge(names)}")
        if self.unused:
            lines.append(f"  {len(self.unused)} in the checkpoint are not used: {_abridge(self.unused)}")
        if self.num_ranges:
            lines.append(
                f"  {self.num_ranges} in the checkpoint are ranges of 8-bit values, not needed by float weights"
            )
        return "\n".join(lines)


def restore_for_fine_tuning(detector, path, checkpoint_type="detection", known_classes=None):
    """Fills a new detector from a checkpoint of the same kind of network, whatever its classes.

    Args:
      detector: a `Detector`, freshly built.
      path: see `whole.find_whole`.
      checkpoint_type: a key of `roles.CHECKPOINT_TYPES`, which lists the roles of the parts to restore. A variable
        whose shape differs only because the number of classes differs keeps its initial values.
      known_classes: `ClassRows`; then all parts are restored whatever the type, and the layers that depend on the
        classes class by class. None: they are restored where the number of classes is the same.

    Returns:
      `RestoreReport`.

    Raises:
      CheckpointError: a variable that is to be restored is missing or has another shape, or the checkpoint is damaged.
      ConfigError: the type is unknown.
    """
    restored_roles = roles.restored_by(checkpoint_type)
    if known_classes is not None:
        restored_roles = roles.ALL
    reason = f"because the checkpoint type is {checkpoint_type}"
    wanted, initialized = [], []
    for part in detector.parts():
        if part.role in restored_roles:
            wanted += part.variables()
        else:
            initialized += [(named.key, reason) for named in part.variables()]
    return _restore(
        path, wanted, initialized, other_classes_are_fine=True, by_class=_ByClass.of(detector, known_classes)
    )


def count_classes(detector, path):
    """Number of classes of a checkpoint of the same kind of network, whatever its classes.

    Args:
      detector: a `Detector`.
      path: see `whole.find_whole`.

    Raises:
      CheckpointError: it has no layers that depend on the classes, or those of another detector.
    """
    prefix = whole.find_whole(path)
    shapes = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
    counts = set()
    for named in (named for part in detector.parts() for named in part.variables() if named.depends_on_classes):
        name = _find_name(named, shapes)
        if name is not None:
            counts.add(class_rows.count_classes(named, shapes[name][-1], detector.num_classes))
    if len(counts) != 1 or None in counts:
        raise errors.CheckpointError(
            f"{prefix}: "
            + (
                "its layers have other anchors than the model's"
                if counts
                else "has no layer that depends on the classes"
            ),
            expected="the checkpoint of a detector like this one, whose classes can be kept",
            fix="use another checkpoint, or leave out --keep_classes",
        )
    return counts.pop()


def restore_trained(detector, path):
    """Fills a detector whole from a checkpoint of the same model.

    Args:
      detector: a `Detector`.
      path: see `whole.find_whole`.

    Returns:
      `RestoreReport`.

    Raises:
      CheckpointError: a variable is missing or has another shape, or the checkpoint is damaged.
    """
    wanted = [named for part in detector.parts() for named in part.variables()]
    return _restore(path, wanted, [], other_classes_are_fine=False)


class _ByClass(NamedTuple):
    """How layers that depend on the classes are restored class by class."""

    rows: class_rows.ClassRows
    num_classes: int  # of the model

    @classmethod
    def of(cls, detector, rows):
        """None without `ClassRows`."""
        return None if rows is None else cls(rows, detector.num_classes)

    def check(self, prefix, named, name, shape):
        """Raises a CheckpointError if a variable in the checkpoint is not one of `rows.num_classes` classes."""
        expected = [*named.variable.shape[:-1], self.rows.width_in_checkpoint(named, self.num_classes)]
        if list(shape) != expected:
            raise errors.CheckpointError(
                f"{prefix}: variable {name} does not belong to {spelling.count(self.rows.num_classes, 'class')}, the "
                "largest id of the label map that was taken for this checkpoint's",
                expected=expected,
                received=list(shape),
                fix="name the label map that it was trained with: --checkpoint_label_map=PATH",
            )

    def value(self, named, stored):
        """See `ClassRows.fill`."""
        return self.rows.fill(named, stored, self.num_classes)


def _restore(path, wanted, initialized, other_classes_are_fine, by_class=None):
    """Checks everything first, then assigns.

    Args:
      path: see `whole.find_whole`.
      wanted: `NamedVariable`s.
      initialized: (key, reason) of the detector's other variables.
      other_classes_are_fine: whether a variable whose shape differs only because the number of classes differs keeps
        its initial values; otherwise this is an error.
      by_class: `_ByClass`, or None.
    """
    prefix = whole.find_whole(path)
    reader = tf.train.load_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    names, other_classes, missing, initialized = {}, [], [], list(initialized)
    for named in wanted:
        name = _find_name(named, shapes)
        if name is None:
            missing.append(named)
        elif by_class is not None and named.depends_on_classes and not _has_other_inputs(named, shapes[name]):
            by_class.check(prefix, named, name, shapes[name])
            names[named.key] = name
        elif list(named.variable.shape) == list(shapes[name]):
            names[named.key] = name
        elif other_classes_are_fine and named.differs_by_classes(shapes[name]):
            initialized.append((named.key, "because the number of classes differs"))
            other_classes.append(name)
        else:
            _raise_other_shape(prefix, named, name, list(shapes[name]))
    if missing:
        _raise_missing(prefix, missing, len(wanted), shapes)
    for named in wanted:
        if named.key in names:
            value = reader.get_tensor(names[named.key])
            if by_class is not None and named.depends_on_classes:
                value = by_class.value(named, value)
            named.variable.assign(value)
    known = {*names.values(), *other_classes, *(named.key for named in wanted), *(key for key, _ in initialized)}
    others = [name for name in shapes if name not in known and not _BOOKKEEPING.search(name)]
    unused = tuple(sorted(name for name in others if not _RANGES.search(name)))
    return RestoreReport(prefix, tuple(names), tuple(initialized), unused, num_ranges=len(others) - len(unused))


def _find_name(named, names):
    """The name of a `NamedVariable` among those in a checkpoint, or None."""
    candidates = [named.key, named.classification_key]
    if _OBJECT_GRAPH not in names:
        candidates += named.slim_names
    return next((name for name in candidates if name in names), None)


def _has_other_inputs(named, shape):
    """Whether a variable has other input channels than the one in a checkpoint, by its number of classes."""
    return named.is_sized_by_classes and list(named.variable.shape)[:-1] != list(shape)[:-1]


def _raise_other_shape(prefix, named, name, received):
    """The error for a variable of a different shape, which says so if only the number of classes can be the cause."""
    problem = f"variable {name} has another shape than the model's {_short(named.key)}"
    fix = "use a checkpoint of this model, or configure the model (depth_multiplier, anchors, ...) as it was"
    if named.differs_by_classes(received):
        problem = f"the checkpoint has another number of classes than the model: {problem}"
        fix = (
            "set num_classes of the model to that of the checkpoint, which is in its pipeline.config; or start a new "
            "training from it with --fine_tune_checkpoint, which restores all but the layers of the classes"
        )
    raise errors.CheckpointError(
        f"{prefix}: {problem}", expected=list(named.variable.shape), received=received, fix=fix
    )


def _raise_missing(prefix, missing, num_wanted, names):
    first_names = sorted(name for name in names if not _BOOKKEEPING.search(name))[:3]
    fix = (
        "use a checkpoint of this model, or set fine_tune_checkpoint_type to the parts that it has "
        "(classification, detection, full)"
    )
    if first_names and _OBJECT_GRAPH not in names and any(not named.slim_names for named in missing):
        fix = (
            "this is a checkpoint of the first generation, whose network of this name is a different one: use a "
            "checkpoint of the second generation (ckpt-N), or the feature extractor of the first (its type without "
            "_keras)"
        )
    raise errors.CheckpointError(
        f"{prefix}: {len(missing)} of {spelling.count(num_wanted, 'variable')} are not in this checkpoint: "
        + _abridge([_short(named.key) for named in missing]),
        expected=_short(missing[0].key),
        received="variables such as " + ", ".join(first_names) if first_names else "no variables",
        fix=fix,
    )


def _short(key):
    return key.removesuffix(keys.SUFFIX)


def _abridge(names, most=3):
    names = [_short(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
