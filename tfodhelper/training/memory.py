"""What to lower if a step does not fit into memory."""

from tfodhelper import errors, families


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
    settings = []
    if pipeline.train_config.batch_size > 1:
        settings.append(("train_config.batch_size", pipeline.train_config.batch_size))
    family = families.family_of(pipeline.model)
    architecture = family.architecture(pipeline.model)
    for name in family.memory_settings(pipeline.model):
        settings.append((f"model.{family.name}.{name}", getattr(architecture, name)))
    halved = [(path, value, max(1, value // 2)) for path, value in settings]
    return halved + _sides(f"model.{family.name}.image_resizer", architecture.image_resizer)


def _sides(path, resizer):
    """The sides of the model input, three quarters of them as the lower value."""
    kind = resizer.WhichOneof("image_resizer_oneof")
    names = {
        "fixed_shape_resizer": ("height", "width"),
        "keep_aspect_ratio_resizer": ("min_dimension", "max_dimension"),
    }.get(kind, ())
    sides = [(name, getattr(getattr(resizer, kind), name)) for name in names]
    return [(f"{path}.{kind}.{name}", side, max(32, side * 3 // 4 // 32 * 32)) for name, side in sides]
