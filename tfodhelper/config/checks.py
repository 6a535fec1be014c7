"""Everything that is known to be wrong with a configuration before any work is done, in one place.

`config`, `train`, `eval`, `run` and the rounds of active learning all call this, and it needs no TensorFlow: what a
builder would refuse after minutes or hours is refused at once, with the same words, because the builders call the same
checks of values.
"""

import math
import re

from tfodhelper import errors, families
from tfodhelper.config import augmentation_values, schedule_values, supported
from tfodhelper.config import pipeline as pipelines
from tfodhelper.families import values
from tfodhelper.metrics import eval_values


def check_pipeline(pipeline, ignore_unsupported_fields=False, class_names=None, says=True):
    """Checks a configuration for training and evaluation.

    Args:
      pipeline: a TrainEvalPipelineConfig message.
      ignore_unsupported_fields: whether fields that are not supported only cause a warning.
      class_names: names of the label map, if it is known.
      says: whether to print warnings; without, only errors count.

    Raises:
      ConfigError: a field is not supported, a value cannot be used, or values contradict each other.
    """
    supported.check_supported(pipeline, ignore_unsupported_fields, says)
    families.family_of(pipeline.model).check(pipeline.model, True)
    train = pipeline.train_config
    values.require("train_config", train, _of_training(train))
    for name, readers in (("train", [pipeline.train_input_reader]), ("eval", pipeline.eval_input_reader)):
        for reader in readers:
            values.require(f"{name}_input_reader", reader, _of_reading(reader))
    _check_masks_are_read(pipeline)
    for name in ("freeze_variables", "update_trainable_variables"):
        _check_expressions(name, getattr(train, name))
    schedule_values.check_optimizer(train.optimizer)
    augmentation_values.check_options(train.data_augmentation_options)
    pipelines.fine_tune_checkpoint_type(train)
    eval_values.check_eval_config(pipeline.eval_config, class_names)
    has_masks = families.MASKS in families.family_of(pipeline.model).outputs(pipeline.model)
    if eval_values.COCO_MASKS in pipeline.eval_config.metrics_set and not has_masks:
        raise errors.ConfigError(
            f"eval_config.metrics_set: {eval_values.COCO_MASKS} needs instance masks; this model predicts boxes",
            fix="remove it from metrics_set, or choose a model with masks",
        )


def _check_masks_are_read(pipeline):
    """A detector of masks is trained with masks, and compared with them."""
    if families.MASKS not in families.family_of(pipeline.model).outputs(pipeline.model):
        return
    named = {"train_input_reader": pipeline.train_input_reader}
    named |= {f"eval_input_reader[{index}]": reader for index, reader in enumerate(pipeline.eval_input_reader)}
    for name, reader in named.items():
        if not reader.load_instance_masks:
            raise errors.ConfigError(
                f"{name}.load_instance_masks: the model predicts masks, which are trained and judged with those of the "
                "records",
                expected="true",
                received="false",
                fix=f"--set {name.partition('[')[0]}.load_instance_masks=true; or train boxes alone with "
                "--set model.faster_rcnn.number_of_stages=2",
            )


def _check_expressions(name, expressions):
    for expression in expressions:
        try:
            re.compile(expression)
        except re.error as error:
            raise errors.ConfigError(
                f"train_config.{name}: {expression!r} is not a regular expression: {error}",
                expected="an expression such as FeatureExtractor or .*/layer_with_weights-[0-9]/",
                received=expression,
                fix="escape characters such as ( and [ with a backslash, or remove the line",
            ) from error


def _of_training(train):
    return {
        "gradient_clipping_by_norm": (0.0 <= train.gradient_clipping_by_norm < math.inf, "0 (off) or more"),
        "max_number_of_boxes": (train.max_number_of_boxes >= 1, "at least 1"),
    }


def _of_reading(reader):
    return {
        "sample_1_of_n_examples": (reader.sample_1_of_n_examples >= 1, "at least 1"),
        "max_number_of_boxes": (reader.max_number_of_boxes >= 1, "at least 1"),
        "read_block_length": (reader.read_block_length >= 1, "at least 1"),
    }
