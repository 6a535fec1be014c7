"""Compilation by XLA: what it needs, so that a batch always has the same shapes and one graph serves for all."""

import math

import tensorflow as tf

from tfodhelper import errors, families
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.families import input_size
from tfodhelper.inputs import left_out
from tfodhelper.records import reader


def check_images(options, pipeline):
    """Checks that with --jit all images have one size, since another graph would be compiled for every size.

    Args:
      options: `options.DeviceOptions`.
      pipeline: a `TrainEvalPipelineConfig` message.

    Raises:
      ConfigError: the size depends on the image.
    """
    if not options.jit:
        return
    family = families.family_of(pipeline.model)
    resizer = family.architecture(pipeline.model).image_resizer
    if input_size.fixed_size(resizer) is None:
        name = f"model.{family.name}.image_resizer"
        raise errors.ConfigError(
            f"{name}: --jit needs images of one size",
            expected="fixed_shape_resizer, or keep_aspect_ratio_resizer with pad_to_max_dimension",
            received=resizer.WhichOneof("image_resizer_oneof"),
            fix=f"--set {name}.keep_aspect_ratio_resizer.pad_to_max_dimension=true, or leave out --jit",
        )


def choose(options, pipeline, strategy):
    """The arguments of `task.DetectionTask` that concern compilation.

    Args:
      options: `options.DeviceOptions`.
      pipeline: a `TrainEvalPipelineConfig` message.
      strategy: a `tf.distribute.Strategy`; one for TPUs compiles by itself.
    """
    on_tpu = isinstance(strategy, tf.distribute.TPUStrategy)
    is_fixed = options.jit or on_tpu
    return {
        "compiles": options.jit and not on_tpu,
        "num_label_rows": count_label_rows(pipeline) if is_fixed else None,
    }


def count_label_rows(pipeline):
    """The most boxes that an image of evaluation has, at least 1: the fixed number of rows of the labels.

    Returns:
      The number; None where there are so many records that they are not all counted.
    """
    config = pipeline.eval_input_reader[0]
    label_map = label_maps.read_label_map(config.label_map_path) if config.label_map_path else None
    paths = reader.list_shards(list(config.tf_record_input_reader.input_path))
    most_records = left_out.MOST_RECORDS
    if reader.count_records(paths) > most_records:
        return None
    return max(1, left_out.count_left_out(paths, label_map, math.inf, most_records).most_kept)
