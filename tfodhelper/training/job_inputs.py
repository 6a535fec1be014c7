"""What a training or an evaluation is given: the checkpoint it starts from, label maps and records, checked."""

import dataclasses

from tfodhelper import errors, families
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.checkpoints import whole
from tfodhelper.config import pipeline as pipelines
from tfodhelper.inputs import adopted, left_out
from tfodhelper.inputs import build as inputs_build
from tfodhelper.training import compilation, patience
from tfodhelper.training.task import StartingPoint

_UNFILLED = "PATH_TO_BE_CONFIGURED"


def check_inputs(pipeline, options):
    """(`StartingPoint`, `LabelMap`, number of validation images) of a training, after all checks of its inputs."""
    starting_point = find_starting_point(pipeline.train_config)
    label_map = read_matching_label_map(pipeline, pipeline.train_input_reader, "train_input_reader")
    options.check_end()
    patience.check_metric(options, pipeline, label_map)
    compilation.check_images(options, pipeline)
    if options.keep_classes:
        starting_point = _keep_classes(starting_point, label_map, options.checkpoint_label_map)
    max_boxes = inputs_build.max_training_boxes(pipeline)
    adopted.make_treatment(options, pipeline.train_input_reader, 1)
    reader, wants_masks = pipeline.train_input_reader, _wants_masks(pipeline)
    check_records(reader, "train_input_reader", label_map, True, max_boxes, wants_masks)
    return starting_point, label_map, check_eval_records(pipeline)


def find_starting_point(train_config):
    """Where the weights come from, as `train_config` says.

    Raises:
      ConfigError: the path has not been filled in.
    """
    path = train_config.fine_tune_checkpoint
    if _UNFILLED in path:
        raise errors.ConfigError(
            "train_config.fine_tune_checkpoint has not been filled in",
            received=path,
            fix="--fine_tune_checkpoint=zoo, a path, or none to train from scratch",
        )
    if not path:
        return StartingPoint()
    return StartingPoint(whole.find_whole(path), pipelines.fine_tune_checkpoint_type(train_config))


def read_matching_label_map(pipeline, input_reader, name):
    """Reads the label map of an input reader and compares it with the model's number of classes.

    Raises:
      ConfigError: they differ, or no label map is named.
    """
    if not input_reader.label_map_path or _UNFILLED in input_reader.label_map_path:
        raise errors.ConfigError(f"{name}.label_map_path: no label map named", fix="set it with `tfodhelper config`")
    label_map = label_maps.read_label_map(input_reader.label_map_path)
    family = families.family_of(pipeline.model)
    num_classes = family.architecture(pipeline.model).num_classes
    if label_map.num_classes != num_classes:
        raise errors.ConfigError(
            f"model.{family.name}.num_classes and {input_reader.label_map_path} do not match",
            expected=f"{label_map.num_classes}, the largest id of the label map",
            received=num_classes,
            fix=f"--set model.{family.name}.num_classes={label_map.num_classes}",
        )
    return label_map


def check_eval_records(pipeline):
    """Number of validation images, see `check_records`; without a label map of their own, ids alone are read."""
    input_reader = pipeline.eval_input_reader[0]
    label_map = label_maps.read_label_map(input_reader.label_map_path) if input_reader.label_map_path else None
    max_boxes = inputs_build.max_evaluation_boxes(pipeline)
    return check_records(input_reader, "eval_input_reader", label_map, False, max_boxes, _wants_masks(pipeline))


def _wants_masks(pipeline):
    return families.MASKS in families.family_of(pipeline.model).outputs(pipeline.model)


def check_records(input_reader, name, label_map, needs_boxes, max_boxes=None, wants_masks=False):
    """Number of records of an input reader, whose boxes are checked first: see `left_out.check_records`.

    Raises:
      ConfigError: no path is named.
      DatasetError: there are no files, the files are empty, or no box in them can be used.
    """
    patterns = list(input_reader.tf_record_input_reader.input_path)
    if not patterns or any(_UNFILLED in pattern for pattern in patterns):
        raise errors.ConfigError(
            f"{name}.tf_record_input_reader.input_path: no records named", fix="set it with `tfodhelper config`"
        )
    return left_out.check_records(input_reader, name, label_map, needs_boxes, max_boxes, wants_masks).num_records


def _keep_classes(starting_point, label_map, checkpoint_label_map):
    if starting_point.checkpoint is None:
        raise errors.UsageError(
            "--keep_classes needs a checkpoint whose classes are kept",
            received="training from scratch",
            fix="--fine_tune_checkpoint=PATH, or leave out --keep_classes",
        )
    return dataclasses.replace(
        starting_point, keeps_classes=True, label_map=label_map, checkpoint_label_map=checkpoint_label_map
    )
