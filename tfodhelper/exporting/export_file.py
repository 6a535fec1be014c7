"""Exports a pipeline.config and a checkpoint to a SavedModel: the verb `export`."""

from tfodhelper import console, run_layout, tensorflow_setup
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.config import label_maps as included
from tfodhelper.config import overrides, pipeline, supported


def export(options):
    """Exports a checkpoint.

    Args:
      options: `ExportOptions`.

    Returns:
      pathlib.Path of the output directory.

    Raises:
      UsageError, AnnotationError, ConfigError, CheckpointError, ExportError, StorageError.
    """
    checkpoint = run_layout.to_best_checkpoint(options.trained_checkpoint_dir)
    config_path = options.pipeline_config_path or pipeline.find_pipeline(checkpoint)
    config = overrides.apply_overrides(pipeline.read_pipeline(config_path), options.overrides)
    supported.check_supported(
        type(config)(model=config.model), ignore_unsupported_fields=options.ignore_unsupported_fields
    )
    label_map_path = included.find_label_map(options.label_map)
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.exporting import saved_model

    if label_map_path is None:
        label_map_path = saved_model.find_label_map(config, config_path)
    _compare_classes(config, label_map_path)
    with console.phase("export"):
        folder = saved_model.export_trained(
            config,
            checkpoint,
            options.output_directory,
            input_type=options.input_type,
            batch_size=options.images_per_call,
            label_map_path=label_map_path,
        )
    console.say(f"exported to {options.output_directory}, input type {options.input_type}")
    console.say(f"label map: {label_map_path or 'none; classes are named after their ids (--label_map gives names)'}")
    return folder


def _compare_classes(config, label_map_path):
    """Warns if the label map and the model differ in the number of classes."""
    kind = config.model.WhichOneof("model")
    if label_map_path is None or kind is None:
        return
    num_names = label_maps.read_label_map(label_map_path).num_classes
    num_classes = getattr(getattr(config.model, kind), "num_classes", num_names)
    if num_names != num_classes:
        console.warn(f"{label_map_path} has ids up to {num_names}, but the model has {num_classes} classes")
