"""Exports a pipeline.config and a checkpoint to a SavedModel or to files of other formats: the verb `export`."""

import dataclasses

from tfodhelper import console, jpeg_dct, provenance, spelling, tensorflow_setup
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.config import trained
from tfodhelper.exporting import options as export_options


def export(options):
    """Exports a checkpoint.

    Args:
      options: `ExportOptions`.

    Returns:
      pathlib.Path of the output directory.

    Raises:
      UsageError, AnnotationError, ConfigError, CheckpointError, ExportError, StorageError.
    """
    model = trained.read_trained(options)
    checkpoint, config = model.checkpoint, model.config
    maker = provenance.of_command("export", options, "output_directory")
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.exporting import saved_model

    label_map_path = model.label_map or saved_model.find_label_map(config, model.config_path)
    _compare_classes(config, label_map_path)
    options = dataclasses.replace(options, jpeg_dct=options.jpeg_dct or jpeg_dct.find(checkpoint))
    if options.format != export_options.SAVED_MODEL:
        return _export_files(config, checkpoint, options, label_map_path, maker)
    with console.phase("export"):
        folder = saved_model.export_trained(
            config,
            checkpoint,
            options.output_directory,
            input_type=options.input_type,
            batch_size=options.images_per_call,
            label_map_path=label_map_path,
            maker=maker,
            dct=options.jpeg_dct,
        )
    console.say(f"exported to {options.output_directory}, input type {options.input_type}")
    _say_label_map(label_map_path)
    _say_decoding(options.jpeg_dct)
    return folder


def _export_files(config, checkpoint, options, label_map_path, maker):
    from tfodhelper.exporting import onnx_files, tflite_files

    label_map = None if label_map_path is None else label_maps.read_label_map(label_map_path)
    make = tflite_files.export_tflite if options.format == export_options.TFLITE else onnx_files.export_onnx
    folder = make(config, checkpoint, options, label_map, label_map_path, maker)
    console.say("")
    console.say(f"exported to {options.output_directory}; {tflite_files.DESCRIPTION} describes inputs and outputs")
    _say_label_map(label_map_path)
    _say_decoding(options.jpeg_dct)
    return folder


def _say_decoding(dct):
    console.say(
        f"JPEGs: trained on the {dct} transform ({jpeg_dct.CHOICES[dct]}); a program that decodes them itself with "
        f'TensorFlow needs dct_method="{jpeg_dct.method_of(dct)}"'
    )


def _say_label_map(path):
    console.say(f"label map: {path or 'none; classes are named after their ids (--label_map gives names)'}")


def _compare_classes(config, label_map_path):
    """Warns if the label map and the model differ in the number of classes."""
    kind = config.model.WhichOneof("model")
    if label_map_path is None or kind is None:
        return
    num_names = label_maps.read_label_map(label_map_path).num_classes
    num_classes = getattr(getattr(config.model, kind), "num_classes", num_names)
    if num_names != num_classes:
        classes = spelling.count(num_classes, "class")
        console.warn(f"{label_map_path} has ids up to {num_names}, but the model has {classes}")
