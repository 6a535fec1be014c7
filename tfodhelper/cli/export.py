"""write a trained checkpoint as a SavedModel

The folder gets the layout of the Object Detection API's exports: saved_model/, checkpoint/, pipeline.config and, where
one is known, label_map.pbtxt. It appears whole or not at all, and nothing is ever overwritten. The SavedModel is read
back and compared with the model before the folder gets its name.

An archive of the zoo can be exported as it is:

  tfodhelper export --input_type=image_tensor --pipeline_config_path=ARCHIVE/pipeline.config
      --trained_checkpoint_dir=ARCHIVE/checkpoint --output_directory=exported --label_map=mscoco

Inputs by --input_type:
  image_tensor                  uint8 [1, height, width, 3]
  float_image_tensor            float32 [any, height, width, 3], values 0 to 255
  encoded_image_string_tensor   string [any], JPEG, PNG, BMP or GIF files
  tf_example                    string [any], serialized tf.train.Example with image/encoded
"""

from absl import flags

from tfodhelper import console, errors, tensorflow_setup
from tfodhelper.annotations import label_map
from tfodhelper.cli import flagging, label_map_flag
from tfodhelper.config import overrides, pipeline, supported

_INPUT_TYPES = ["image_tensor", "float_image_tensor", "encoded_image_string_tensor", "tf_example"]


def define_flags(fv):
    """Defines the verb's flags."""
    flags.DEFINE_enum("input_type", "image_tensor", _INPUT_TYPES, "What the SavedModel takes.", flag_values=fv)
    flagging.define_pipeline_config_path(fv, "The pipeline.config that the checkpoint was trained with.")
    flagging.define_path(
        fv, "trained_checkpoint_dir", None, "Folder with the checkpoint; the newest in it is taken. Or its prefix."
    )
    flagging.define_path(fv, "output_directory", None, "Folder to write; must not be there, or be empty.")
    flags.DEFINE_string(
        "batch_size", None, "Images a call: a number, or any. By --input_type when left out.", flag_values=fv
    )
    label_map_flag.define(fv, "the one that the pipeline.config names")
    flags.DEFINE_multi_string(
        "set", [], "Change one field, as in model.ssd.num_classes=4; may be given several times.", flag_values=fv
    )
    flags.DEFINE_bool(
        "ignore_unsupported_fields",
        False,
        "Warn of unsupported fields and continue.",
        flag_values=fv,
    )


def main(fv, args):
    """Exports; returns the exit status."""
    flagging.refuse_arguments(args)
    flagging.require(fv, "pipeline_config_path", "trained_checkpoint_dir", "output_directory")
    batch_size = parse_batch_size(fv.batch_size)
    config = overrides.apply_overrides(pipeline.read_pipeline(fv.pipeline_config_path), fv.set)
    supported.check_supported(type(config)(model=config.model), ignore_unsupported_fields=fv.ignore_unsupported_fields)
    label_map_path = label_map_flag.resolve(fv.label_map)
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.exporting import saved_model

    if label_map_path is None:
        label_map_path = saved_model.find_label_map(config, fv.pipeline_config_path)
    _compare_classes(config, label_map_path)
    with console.phase("export"):
        saved_model.export_trained(
            config,
            fv.trained_checkpoint_dir,
            fv.output_directory,
            input_type=fv.input_type,
            batch_size=batch_size,
            label_map_path=label_map_path,
        )
    console.say(f"exported to {fv.output_directory}, input type {fv.input_type}")
    console.say(f"label map: {label_map_path or 'none; classes go by their ids (--label_map names one)'}")
    console.say_next(
        f"tfodhelper predict --saved_model_dir={fv.output_directory} --output_dir=predictions --draw IMAGES_OR_FOLDERS"
    )
    return 0


def _compare_classes(config, label_map_path):
    """Warns of a label map that has another number of classes than the model."""
    kind = config.model.WhichOneof("model")
    if label_map_path is None or kind is None:
        return
    num_names = label_map.read_label_map(label_map_path).num_classes
    num_classes = getattr(getattr(config.model, kind), "num_classes", num_names)
    if num_names != num_classes:
        console.warn(f"{label_map_path} has ids up to {num_names}, and the model has {num_classes} classes")


def parse_batch_size(text):
    """--batch_size -> a number, None for any, or "default" when the flag is left out.

    Raises:
      UsageError: when it is neither.
    """
    if text is None:
        return "default"
    if text.lower() in ("any", "none"):
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise errors.UsageError("--batch_size cannot be that", expected="a whole number from 1, or any", received=text)
