"""Images of records for the calibration of TFLite files, and for the check of files of other formats."""

import pathlib

import numpy as np
import tensorflow as tf

from tfodhelper import errors, run_layout
from tfodhelper.config import generate
from tfodhelper.fields import Inputs
from tfodhelper.inputs import build, diagnose


def with_data(pipeline_config, data_dir):
    """The configuration with readers of a converted folder.

    Args:
      pipeline_config: TrainEvalPipelineConfig message.
      data_dir: folder that `convert` has written, or a run folder; None: the configuration as it is.

    Returns:
      TrainEvalPipelineConfig message.

    Raises:
      DatasetError: it is not a converted folder.
    """
    if data_dir is None:
        return pipeline_config
    if run_layout.is_run(data_dir):
        data_dir = pathlib.Path(data_dir) / "data"
    facts = generate.read_data_facts(data_dir)
    changed = type(pipeline_config)()
    changed.CopyFrom(pipeline_config)
    if not changed.eval_input_reader:
        changed.eval_input_reader.add()
    readers = (
        (changed.train_input_reader, facts.train_pattern),
        (changed.eval_input_reader[0], facts.validate_pattern),
    )
    for reader, pattern in readers:
        reader.label_map_path = facts.label_map_path
        reader.tf_record_input_reader.input_path[:] = [pattern] if pattern else []
    return changed


def find_training_images(pipeline_config, detector, count, mean, std, dct):
    """Finds training images, drawn at random with a fixed seed; they are read without augmentation.

    Args:
      pipeline_config: TrainEvalPipelineConfig message.
      detector: the one that resizes them.
      count: maximum number of images.
      mean, std: see `tflite_graph.find_normalization`.
      dct: how JPEGs are decoded, a key of `jpeg_dct.CHOICES`.

    Returns:
      How many there are, and a function that yields them: float32 tensors [height, width, 3], 0..255, resized to the
      model input, padding as the detector has it.

    Raises:
      ExportError: there are no training records.
      DatasetError: one of them is damaged; it is named.
    """
    plain = type(pipeline_config)()
    plain.CopyFrom(pipeline_config)
    del plain.eval_input_reader[:]
    plain.eval_input_reader.add().CopyFrom(pipeline_config.train_input_reader)
    plain.eval_input_reader[0].shuffle = True
    plain.eval_config.ClearField("num_examples")
    try:
        dataset = build.build_eval_dataset(plain, detector.resizer, 1, dct=dct)
    except (errors.ConfigError, errors.DatasetError) as error:
        raise errors.ExportError(
            f"--quantization=int8 needs training images for its calibration: {error.what}",
            expected="record files, as `tfodhelper convert` writes them",
            received=error.received,
            fix="--data_dir=FOLDER, or --quantization=dynamic, which needs no images",
        ) from error

    patterns = plain.eval_input_reader[0].tf_record_input_reader.input_path

    def read():
        for features, _ in diagnose.iterate(dataset.take(count), patterns):
            normalized = detector.normalize(features[Inputs.IMAGE], features[Inputs.TRUE_IMAGE_SHAPE])[0]
            yield normalized * tf.constant(std) + tf.constant(mean)

    return sum(1 for _ in diagnose.iterate(dataset.take(count), patterns)), read


def read_validation_images(pipeline_config, detector, count, dct, keep_originals=False):
    """Reads validation images with their ground truth.

    Args:
      pipeline_config: TrainEvalPipelineConfig message.
      detector: the one that resizes them.
      count: maximum number of images.
      dct: how JPEGs are decoded, a key of `jpeg_dct.CHOICES`.
      keep_originals: whether the stored images come along.

    Yields:
      For each image, a dict from keys of `Inputs` and `Groundtruth` to arrays, of a batch of one.

    Raises:
      ConfigError, DatasetError: there are no validation records, or one of them is damaged.
    """
    kept = count if keep_originals else 0
    dataset = build.build_eval_dataset(pipeline_config, detector.resizer, 1, keep_original_images=kept, dct=dct)
    patterns = pipeline_config.eval_input_reader[0].tf_record_input_reader.input_path
    for features, labels in diagnose.iterate(dataset.take(count), patterns):
        yield {key: np.asarray(value) for key, value in {**features, **labels}.items()}
