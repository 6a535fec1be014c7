"""write a trained checkpoint as a SavedModel, as TFLite files, or as an ONNX file

The folder of a SavedModel has the layout of the Object Detection API's exports: saved_model/, checkpoint/,
pipeline.config and, where one is known, label_map.pbtxt. Every folder appears complete or not at all, and existing
files are never overwritten. A SavedModel is read back and compared with the model before the folder gets its name.

An archive of the zoo can be exported as it is:

  tfodhelper export --input_type=image_tensor --pipeline_config_path=ARCHIVE/pipeline.config
      --trained_checkpoint_dir=ARCHIVE/checkpoint --output_directory=exported --label_map=mscoco

For phones and edge devices, detectors of one stage:

  tfodhelper export --format=tflite --quantization=float32 --quantization=int8 --trained_checkpoint_dir=runs/first
      --output_directory=tflite

Each file is run over validation images, and its precision, size and speed are printed next to those of the SavedModel.

For ONNX Runtime and other programs without TensorFlow:

  tfodhelper export --format=onnx --trained_checkpoint_dir=runs/first --output_directory=onnx

The file takes images of any size and gives the detections of the SavedModel. At least 95 % of the detections in
validation images must be the same, otherwise it is refused.
"""

from tfodhelper import console, invocation
from tfodhelper.cli import flagging, option_flags
from tfodhelper.exporting.options import ONNX, TFLITE, ExportOptions


def define_flags(fv):
    """Defines the verb's flags."""
    option_flags.define_flags(fv, ExportOptions)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, ExportOptions)
    from tfodhelper.exporting import export_file

    export_file.export(options)
    if options.format == ONNX:
        path = f"{options.output_directory}/detector.onnx"
        console.say(f'in Python: onnxruntime.InferenceSession("{path}").run(None, {{"input_tensor": image[None]}})')
        return
    model = options.output_directory
    if options.format == TFLITE:
        model = f"{model}/detector_{options.quantization[0]}.tflite"
    flags = {"saved_model_dir": model, "output_dir": "predictions", "draw": True}
    console.say_next(invocation.format_command("predict", "IMAGES_OR_FOLDERS", **flags))
