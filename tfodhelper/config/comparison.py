"""Finds where two configurations describe different networks."""

import pathlib
import re

from tfodhelper import errors, families
from tfodhelper.config import pipeline as pipelines

# Settings of any family that affect training or the processing of outputs, but not the meaning of the weights.
_OF_TRAINING = {
    "decay",
    "dropout_keep_probability",
    "hard_example_miner",
    "initializer",
    "inplace_batchnorm_update",
    "num_classes",
    "regularizer",
    "use_dropout",
}


def compare_with_own_config(pipeline, checkpoint):
    """Compares a configuration with the pipeline.config that is stored with its checkpoint.

    Args:
      pipeline: a TrainEvalPipelineConfig message.
      checkpoint: the checkpoint's prefix.

    Returns:
      A list of notes, one per network setting that differs; empty if that file does not exist.
    """
    prefix = pathlib.Path(checkpoint)
    for folder in (prefix.parent, prefix.parent.parent):
        if (folder / "pipeline.config").is_file():
            break
    else:
        return []
    try:
        other = pipelines.read_pipeline(folder / "pipeline.config")
    except errors.ConfigError as error:
        return [f"checkpoint's own pipeline.config: {error.what}"]
    differing = differences(pipeline.model, other.model)
    return [
        f"checkpoint's own pipeline.config differs: {path} is {theirs} there, {ours} here"
        for path, ours, theirs in differing
    ]


def differences(ours, theirs):
    """Where two DetectionModel messages describe different networks, including default values.

    Returns:
      [(path, our value, their value)], without the fields that affect only training.
    """
    family = families.find_family(ours)
    return _differences(ours, theirs, "model", _OF_TRAINING | (family.training_fields if family else set()))


def _differences(ours, theirs, prefix, ignored):
    differing_fields = []
    for field in ours.DESCRIPTOR.fields:
        if field.name in ignored:
            continue
        path, mine, other = f"{prefix}.{field.name}", getattr(ours, field.name), getattr(theirs, field.name)
        if pipelines.is_repeated(field):
            if list(mine) != list(other):
                differing_fields.append((path, _show(mine), _show(other)))
        elif field.message_type is not None:
            set_here, set_there = ours.HasField(field.name), theirs.HasField(field.name)
            if field.containing_oneof is not None and set_here != set_there:
                differing_fields.append((path, *("set" if is_set else "not set" for is_set in (set_here, set_there))))
            elif set_here or set_there:
                differing_fields += _differences(mine, other, path, ignored)
        elif mine != other and not _same_type_name(field, mine, other):
            differing_fields.append((path, _show_one(mine), _show_one(other)))
    return differing_fields


def _same_type_name(field, ours, theirs):
    """Whether two type names mean the same network; those of the second generation end in _keras.

    Residual networks and feature pyramids of the two generations differ.
    """
    if field.name != "type" or re.search(r"resnet|_fpn", ours):
        return False
    return ours.removesuffix("_keras") == theirs.removesuffix("_keras")


def _show(values):
    return "[" + ", ".join(_show_one(value) for value in values) + "]"


def _show_one(value):
    return f"{value:.6g}" if isinstance(value, float) else str(value).strip().replace("\n", " ")
