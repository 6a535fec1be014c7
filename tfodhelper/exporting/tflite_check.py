"""Compares TFLite files with the SavedModel of the same detector on validation images: precision, speed and size."""

import dataclasses
import functools
import os
import time

import numpy as np
import tensorflow as tf

from tfodhelper import console, errors, jpeg_dct, spelling
from tfodhelper.exporting import options as export_options
from tfodhelper.exporting import tflite_images
from tfodhelper.fields import Detections, Inputs
from tfodhelper.metrics import batch as metrics_batch
from tfodhelper.metrics import coco
from tfodhelper.tflite import runtime

TOLERATED_LOSS = 0.02  # of mAP
SAVED_MODEL = "SavedModel"

_MAP, _MAP_50 = "DetectionBoxes_Precision/mAP", "DetectionBoxes_Precision/mAP@.50IOU"
_NOISE_IMAGES = 10  # to measure the speed without validation images
_ADVICE = {
    export_options.FLOAT32: "",
    export_options.FLOAT16: "--quantization=float32, ",
    export_options.DYNAMIC: "--quantization=float16, ",
    export_options.INT8: "more or more varied images (--num_calibration_images), --quantization=dynamic or float16, ",
}


@dataclasses.dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
      name: of the file, or `SAVED_MODEL`.
      num_bytes: size of the file, or None.
      latency_ms: median time of a call, from model input to detections.
      mean_ap, mean_ap_50: COCO's, or None without images or without objects in them.
    """

    name: str
    num_bytes: int | None
    latency_ms: float
    mean_ap: float | None
    mean_ap_50: float | None


def count_threads():
    """Threads that the files are run with: as many as there are cores for this process, at most four as in a phone."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 4)


def check(paths, detector, pipeline_config, categories, num_images, dct=jpeg_dct.ACCURATE):
    """Runs the SavedModel's function and the files over the same images.

    Args:
      paths: of the files.
      detector: what they were made from.
      pipeline_config: TrainEvalPipelineConfig message that names the validation records.
      categories: {id: name}, ids from 1.
      num_images: maximum number of validation images; 0: none.

    Returns:
      List of `Figures`, the SavedModel's first.

    Raises:
      ExportError: a file gives numbers that are not finite.
      PredictionError: LiteRT is not installed.
    """
    runtime.load_interpreter_class()
    read_examples = _find_examples(detector, pipeline_config, num_images, dct)
    sizes = {SAVED_MODEL: None, **{path.name: path.stat().st_size for path in paths}}
    runs = {SAVED_MODEL: _make_run(detector), **{path.name: _make_tflite_run(path) for path in paths}}
    figures = []
    for name, run in runs.items():
        metric, seconds = coco.CocoDetectionMetrics(categories), []
        for example in read_examples():
            if not seconds:
                run(example)  # the first call prepares things
            detections, duration = run(example)
            seconds.append(duration)
            if Inputs.SOURCE_ID in example:
                metric.update(*next(metrics_batch.unbatch(example | detections, example[Inputs.IMAGE].shape[1:3])))
        values = metric.result() if Inputs.SOURCE_ID in example else {}
        means = [None if values.get(tag) == coco.NO_GROUNDTRUTH else values.get(tag) for tag in (_MAP, _MAP_50)]
        figures.append(Figures(name, sizes[name], 1000 * float(np.median(seconds)), *means))
    return figures


def _find_examples(detector, pipeline_config, num_images, dct):
    """A function that reads the validation images, or noise where there are none; says which."""
    if num_images:
        try:
            read = functools.partial(tflite_images.read_validation_images, pipeline_config, detector, num_images, dct)
            console.say(f"check: {spelling.count(sum(1 for _ in read()), 'validation image')}")
            return read
        except (errors.ConfigError, errors.DatasetError) as error:
            console.warn(
                f"precision is not checked, because there are no validation images: {error.what}; "
                "--data_dir=FOLDER names a folder that `tfodhelper convert` has written"
            )
    else:
        console.say("precision is not checked: --num_check_images=0")
    return functools.partial(_make_noise, (detector.resizer.height, detector.resizer.width))


def _make_noise(size):
    """Yields images of noise, as `read_validation_images` without ground truth."""
    generator = np.random.RandomState(0)
    for _ in range(_NOISE_IMAGES):
        image = generator.randint(0, 256, [1, *size, 3]).astype(np.float32)
        yield {Inputs.IMAGE: image, Inputs.TRUE_IMAGE_SHAPE: np.int32([[*size, 3]])}


def _make_run(detector):
    """A function from an example to detections and seconds: the detector as it is in its SavedModel."""

    @tf.function(autograph=False)
    def detect(inputs, true_image_shapes):
        raw = detector.predict_raw(inputs, true_image_shapes, training=False)
        return detector.postprocess(raw, true_image_shapes)

    def run(example):
        shapes = tf.constant(example[Inputs.TRUE_IMAGE_SHAPE])
        inputs = detector.normalize(tf.constant(example[Inputs.IMAGE]), shapes)
        start = time.perf_counter()
        detections = {key: value.numpy() for key, value in detect(inputs, shapes).items()}
        return detections, time.perf_counter() - start

    return run


def _make_tflite_run(path):
    """A function from an example to detections and seconds: a file."""
    model = runtime.TFLiteDetector(path, count_threads())

    def run(example):
        true_shape = example[Inputs.TRUE_IMAGE_SHAPE][0]
        inputs = model.to_input(example[Inputs.IMAGE][0], true_shape)
        start = time.perf_counter()
        outputs = model.run(inputs)
        duration = time.perf_counter() - start
        if not all(np.isfinite(output).all() for output in outputs):
            raise errors.ExportError(
                f"{path.name}: the outputs are not finite",
                fix="check the training log, or export a different checkpoint",
            )
        detections = model.to_detections(outputs, true_shape)
        detections[Detections.CLASSES] = detections[Detections.CLASSES] - 1
        batched = {key: value[np.newaxis] for key, value in detections.items()}
        return batched | {Detections.NUM: np.int64([len(detections[Detections.SCORES])])}, duration

    return run


def to_row(figures):
    """Cells of a table: name, megabytes, milliseconds, mAP, mAP at an IoU of 0.5."""
    return (
        figures.name,
        "-" if figures.num_bytes is None else f"{figures.num_bytes / 1e6:.1f}",
        f"{figures.latency_ms:.1f}",
        *("-" if value is None else f"{value:.4f}" for value in (figures.mean_ap, figures.mean_ap_50)),
    )


def report(figures, quantizations, nms):
    """Prints a table, and a warning for each file that lost much precision.

    Args:
      figures: list of `Figures`, the SavedModel's first.
      quantizations: of the files, in the same order.
      nms: a key of `options.NMS`.
    """
    header = ["file", "MB", f"ms, {count_threads()} threads", "mAP", "mAP@.50IOU"]
    console.say("")
    console.say(console.format_table(header, list(map(to_row, figures)), numbers=(1, 2, 3, 4)))
    console.say("ms: median time from model input to detections, on this machine")
    if any(each.mean_ap is None for each in figures):
        console.say("mAP -: there are no validation images with objects to measure it by")
    expected = figures[0].mean_ap
    for each, quantization in zip(figures[1:], quantizations):
        if expected is not None and expected - each.mean_ap > TOLERATED_LOSS:
            console.warn(
                f"{each.name}: mAP is {expected - each.mean_ap:.4f} lower than that of the SavedModel; try "
                + advise(quantization, nms)
            )


def advise(quantization, nms):
    """What may help against a loss of precision, in words."""
    first = "--nms=regular, " if nms == export_options.FAST else ""
    return f"{first}{_ADVICE[quantization]}a larger --max_detections, or a lower --score_threshold"
