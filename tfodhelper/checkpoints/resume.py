"""Whether a training can be resumed from a checkpoint in its folder, said before anything is restored."""

import pathlib

import tensorflow as tf

from tfodhelper import errors
from tfodhelper.checkpoints import keys

_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
_OF_OPTIMIZER = ("optimizer/", "/.OPTIMIZER_SLOT/")


def check_fits(detector, prefix):
    """Checks that a checkpoint is one of a training of this model, with the state of the optimizer.

    Args:
      detector: a `Detector`.
      prefix: of a checkpoint that is whole.

    Raises:
      CheckpointError: it is of the first generation, of a published model or an export, of another model, or of one
        with another number of classes.
    """
    shapes = tf.train.load_checkpoint(str(prefix)).get_variable_to_shape_map()
    if _OBJECT_GRAPH not in shapes:
        raise _misfit(
            prefix,
            "is one of the first generation, which cannot be resumed",
            expected="a checkpoint that `tfodhelper train` has written",
            received="a checkpoint of TensorFlow 1, as train.py and model_main.py write them and archives of 2017 to "
            f"2019 have them, with {_brief(shapes)}",
        )
    if not any(part in name for name in shapes for part in _OF_OPTIMIZER):
        raise _misfit(
            prefix,
            "has weights, but not the state of a training",
            expected="a checkpoint that `tfodhelper train` has written, with the state of the optimizer",
            received="a published model, an export, or the weights of an evaluation",
        )
    of_classes = []
    for named in (named for part in detector.parts() for named in part.variables()):
        ours, theirs = list(named.variable.shape), shapes.get(named.key)
        if theirs is None or (ours != list(theirs) and not named.differs_by_classes(theirs)):
            raise _misfit(
                prefix,
                "is one of another model",
                expected=f"{named.key.removesuffix(keys.SUFFIX)} of shape {ours}",
                received=f"shape {list(theirs)}" if theirs is not None else f"no such variable, but {_brief(shapes)}",
            )
        if ours != list(theirs) and named.depends_on_classes:
            of_classes.append((ours[-1], theirs[-1]))
    if of_classes:
        number = _number_of_classes(of_classes, detector.num_classes)
        raise _misfit(
            prefix,
            f"was trained with {number}, and the model has {_classes(detector.num_classes)}",
            expected=_classes(detector.num_classes),
            received=number,
        )


def explain_refusal(prefix, error):
    """The error for a checkpoint that TensorFlow refuses although its weights fit."""
    return _misfit(
        prefix,
        "cannot be resumed with this configuration",
        expected="the state of the optimizer that train_config names",
        received=str(error).partition("\n")[0][:200],
    )


def _number_of_classes(widths, num_classes):
    """In words, the number of classes that explains the widths of all layers that depend on it.

    A layer is as wide as anchors times columns, and columns are the classes, with one for the background or without.

    Args:
      widths: (width in the model, width in the checkpoint) of such layers.
      num_classes: of the model.
    """
    for background in (1, 0):
        columns = {theirs * (num_classes + background) / ours for ours, theirs in widths}
        if len(columns) == 1 and (number := columns.pop() - background) >= 1 and number == int(number):
            return _classes(int(number))
    return "another number of classes"


def _classes(number):
    return f"{number} class{'es' * (number != 1)}"


def _brief(shapes):
    names = sorted(name for name in shapes if not name.startswith("_"))
    return "variables such as " + ", ".join(names[:3]) if names else "no variables"


def _misfit(prefix, problem, **facts):
    folder = pathlib.Path(prefix).parent
    return errors.CheckpointError(
        f"{folder}: its checkpoint {pathlib.Path(prefix).name} {problem}",
        **facts,
        fix=f"train in another folder: a new --model_dir, with --fine_tune_checkpoint={prefix} to start from these "
        "weights where they fit (layers that depend on the classes start from random values)",
    )
