"""Writes a detector as an ONNX file, with what a program needs to use it.

```
OUTPUT_DIRECTORY/
  detector.onnx      from images of any size to detections: the signature of the SavedModel, suppression included
  detector.json      input, outputs, classes, and what was measured
  pipeline.config
  label_map.pbtxt    if one is known
  decoding.json      if the model was trained with JPEGs decoded by the fast transform; see `jpeg_dct`
```
"""

import dataclasses
import shutil

from tfodhelper import console, jpeg_dct, result_folder, storage
from tfodhelper.config import pipeline
from tfodhelper.exporting import onnx_check, onnx_convert, saved_model, serving, tflite_files, tflite_images
from tfodhelper.fields import Detections

MODEL = "detector.onnx"
DESCRIPTION = tflite_files.DESCRIPTION

_INPUTS = {
    "image_tensor": "RGB pixels from 0 to 255, of an image of any size: as it is stored",
    "float_image_tensor": "the same as floats, not normalized",
}
_OUTPUTS = {
    Detections.BOXES: "ymin, xmin, ymax, xmax; 1 is the height or width of the image",
    Detections.SCORES: "from 0 to 1, in descending order",
    Detections.CLASSES: "ids of the label map, from 1",
    Detections.MASKS: "for each detection, how likely each pixel of a grid over its box belongs to the object",
    Detections.NUM: "how many rows of the other outputs count",
    Detections.MULTICLASS_SCORES: "for each detection, the scores of all columns, the background's first",
    Detections.ANCHOR_INDICES: "for each detection, the number of its raw box",
    Detections.RAW_BOXES: "boxes before the suppression",
    Detections.RAW_SCORES: "scores before the suppression, the background's first",
}


def export_onnx(pipeline_config, trained_checkpoint_dir, options, label_map, label_map_path=None, maker=None):
    """Builds the model of a pipeline.config, restores a checkpoint and writes an ONNX file.

    Args:
      pipeline_config: TrainEvalPipelineConfig message.
      trained_checkpoint_dir: folder with a checkpoint, or a checkpoint's prefix.
      options: `options.ExportOptions`; without jpeg_dct, JPEGs are decoded accurately.
      label_map: `LabelMap`, or None.
      label_map_path: its file, to put next to the model, or None.
      maker: see `result_folder.whole_folder`.

    Returns:
      pathlib.Path of the output directory, which appears when everything in it is complete and checked.

    Raises:
      CheckpointError, ConfigError, DatasetError: as for `saved_model.export_trained`.
      ExportError: tf2onnx or ONNX Runtime is not installed, the model cannot be converted, or it gives other detections
        than the SavedModel.
      StorageError: the directory cannot be written.
    """
    onnx_convert.check_installed()
    target = saved_model.check_output_directory(options.output_directory, maker)
    pipeline_config = tflite_images.with_data(pipeline_config, options.data_dir)
    detector = saved_model.restore_detector(pipeline_config, trained_checkpoint_dir)
    names = tflite_files.name_classes(label_map, detector.num_classes)
    batch_size = options.images_per_call
    if batch_size == "default":
        batch_size = serving.INPUT_TYPES[options.input_type]
    with result_folder.whole_folder(target, maker) as folder:
        with console.phase("convert to ONNX"):
            module = serving.ServingModule(detector, options.input_type, batch_size, adds_predictions=False)
            model = onnx_convert.convert(module, names)
            with storage.open_whole(folder / MODEL, "wb") as file:
                file.write(model.SerializeToString())
        pipeline.write_pipeline(folder / saved_model.PIPELINE_CONFIG, pipeline_config)
        jpeg_dct.keep(folder, options.jpeg_dct or jpeg_dct.ACCURATE)
        if label_map_path is not None:
            shutil.copyfile(label_map_path, folder / saved_model.LABEL_MAP)
        measured = _check(folder / MODEL, module, detector, pipeline_config, names, options)
        storage.write_json(folder / DESCRIPTION, describe(model, options.input_type, names) | {"measured": measured})
    return target


def _check(path, module, detector, pipeline_config, names, options):
    """Measures, prints and returns what `Figures` and `Agreement` contain, as a dict."""
    figures, agreement = onnx_check.check(path, module, detector, pipeline_config, names, options)
    onnx_check.report(figures, agreement)
    onnx_check.check_agreement(path, agreement)
    same = dataclasses.asdict(agreement) | {
        "share": agreement.share,
        "least_iou": onnx_check.LEAST_IOU,
        "most_score_difference": onnx_check.MOST_SCORE_DIFFERENCE,
    }
    return {"detections": same, "files": [dataclasses.asdict(each) for each in figures]}


def describe(model, input_type, names):
    """What is written next to the file, a dict.

    Args:
      model: onnx.ModelProto.
      input_type: a key of `serving.INPUT_TYPES`.
      names: {id: name}, ids from 1.
    """
    (image,) = model.graph.input
    return {
        "input": {
            "name": image.name,
            "shape": _shape_of(image),
            "type": "uint8" if input_type == "image_tensor" else "float32",
            "channels": "RGB",
            "contains": _INPUTS[input_type],
        },
        "outputs": [
            {"name": output.name, "shape": _shape_of(output), "contains": _OUTPUTS.get(output.name, "")}
            for output in model.graph.output
        ],
        "classes": {str(id): name for id, name in names.items()},
        "opset": onnx_convert.OPSET,
    }


def _shape_of(tensor):
    """The sizes of a tensor: numbers, or names for those that vary."""
    return [dimension.dim_param or dimension.dim_value for dimension in tensor.type.tensor_type.shape.dim]
