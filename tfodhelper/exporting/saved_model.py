"""Writes a detector in the layout of the Object Detection API's exports and zoo archives.

```
OUTPUT_DIRECTORY/
  saved_model/       saved_model.pb, variables/, assets/; assets.extra/ with a request for TensorFlow Serving
  checkpoint/        checkpoint, ckpt-0.index, ckpt-0.data-00000-of-00001: the Object Detection API's keys
  pipeline.config
  label_map.pbtxt    if one is known
  decoding.json      if the model was trained with JPEGs decoded by the fast transform; see `jpeg_dct`
```
"""

import contextlib
import pathlib
import shutil

import numpy as np
import tensorflow as tf

from tfodhelper import console, errors, fields, jpeg_dct, result_folder, storage
from tfodhelper.checkpoints import moving_averages, restore, save
from tfodhelper.config import pipeline
from tfodhelper.exporting import serving, warmup
from tfodhelper.models import build

SAVED_MODEL = "saved_model"
CHECKPOINT = "checkpoint"
PIPELINE_CONFIG = "pipeline.config"
LABEL_MAP = "label_map.pbtxt"

TOLERANCE = 1e-4  # of the difference between the model and its SavedModel, relative to the largest value


def export_trained(
    pipeline_config,
    trained_checkpoint_dir,
    output_directory,
    *,
    input_type="image_tensor",
    batch_size="default",
    label_map_path=None,
    maker=None,
    dct=jpeg_dct.ACCURATE,
):
    """Builds the model of a pipeline.config, restores all of a checkpoint and exports it.

    If training kept averages of the weights, these are exported, since they are what was evaluated.

    Args:
      pipeline_config: TrainEvalPipelineConfig message.
      trained_checkpoint_dir: folder with a checkpoint (its newest is taken), or a checkpoint's prefix.
      output_directory: as the rest, see `export_saved_model`.

    Returns:
      pathlib.Path of the output directory.

    Raises:
      CheckpointError: the checkpoint does not belong to the model.
      ConfigError: the model cannot be built.
      ExportError, StorageError: see `export_saved_model`.
    """
    check_output_directory(output_directory, maker)
    return export_saved_model(
        restore_detector(pipeline_config, trained_checkpoint_dir),
        pipeline_config,
        output_directory,
        input_type=input_type,
        batch_size=batch_size,
        label_map_path=label_map_path,
        maker=maker,
        dct=dct,
    )


def restore_detector(pipeline_config, trained_checkpoint_dir):
    """Builds the model of a pipeline.config and restores all of a checkpoint, as it was evaluated.

    Args:
      pipeline_config: TrainEvalPipelineConfig message.
      trained_checkpoint_dir: folder with a checkpoint (its newest is taken), or a checkpoint's prefix.

    Returns:
      `models.detector.Detector`.

    Raises:
      CheckpointError: the checkpoint does not belong to the model.
      ConfigError: the model cannot be built.
    """
    detector = build.build_detector(pipeline_config.model, is_training=False)
    report = restore.restore_trained(detector, trained_checkpoint_dir)
    console.say(str(report))
    num_averages = moving_averages.restore_averages(detector, report.prefix)
    if num_averages:
        console.say(f"weights: {num_averages} replaced by the averages that training kept")
    return detector


def export_saved_model(
    detector,
    pipeline_config,
    output_directory,
    *,
    input_type="image_tensor",
    batch_size="default",
    label_map_path=None,
    make_checkpoint_view=save.ModelView,
    maker=None,
    dct=jpeg_dct.ACCURATE,
):
    """Writes a detector with its current weights; the folder appears only when it is complete.

    The SavedModel is read back and compared with the detector before the folder gets its name.

    Args:
      detector: follows the contract of `models.detector.Detector`.
      pipeline_config: TrainEvalPipelineConfig message that it was built from.
      output_directory: must be empty or not exist.
      input_type: a key of `serving.INPUT_TYPES`.
      batch_size: images per call; None for any number; "default" for the Object Detection API's default for the type.
      label_map_path: label map to put next to the model, or None.
      make_checkpoint_view: detector -> trackable whose paths are the checkpoint's keys under `model/`.
      maker: see `result_folder.whole_folder`.
      dct: how JPEGs were decoded in training, a key of `jpeg_dct.CHOICES`; the SavedModel and `predict` do the same.

    Returns:
      pathlib.Path of the output directory.

    Raises:
      ExportError: the directory is not empty, the label map does not exist, the input type is unknown, or the
        SavedModel gives other results than the detector.
      StorageError: the directory cannot be written.
    """
    target = check_output_directory(output_directory, maker)
    if label_map_path is not None and not pathlib.Path(label_map_path).is_file():
        raise errors.ExportError(f"{label_map_path}: no such label map")
    if batch_size == "default":
        batch_size = serving.INPUT_TYPES.get(input_type)
    module = serving.ServingModule(detector, input_type, batch_size, dct)
    with result_folder.whole_folder(target, maker) as folder, _explain_what_tensorflow_refuses(target):
        module.save(folder / SAVED_MODEL)
        warmup.write_request(module, folder / SAVED_MODEL)
        _write_checkpoint(make_checkpoint_view(detector), folder / CHECKPOINT)
        pipeline.write_pipeline(folder / PIPELINE_CONFIG, pipeline_config)
        jpeg_dct.keep(folder, dct)
        if label_map_path is not None:
            shutil.copyfile(label_map_path, folder / LABEL_MAP)
        _check_written(module, folder / SAVED_MODEL, target)
    return target


def check_output_directory(output_directory, maker=None):
    """Checks that an export can be written there without overwriting anything.

    Args:
      output_directory, maker: see `result_folder.whole_folder`.

    Returns:
      pathlib.Path of the directory.

    Raises:
      ExportError: it is not empty, or is a file.
      StorageError: its parent cannot be written.
    """
    target = pathlib.Path(output_directory).absolute()
    fix = "choose another --output_directory, or remove this one"
    result_folder.check_free(target, maker, errors.ExportError, fix)
    storage.make_folder(target.parent)
    return target


def find_label_map(pipeline_config, config_path=None):
    """Finds the label map that a pipeline.config names.

    Args:
      pipeline_config: TrainEvalPipelineConfig message.
      config_path: file that it was read from; relative paths are also tried from there.

    Returns:
      pathlib.Path, or None if no reader names an existing file.
    """
    readers = [*pipeline_config.eval_input_reader, pipeline_config.train_input_reader]
    folders = [pathlib.Path()] + ([pathlib.Path(config_path).parent] if config_path else [])
    for reader in readers:
        for folder in folders:
            if reader.label_map_path and (folder / reader.label_map_path).is_file():
                return folder / reader.label_map_path
    return None


@contextlib.contextmanager
def _explain_what_tensorflow_refuses(target):
    """TensorFlow writes its files itself and has its own errors for a full disk."""
    try:
        yield
    except tf.errors.OpError as error:
        refusal = storage.explain_refusal_in(error.message)
        if refusal is None and isinstance(error, (tf.errors.ResourceExhaustedError, tf.errors.PermissionDeniedError)):
            refusal = errors.StorageError(f"{target}: cannot be written: {error.message}")
        raise refusal or error from error


def _write_checkpoint(view, folder):
    """Writes ckpt-0 as the Object Detection API's exporter does: variables under `model/`, and a save counter."""
    checkpoint = tf.train.Checkpoint(model=view)
    tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1).save(checkpoint_number=0)


def _check_written(module, saved_model_dir, target):
    """Compares the SavedModel read back with the model in memory, on an image of noise.

    Raises:
      ExportError: an output differs; the error names it.
    """
    inputs = module.make_inputs(np.random.RandomState(0).randint(0, 256, size=[1, 120, 160, 3], dtype=np.uint8))
    expected = module.signatures[serving.SERVING_DEFAULT](inputs)
    received = tf.saved_model.load(str(saved_model_dir)).signatures[serving.SERVING_DEFAULT](inputs)
    for key in (fields.Detections.RAW_BOXES, fields.Detections.RAW_SCORES, fields.Detections.SCORES):
        if key not in expected:
            continue
        wanted, got = expected[key].numpy(), received[key].numpy()
        difference = float(np.max(np.abs(wanted - got), initial=0.0))
        if not difference <= TOLERANCE * max(1.0, float(np.max(np.abs(wanted), initial=0.0))):
            raise errors.ExportError(
                f"{target}: the SavedModel gives other results than the model",
                expected=f"{key} within {TOLERANCE} of the model's",
                received=f"a difference of {difference:g}",
                fix="the weights may not be finite: check the training log, or export another checkpoint",
            )
