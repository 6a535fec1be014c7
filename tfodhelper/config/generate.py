"""Generates a complete pipeline.config for a model and a converted dataset, with notes about every choice.

The user's settings are kept; the others are derived from the data and the base file: the learning rate in proportion to
the batch size (Goyal et al. 2017, arXiv 1706.02677), the schedule's steps in proportion to the number of steps.
"""

import dataclasses
import math
import os
import pathlib

from tfodhelper import errors, families
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.checkpoints import find
from tfodhelper.config import comparison, schedule_scaling
from tfodhelper.config import pipeline as pipelines
from tfodhelper.config.overrides import apply_overrides
from tfodhelper.dataset import manifest as manifests
from tfodhelper.dataset.split.split import TRAIN, VALIDATE
from tfodhelper.families import input_size
from tfodhelper.zoo import base_configs, cache, catalogue

UNFILLED = "PATH_TO_BE_CONFIGURED"
LARGEST_EVAL_BATCH_SIZE = 8
SMALL_BATCH = 16  # below, statistics of a batch are too rough to move a trained batch norm
EPOCHS = 50
STEP_RANGE = (600, 20_000)
MAX_BOXES = 100  # what the input readers keep of an image when nothing is set


@dataclasses.dataclass(frozen=True)
class Base:
    """The starting point of a configuration.

    Attributes:
      pipeline: a TrainEvalPipelineConfig message.
      source: its file.
      model: the `catalogue.ZooModel` whose weights belong to it, or None.
      is_own: whether the user provided the file; its training settings are then kept.
    """

    pipeline: object
    source: str
    model: catalogue.ZooModel | None
    is_own: bool


@dataclasses.dataclass(frozen=True)
class DataFacts:
    """What a configuration needs to know about a converted folder.

    Attributes:
      folder: the folder.
      label_map_path: its label map.
      num_classes: the largest id of the label map.
      train_pattern, validate_pattern: absolute patterns of the record files; None if there are none.
      num_train, num_validate: numbers of images.
      most_boxes: the largest number of boxes in a training image.
    """

    folder: pathlib.Path
    label_map_path: str
    num_classes: int
    train_pattern: str | None
    validate_pattern: str | None
    num_train: int
    num_validate: int
    most_boxes: int


def find_base(model=None, pipeline_config_path=None):
    """Finds the configuration to start from.

    Args:
      model: name of a model of the zoo, or a path of a pipeline.config or of a folder with one.
      pipeline_config_path: a pipeline.config of the user; `model` then only determines the weights of "zoo".

    Returns:
      A `Base`.

    Raises:
      UsageError: neither is given.
      ZooError, ConfigError: the model is unknown or cannot be trained.
    """
    if not model and not pipeline_config_path:
        raise errors.UsageError(
            "no model is given",
            expected="--model=NAME, for example ssd_mobilenet_v2, or --pipeline_config_path=FILE",
            fix="`tfodhelper zoo --trainable` lists the models that can be trained",
        )
    if not pipeline_config_path and (model.endswith(".config") or pathlib.Path(model).is_dir()):
        model, pipeline_config_path = None, model
    entry = catalogue.find_model(model) if model else None
    if pipeline_config_path:
        return Base(pipelines.read_pipeline(pipeline_config_path), str(pipeline_config_path), entry, True)
    path = base_configs.base_pipeline_path(entry.name)
    return Base(pipelines.read_pipeline(path), str(path), entry, False)


def find_fine_tune_checkpoint(base, value="zoo", cache_dir=None):
    """The checkpoint that training starts from; downloads it if necessary.

    Args:
      base: a `Base`.
      value: as --fine_tune_checkpoint: "zoo", "none", or a path.
      cache_dir: see `cache.cache_folder`.

    Returns:
      A checkpoint's prefix, or None to train from scratch.

    Raises:
      ZooError, CheckpointError: it cannot be obtained; the message says how to fix it.
    """
    if value == "zoo" and base.is_own and base.model is None:
        value = base.pipeline.train_config.fine_tune_checkpoint or "none"
        if UNFILLED in value:
            raise errors.ConfigError(
                f"{base.source}: train_config.fine_tune_checkpoint is not filled in yet",
                received=value,
                fix="use --fine_tune_checkpoint=PATH (or none, to train from scratch), or --model=NAME",
            )
    return cache.resolve_checkpoint(value, base.model, cache_dir)


def read_data_facts(folder):
    """Reads what a configuration needs to know about a converted folder.

    Raises:
      DatasetError: it is not a converted folder, or its label map has changed.
    """
    folder = pathlib.Path(os.path.abspath(folder))
    manifest = manifests.read_manifest(folder)
    manifests.check_label_map(folder, manifest)
    label_map_path = folder / manifest.files["label_map"]
    patterns = {side: manifest.record_pattern(side) for side in (TRAIN, VALIDATE)}
    return DataFacts(
        folder=folder,
        label_map_path=label_map_path.as_posix(),
        num_classes=label_maps.read_label_map(label_map_path).num_classes,
        train_pattern=(folder / patterns[TRAIN]).as_posix() if patterns[TRAIN] else None,
        validate_pattern=(folder / patterns[VALIDATE]).as_posix() if patterns[VALIDATE] else None,
        num_train=manifest.num_train,
        num_validate=manifest.num_validate,
        most_boxes=max((_count_boxes(image) for image in manifest.images if image["split"] == TRAIN), default=0),
    )


def _count_boxes(image):
    boxes = image["boxes"]
    return boxes if isinstance(boxes, int) else len(boxes)


def generate_pipeline(
    base,
    data,
    *,
    num_steps=None,
    batch_size=None,
    learning_rate=None,
    fine_tune_checkpoint=None,
    overrides=(),
):
    """Generates a complete configuration.

    Args:
      base: a `Base`, see `find_base`.
      data: a `DataFacts`, a converted folder, or the result of a conversion (its `output_dir` is read).
      num_steps: training steps; by default about 50 passes over the data.
      batch_size: images per step; by default what the family of the model prescribes.
      learning_rate: base learning rate; by default scaled to the batch size.
      fine_tune_checkpoint: prefix of a checkpoint, see `find_fine_tune_checkpoint`; None to train from scratch.
      overrides: changes of single fields, which take precedence.

    Returns:
      (TrainEvalPipelineConfig message, list of notes).

    Raises:
      ConfigError: the result would not fit the data.
    """
    facts = to_facts(data)
    changed = apply_overrides(base.pipeline, overrides)
    asked = _asked(changed, overrides, num_steps=num_steps, batch_size=batch_size)
    pipeline = pipelines.new_pipeline()
    pipeline.CopyFrom(base.pipeline)
    notes = [f"base: {base.source}"]
    if fine_tune_checkpoint is not None and not base.is_own:
        notes += _keep_widths(pipeline.model, facts.num_classes)
    notes += _fill_in_data(pipeline, facts)
    if asked["batch_size"] is None:
        asked["batch_size"] = _default_batch_size(changed, base, facts)
    notes += _set_batch_size_and_rate(pipeline, base, asked["batch_size"], learning_rate)
    notes += _set_num_steps(pipeline, base, facts, asked["num_steps"])
    notes += _set_checkpoint(pipeline, base, fine_tune_checkpoint)
    notes += _follow_input_size(pipeline, changed.model)
    pipeline = apply_overrides(pipeline, overrides)
    notes += [f"set: {change}" for change in overrides]
    _check(pipeline, facts)
    return pipeline, notes


def to_facts(data):
    """`DataFacts` of what `generate_pipeline` takes as data."""
    return data if isinstance(data, DataFacts) else read_data_facts(getattr(data, "output_dir", data))


def _asked(changed, changes, **given):
    """Batch size and steps requested by flags or by --set, so that the schedule can be adapted."""
    named = {change.partition("=")[0].strip() for change in changes}
    for name in given:
        if f"train_config.{name}" in named:
            given[name] = getattr(changed.train_config, name)
    if not given["batch_size"] and given["batch_size"] is not None:
        raise errors.ConfigError("train_config.batch_size", expected="at least 1", received=given["batch_size"])
    return given


def _fill_in_data(pipeline, facts):
    if not facts.num_train or not facts.num_validate:
        side = "validation" if facts.num_train else "training"
        raise errors.ConfigError(
            f"{facts.folder}: there are no {side} images",
            fix="convert again with a --val_fraction between 0 and 1, or with both lists",
        )
    notes = []
    model = families.architecture_of(pipeline.model)
    if model.num_classes != facts.num_classes:
        notes.append(f"classes: {facts.num_classes} (was {model.num_classes})")
        model.num_classes = facts.num_classes
    if len(pipeline.eval_input_reader) > 1:
        notes.append("evaluation: one dataset; the other eval_input_readers are removed")
        del pipeline.eval_input_reader[1:]
    if not pipeline.eval_input_reader:
        pipeline.eval_input_reader.add(shuffle=False)
    for reader, pattern in (
        (pipeline.train_input_reader, facts.train_pattern),
        (pipeline.eval_input_reader[0], facts.validate_pattern),
    ):
        reader.label_map_path = facts.label_map_path
        reader.tf_record_input_reader.ClearField("input_path")
        reader.tf_record_input_reader.input_path.append(pattern)
    notes.append(f"training images: {facts.num_train}, {facts.train_pattern}")
    notes.append(f"evaluation images: {facts.num_validate}, {facts.validate_pattern}")
    pipeline.eval_config.num_examples = facts.num_validate
    if facts.most_boxes > max(MAX_BOXES, pipeline.train_input_reader.max_number_of_boxes):
        pipeline.train_input_reader.max_number_of_boxes = facts.most_boxes
        notes.append(f"boxes per image: up to {facts.most_boxes}, all are kept (was {MAX_BOXES})")
    return notes


def _keep_widths(model, num_classes):
    """See `Family.keep_widths`; with the same number of classes nothing has to be done."""
    if families.architecture_of(model).num_classes == num_classes:
        return []
    return families.family_of(model).keep_widths(model)


def _default_batch_size(changed, base, facts):
    """The user's own batch size, or what the family prescribes for the input size, at most all images."""
    if base.is_own and base.pipeline.train_config.batch_size:
        return base.pipeline.train_config.batch_size
    return min(families.family_of(changed.model).default_batch_size(changed.model), facts.num_train)


def _set_batch_size_and_rate(pipeline, base, batch_size, learning_rate):
    train = pipeline.train_config
    old = train.batch_size
    train.batch_size = batch_size
    if not base.is_own:
        # Of one size, batches need no additional padding.
        one_size = input_size.fixed_size(families.architecture_of(pipeline.model).image_resizer) is not None
        pipeline.eval_config.batch_size = min(batch_size, LARGEST_EVAL_BATCH_SIZE) if one_size else 1
    notes = [f"batch size: {batch_size}" + (f" (was {old})" if batch_size != old else "")]
    rate = schedule_scaling.base_rate(train.optimizer)
    if rate is None:
        return notes
    if learning_rate is not None and not 0 < learning_rate < math.inf:
        raise errors.ConfigError("--learning_rate", expected="a number above 0", received=learning_rate)
    if learning_rate is not None:
        new, reason = learning_rate, "as given"
    else:
        # Without a batch size of its own, a configuration does not say what its rate is meant for.
        new, reason = rate * batch_size / (old or batch_size), f"scaled linearly from batch size {old} to {batch_size}"
    schedule_scaling.scale_rates(train.optimizer, new / rate if rate else 1.0)
    if new != rate:
        notes.append(f"learning rate: {schedule_scaling.base_rate(train.optimizer):.6g} (was {rate:.6g}), {reason}")
    else:
        notes.append(f"learning rate: {rate:.6g}")
    return notes


def _set_num_steps(pipeline, base, facts, num_steps):
    train = pipeline.train_config
    old, reason = train.num_steps, ""
    if num_steps is None and base.is_own and old:
        return [f"steps: {old}"]
    if num_steps == 0:
        train.num_steps = 0
        return ["steps: 0, the starting weights are evaluated and exported as they are"]
    if num_steps is None:
        wanted = math.ceil(EPOCHS * facts.num_train / train.batch_size)
        num_steps = max(STEP_RANGE[0], min(STEP_RANGE[1], wanted))
        passes = num_steps * train.batch_size / facts.num_train
        reason = f", {passes:.0f} passes over the training images; change it with --num_steps"
    train.num_steps = num_steps
    notes = [f"steps: {num_steps} (was {old or 'unlimited'}){reason}"]
    return notes + schedule_scaling.scale_steps(train.optimizer, old, num_steps)


def _follow_input_size(pipeline, changed_model):
    """Crops that augmentation makes to the size of the input keep doing so when --set changes that size."""
    before, after = (
        input_size.largest_size(families.architecture_of(model).image_resizer)
        for model in (pipeline.model, changed_model)
    )
    if before == after or None in (before, after):
        return []
    notes = []
    for option in pipeline.train_config.data_augmentation_options:
        crop = option.random_scale_crop_and_pad_to_square
        if option.HasField("random_scale_crop_and_pad_to_square") and before == (crop.output_size, crop.output_size):
            notes.append(f"random_scale_crop_and_pad_to_square.output_size: {max(after)} (was {crop.output_size})")
            crop.output_size = max(after)
    return notes


def _set_checkpoint(pipeline, base, checkpoint):
    train = pipeline.train_config
    if checkpoint is None:
        for name in ("fine_tune_checkpoint", "fine_tune_checkpoint_type", "fine_tune_checkpoint_version"):
            train.ClearField(name)
        train.ClearField("from_detection_checkpoint")
        notes = ["checkpoint: none, training starts from scratch, which requires many more steps and images"]
        if not base.is_own:
            notes += _freeze_batchnorm(pipeline, False, "batch norm: trained, because there are no statistics to keep")
        return notes
    train.fine_tune_checkpoint = pathlib.Path(checkpoint).as_posix()
    train.fine_tune_checkpoint_version = {"V1": 1, "V2": 2}[find.checkpoint_version(checkpoint)]
    if not train.fine_tune_checkpoint_type:
        known_detector = train.from_detection_checkpoint or not base.is_own
        train.fine_tune_checkpoint_type = "detection" if known_detector else "classification"
    notes = [f"checkpoint: {train.fine_tune_checkpoint}, {train.fine_tune_checkpoint_type}"]
    if not base.is_own and train.batch_size < SMALL_BATCH:
        reason = f"batch norm: frozen, because a batch of {train.batch_size} is too small for its statistics"
        notes += _freeze_batchnorm(pipeline, True, reason)
    return notes + comparison.compare_with_own_config(pipeline, checkpoint)


def _freeze_batchnorm(pipeline, frozen, note):
    return [note] if families.family_of(pipeline.model).set_batch_norm(pipeline.model, frozen) else []


def _check(pipeline, facts):
    """Checks what overrides may have broken."""
    model = families.architecture_of(pipeline.model)
    if model.num_classes != facts.num_classes:
        raise errors.ConfigError(
            "num_classes of the model does not match the label map",
            expected=f"{facts.num_classes}, the largest id of {facts.label_map_path}",
            received=model.num_classes,
            fix="do not set num_classes",
        )
