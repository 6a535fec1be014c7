"""What to lower if a step does not fit into memory."""

from tfodhelper import errors

_FEWEST_DRAWN = 16  # proposals per image in training, below which the second stage sees too little


def explain_out_of_memory(error, pipeline):
    """A `TrainingError` that says what to lower, and from which value.

    Args:
      error: a `tf.errors.ResourceExhaustedError`.
      pipeline: a `TrainEvalPipelineConfig` message.
    """
    changes = [f"{path}={lower} (is {value})" for path, value, lower in find_what_to_lower(pipeline)]
    return errors.TrainingError(
        "the device ran out of memory",
        received=str(error.message).splitlines()[0][:200],
        fix="lower one of these with --set, preferably the first: " + ", ".join(changes),
    )


def find_what_to_lower(pipeline):
    """Settings that memory use grows with.

    Args:
      pipeline: a `TrainEvalPipelineConfig` message.

    Returns:
      A list of (path as in --set, its value, a lower one), those that cost the least precision first.
    """
    found = []
    if pipeline.train_config.batch_size > 1:
        found.append(("train_config.batch_size", pipeline.train_config.batch_size))
    kind = pipeline.model.WhichOneof("model")
    model = getattr(pipeline.model, kind)
    if kind == "faster_rcnn" and model.number_of_stages > 1:
        # Training takes the first, evaluation and serving the second; the first is at most the second.
        if model.second_stage_batch_size > _FEWEST_DRAWN:
            found.append((f"model.{kind}.second_stage_batch_size", model.second_stage_batch_size))
        found.append((f"model.{kind}.first_stage_max_proposals", model.first_stage_max_proposals))
    found = [(path, value, max(1, value // 2)) for path, value in found]
    return found + _sides(f"model.{kind}.image_resizer", model.image_resizer)


def _sides(path, resizer):
    """The sides of the model input, three quarters of them as the lower value."""
    kind = resizer.WhichOneof("image_resizer_oneof")
    names = {
        "fixed_shape_resizer": ("height", "width"),
        "keep_aspect_ratio_resizer": ("min_dimension", "max_dimension"),
    }.get(kind, ())
    sides = [(name, getattr(getattr(resizer, kind), name)) for name in names]
    return [(f"{path}.{kind}.{name}", side, max(32, side * 3 // 4 // 32 * 32)) for name, side in sides]
