"""Evaluates checkpoints over tiles: the metrics of `eval` for the detections of `predict`."""

import collections

import numpy as np
import tensorflow as tf

from tfodhelper import console, families, own_files, resizers, run_layout
from tfodhelper.checkpoints import save
from tfodhelper.exporting import saved_model
from tfodhelper.fields import Inputs
from tfodhelper.inputs import build as inputs_build
from tfodhelper.inputs import diagnose
from tfodhelper.metrics import batch as metrics_batch
from tfodhelper.prediction import tiled_predictor
from tfodhelper.tiling import windows
from tfodhelper.training import evaluation, job_inputs, jobs, summaries

SUMMARIES = "eval_tiles"  # in the folder of the training
_BATCH = 8  # tiles per call of the model


def evaluate(options):
    """Evaluates checkpoints of a training over tiles: the verb `eval` with --tiles.

    Each checkpoint is exported to a temporary folder, and the SavedModel is run on the validation images, as they are
    in the records, like `predict` with the same tiles. Whatever is measured there is what users of the export get.

    Args:
      options: `EvalOptions` with tiles.

    Yields:
      (step, {tag: value}), see `training.jobs.evaluate`; there are no losses.

    Raises:
      ConfigError, CheckpointError, DatasetError, ExportError, PredictionError.
    """
    pipeline, model_dir, dct = jobs.read_evaluation_job(options)
    label_map = job_inputs.read_matching_label_map(pipeline, pipeline.eval_input_reader[0], "eval_input_reader")
    num_images = job_inputs.check_eval_records(pipeline)
    tiling = windows.make_tiling(options)
    with jobs.process_log_in(model_dir):
        console.say(tiling.describe())
        for prefix in jobs.find_whole_ones(options.checkpoint or model_dir, options.eval_timeout):
            with own_files.temporary_folder() as folder:
                export = saved_model.export_trained(pipeline, prefix, f"{folder}/export", dct=dct)
                model = tiled_predictor.TiledPredictor(export, label_map, tiling=tiling, dct=dct)
                finished = _evaluate(model, pipeline, label_map, num_images, dct, options.iou_threshold)
            step, metrics = save.step_of(prefix), finished.result()
            _write_summaries(f"{model_dir}/{SUMMARIES}", step, metrics, finished.pictures)
            finished.write([run_layout.evaluation_of(model_dir, f"step-{step}-tiles")], step, prefix, metrics)
            yield step, metrics


def _evaluate(model, pipeline, label_map, num_images, dct, iou_threshold):
    """Runs a model over all validation images; returns the `Evaluation`."""
    resizer = resizers.build_resizer(families.architecture_of(pipeline.model).image_resizer)
    dataset = inputs_build.build_eval_dataset(pipeline, resizer, 1, keep_original_images=num_images, dct=dct)
    patterns = pipeline.eval_input_reader[0].tf_record_input_reader.input_path
    batches = collections.deque()

    def read_images():
        for features, labels in diagnose.iterate(dataset, patterns):
            batches.append({key: np.asarray(value) for key, value in {**features, **labels}.items()})
            yield batches[-1][Inputs.ORIGINAL_IMAGE][0]

    with console.Progress("evaluation: images", num_images) as progress:
        collected = evaluation.build_evaluation(pipeline, label_map, progress, iou_threshold, measures_masks=False)
        for outcome in model.stream(read_images(), batch_size=_BATCH, keep_masks=False):
            batch = batches.popleft()
            size = batch[Inputs.IMAGE].shape[1:3]
            collected.add_batch({**batch, **metrics_batch.batch_of(outcome.found), "padded_shape": size})
    return collected


def _write_summaries(folder, step, metrics, pictures):
    """Writes figures that could be measured, and pictures, for TensorBoard."""
    with tf.summary.create_file_writer(folder).as_default(step=step):
        for tag, value in metrics.items():
            if not np.isnan(value):
                tf.summary.scalar(tag, value)
        summaries.write_images(pictures, step)
