"""Finds where two configurations describe different networks."""

import pathlib

from tfodhelper import errors
from tfodhelper.config import pipeline as pipelines

# Settings that affect training or the processing of outputs, but not the meaning of the weights.
_OF_TRAINING = {
    "batch_norm_trainable",
    "class_prediction_bias_init",
    "clip_anchors_to_image",
    "decay",
    "dropout_keep_probability",
    "encode_background_as_zeros",
    "first_stage_localization_loss_weight",
    "first_stage_max_proposals",
    "first_stage_minibatch_size",
    "first_stage_nms_iou_threshold",
    "first_stage_nms_score_threshold",
    "first_stage_objectness_loss_weight",
    "first_stage_positive_balance_fraction",
    "freeze_batchnorm",
    "hard_example_miner",
    "initializer",
    "inplace_batchnorm_update",
    "loss",
    "matcher",
    "negative_class_weight",
    "normalize_loc_loss_by_codesize",
    "normalize_loss_by_num_matches",
    "num_classes",
    "post_processing",
    "regularizer",
    "second_stage_balance_fraction",
    "second_stage_batch_size",
    "second_stage_classification_loss",
    "second_stage_classification_loss_weight",
    "second_stage_localization_loss_weight",
    "second_stage_post_processing",
    "use_dropout",
    "use_matmul_crop_and_resize",
    "use_matmul_gather_in_matcher",
    "use_static_balanced_label_sampler",
    "use_static_shapes",
    "use_static_shapes_for_eval",
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


def differences(ours, theirs, prefix="model"):
    """[(path, our value, their value)] where two messages describe different networks, including default values."""
    differing_fields = []
    for field in ours.DESCRIPTOR.fields:
        if field.name in _OF_TRAINING:
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
                differing_fields += differences(mine, other, path)
        elif mine != other and not _same_type_name(field, mine, other):
            differing_fields.append((path, _show_one(mine), _show_one(other)))
    return differing_fields


def _same_type_name(field, ours, theirs):
    """Whether two type names mean the same network; those of the second generation end in _keras."""
    return field.name == "type" and ours.removesuffix("_keras") == theirs.removesuffix("_keras")


def _show(values):
    return "[" + ", ".join(_show_one(value) for value in values) + "]"


def _show_one(value):
    return f"{value:.6g}" if isinstance(value, float) else str(value).strip().replace("\n", " ")
