"""Fills detectors from checkpoints with the keys of the OD API: its own and those that `save` writes.

First-generation checkpoints (`model.ckpt`, variable names of TF-Slim) are read through the names of `slim_names`.
"""

import dataclasses
import re

import tensorflow as tf

from tfodhelper import errors
from tfodhelper.checkpoints import find, keys, slim_names

CHECKPOINT_TYPES = ("detection", "classification", "full")

_ROOT = keys.ROOT
_SUFFIX = keys.SUFFIX
_FEATURES = f"{_ROOT}/_feature_extractor"  # and _feature_extractor_for_proposal_features, ..._box_classifier_features
_PROPOSAL_LAYERS = f"{_FEATURES}_for_proposal_features/layer_with_weights-"
_CLASSIFIER_LAYERS = f"{_FEATURES}_for_box_classifier_features/layer_with_weights-"
_NAMED_BACKBONE = re.compile(rf"^{_FEATURES}(?:_for_proposal_features)?/classification_backbone/(.*)$")
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_BOOKKEEPING = re.compile(
    r"^(save_counter|step|global_step)(/|$)|^optimizer/|/\.OPTIMIZER_SLOT/|^_CHECKPOINTABLE_"
    r"|/(RMSProp|Momentum|Adam|ExponentialMovingAverage)(_\d+)?$"
)


@dataclasses.dataclass(frozen=True)
class RestoreReport:
    """What became of the variables of a detector, and of those of the checkpoint.

    Attributes:
      prefix: of the checkpoint.
      restored: keys of the detector's variables that were filled.
      initialized: (key, reason) of those that keep their fresh values.
      unused: names in the checkpoint that the model does not know; optimizer state and counters are not mentioned.
    """

    prefix: str
    restored: tuple
    initialized: tuple
    unused: tuple

    def __str__(self):
        lines = [f"weights: {len(self.restored)} variables restored from {self.prefix}"]
        reasons = {}
        for key, reason in self.initialized:
            reasons.setdefault(reason, []).append(_short(key))
        for reason, names in reasons.items():
            lines.append(f"  {len(names)} initialized anew, {reason}: {_abridge(names)}")
        if self.unused:
            lines.append(f"  {len(self.unused)} in the checkpoint are not used: {_abridge(self.unused)}")
        return "\n".join(lines)


def restore_for_fine_tuning(detector, path, checkpoint_type="detection"):
    """Fills a new detector from a checkpoint of the same kind of network, whatever its classes.

    Args:
      detector: a `Detector`, freshly built.
      path: see `find.find_checkpoint`.
      checkpoint_type: "classification": the backbone; "detection": the backbone and what makes feature maps of it;
        "full": everything. A variable whose shape differs only because the number of classes does keeps its fresh
        values.

    Returns:
      `RestoreReport`.

    Raises:
      CheckpointError: when a variable that is asked for is not there or has another shape.
      ConfigError: on an unknown type.
    """
    if checkpoint_type not in CHECKPOINT_TYPES:
        raise errors.ConfigError(
            f"fine_tune_checkpoint_type: {checkpoint_type!r} is not known",
            expected="one of " + ", ".join(CHECKPOINT_TYPES),
        )
    variables = detector.checkpoint_keys()
    belongs = {
        "classification": _backbone_keys(variables).__contains__,
        "detection": lambda key: key.startswith(_FEATURES),
        "full": lambda key: True,
    }[checkpoint_type]
    reason = f"because the checkpoint type is {checkpoint_type}"
    wanted, initialized = {}, []
    for key, variable in variables.items():
        if belongs(key):
            wanted[key] = variable
        else:
            initialized.append((key, reason))
    return _restore(path, wanted, initialized, detector.num_classes)


def _backbone_keys(keys):
    """{key of a variable of the backbone: the key that it has in a checkpoint of the backbone alone}.

    A two-stage detector without a feature pyramid has the end of its backbone in the second stage, where its layers
    are counted anew.
    """
    named = {key: f"feature_extractor/{match[1]}" for key in keys if (match := _NAMED_BACKBONE.match(key))}
    if named:
        return named
    numbers = [_layer_number(key, _PROPOSAL_LAYERS) for key in keys if key.startswith(_PROPOSAL_LAYERS)]
    first_of_second_stage = max(numbers, default=-1) + 1
    alone = {}
    for key in keys:
        for scope, offset in ((_PROPOSAL_LAYERS, 0), (_CLASSIFIER_LAYERS, first_of_second_stage)):
            if key.startswith(scope):
                rest = key.removeprefix(scope).partition("/")[2]
                number = _layer_number(key, scope) + offset
                alone[key] = f"feature_extractor/layer_with_weights-{number}/{rest}"
    return alone


def _layer_number(key, scope):
    return int(key.removeprefix(scope).partition("/")[0])


def restore_trained(detector, path):
    """Fills a detector whole from a checkpoint of the same model.

    Args:
      detector: a `Detector`.
      path: see `find.find_checkpoint`.

    Returns:
      `RestoreReport`.

    Raises:
      CheckpointError: when any variable is not there or has another shape.
    """
    return _restore(path, detector.checkpoint_keys(), [], None)


def _restore(path, wanted, initialized, num_classes):
    """Checks everything first, then assigns; `num_classes` None: the number of classes must be right too."""
    prefix = find.find_checkpoint(path)
    reader = _open(prefix)
    shapes = reader.get_variable_to_shape_map()
    found, other_classes, missing, initialized = {}, [], [], list(initialized)
    alone = _backbone_keys([*wanted, *(key for key, _ in initialized)])
    for key, variable in wanted.items():
        name = _find_name(key, alone.get(key), variable.shape, shapes)
        if name is None:
            missing.append(key)
        elif list(variable.shape) == list(shapes[name]):
            found[key] = name
        elif num_classes is not None and _differs_by_classes(key, variable.shape, shapes[name], num_classes):
            reason = "because the number of classes is another one"
            initialized.append((key, reason))
            other_classes.append(name)
        else:
            raise errors.CheckpointError(
                f"{prefix}: variable {name} has another shape than the model's {_short(key)}",
                expected=list(variable.shape),
                received=list(shapes[name]),
                fix="take a checkpoint of this model, or set the model (say, depth_multiplier or anchors) as there",
            )
    if missing:
        _raise_missing(prefix, missing, len(wanted), shapes)
    for key, name in found.items():
        wanted[key].assign(reader.get_tensor(name))
    known = {*found.values(), *other_classes, *wanted, *(key for key, _ in initialized)}
    unused = tuple(sorted(name for name in shapes if name not in known and not _BOOKKEEPING.search(name)))
    return RestoreReport(prefix, tuple(found), tuple(initialized), unused)


def _open(prefix):
    try:
        return tf.train.load_checkpoint(prefix)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise errors.CheckpointError(
            f"{prefix}: the checkpoint cannot be read ({str(error).splitlines()[0]})",
            fix="copy or unpack it again: the files .index and .data-00000-of-0000N belong together",
        ) from error


def _find_name(key, key_alone, shape, names):
    """The name that a variable has in a checkpoint, or None.

    Args:
      key: in a checkpoint of the detector.
      key_alone: in a checkpoint of the backbone alone, as classification models are published; None for the others.
      shape: of the variable.
      names: those in the checkpoint.
    """
    if key in names:
        return key
    if key_alone in names:
        return key_alone
    if _OBJECT_GRAPH not in names:
        for name in slim_names.candidates(key.removesuffix(_SUFFIX), shape):
            if name in names:
                return name
    return None


def _differs_by_classes(key, shape, other, num_classes):
    """Whether two shapes of a prediction differ in the number of outputs alone, and that by the number of classes."""
    shape = list(shape)
    if shape[:-1] != list(other)[:-1] or "/_first_stage_" in key:  # the first stage knows objects only
        return False
    if "/_box_prediction_head/_box_encoder_layers/" in key:
        return shape[-1] == 4 * num_classes  # a box for each class
    return "class_predictions_with_background" in key or "/_class_prediction_head/_class_predictor_layers/" in key


def _raise_missing(prefix, missing, num_wanted, names):
    first_names = sorted(name for name in names if not _BOOKKEEPING.search(name))[:3]
    raise errors.CheckpointError(
        f"{prefix}: {len(missing)} of {num_wanted} variables are not in this checkpoint: "
        + _abridge([_short(key) for key in missing]),
        expected=_short(missing[0]),
        received="variables such as " + ", ".join(first_names) if first_names else "no variables",
        fix="take a checkpoint of this model, or set fine_tune_checkpoint_type to the parts that it has "
        "(classification, detection, full)",
    )


def _short(key):
    return key.removesuffix(_SUFFIX)


def _abridge(names, most=3):
    names = [_short(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
