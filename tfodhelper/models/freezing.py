"""Which variables training leaves as they are.

Frozen variables get no gradient and no weight decay. A batch norm whose gamma and beta are frozen normalizes by its
statistics, which stay as they are, too.
"""

import dataclasses
import math
import re

from tfodhelper import errors, spelling
from tfodhelper.checkpoints import keys
from tfodhelper.families import roles
from tfodhelper.models import layers, normalization

_SHOWN = 8  # names in an error


@dataclasses.dataclass(frozen=True)
class Choice:
    """What to freeze.

    Attributes:
      part: a key of `roles.FREEZABLE`, a number of stages of the backbone, or None.
      freeze: regular expressions, `train_config.freeze_variables`.
      update: regular expressions, `train_config.update_trainable_variables`: what none of them matches is frozen. None
        at all freeze nothing.
    """

    part: str | int | None = None
    freeze: tuple = ()
    update: tuple = ()

    def __bool__(self):
        return bool(self.part or self.freeze or self.update)


@dataclasses.dataclass(frozen=True)
class Frozen:
    """What is frozen.

    Attributes:
      variables: `NamedVariable`s, with the statistics of batch norms.
      summary: one line.
    """

    variables: tuple
    summary: str

    @property
    def keys(self):
        """Their keys in checkpoints."""
        return frozenset(named.key for named in self.variables)


def freeze(detector, choice):
    """Freezes variables of a detector.

    Expressions are searched in the names of variables (`re.search`), in all that they have: that of object-graph
    checkpoints without its suffix, `model/_feature_extractor/classification_backbone/layer_with_weights-0/kernel`, and
    those of first-generation checkpoints, `FeatureExtractor/MobilenetV1/MobilenetV1/Conv2d_0/weights`, which is what
    the Object Detection API compares in the first generation; its second generation ignores the fields.

    Args:
      detector: a `Detector`, freshly built: batch norms are changed before anything is traced.
      choice: a `Choice`.

    Returns:
      (variables that are trained, `Frozen`).

    Raises:
      ConfigError: an expression matches nothing, or nothing is left to train.
      UsageError: the detector has no such part, or not so many stages.
    """
    named = [each for part in detector.parts() for each in part.variables()]
    frozen = _of_part(detector, choice.part) | _matched(named, choice.freeze, "freeze_variables")
    if choice.update:
        updated = _matched(named, choice.update, "update_trainable_variables")
        frozen |= {id(each.variable) for each in named} - updated
    trained = [variable for variable in detector.trainable_variables if id(variable) not in frozen]
    if not trained:
        raise errors.ConfigError(
            "all variables are frozen, nothing is left to train",
            fix="freeze less: --freeze=backbone, or narrower expressions in train_config.freeze_variables",
        )
    norms = [module for module in detector.submodules if isinstance(module, normalization.BatchNorm)]
    for layer in detector.submodules:
        if isinstance(layer, (layers.Convolution, normalization.BatchNorm)):
            layer.freeze(frozen)
    num_fixed = sum(norm.frozen for norm in norms)
    summary = (
        _summarize(detector, trained)
        + f"; {num_fixed} of {spelling.count(len(norms), 'batch norm')} "
        + ("keeps its statistics" if num_fixed == 1 else "keep their statistics")
    )
    return trained, Frozen(tuple(each for each in named if id(each.variable) in frozen), summary)


def _of_part(detector, part):
    """Ids of the variables of a part, see `Choice.part`."""
    if part is None:
        return set()
    parts = detector.parts()
    if part in roles.FREEZABLE:
        if part not in {each.role for each in parts}:
            raise errors.UsageError(
                f"--freeze={part}: this model has no {part}, its heads follow the backbone", fix="--freeze=backbone"
            )
        chosen = [each for each in parts if each.role in roles.FREEZABLE[part]]
        return {id(named.variable) for each in chosen for named in each.variables()}
    stages = [stage for each in parts if each.role == roles.BACKBONE for stage in each.module.stages()]
    if part > len(stages):
        raise errors.UsageError(
            f"--freeze={part}: the backbone of this model does not have so many stages",
            expected=f"a number from 1 to {len(stages)}, or {', '.join(roles.FREEZABLE)}",
            received=part,
        )
    return {id(variable) for stage in stages[:part] for layer in stage for variable in layer.variables}


def _matched(named, expressions, field):
    """Ids of the variables that one of the expressions matches; each has to match something."""
    matched = set()
    for expression in filter(None, expressions):
        ids = {id(each.variable) for each in named if any(re.search(expression, name) for name in _names(each))}
        if not ids:
            raise errors.ConfigError(
                f"train_config.{field}: {expression!r} does not match any variable of this model",
                expected="a regular expression that is found in names such as\n" + _sample(named),
                received=expression,
                fix="correct or remove it; --freeze=backbone freezes the backbone of any model",
            )
        matched |= ids
    return matched


def _names(named):
    return (named.key.removesuffix(keys.SUFFIX), *named.slim_names)


def _sample(named):
    """Some names of different parts, in lines."""
    by_scope = {}
    for each in named:
        for name in (_names(each)[0], *each.slim_names[:1]):
            by_scope.setdefault("/".join(name.split("/")[:2]), name)
    names = list(by_scope.values())
    more = [f"    and {len(names) - _SHOWN} more kinds"] if len(names) > _SHOWN else []
    return "\n".join([*(f"    {name}" for name in names[:_SHOWN]), *more])


def _summarize(detector, trained):
    """How much is frozen, of what can be trained."""
    everything = detector.trainable_variables
    weights, kept = (sum(math.prod(v.shape) for v in variables) for variables in (everything, trained))
    return (
        f"frozen: {len(everything) - len(trained)} of {spelling.count(len(everything), 'trainable variable')} "
        f"({weights - kept:,} of {weights:,} weights)"
    )
