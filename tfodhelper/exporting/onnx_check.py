"""Compares an ONNX file with the SavedModel of the same detector, detection by detection, and measures both."""

import contextlib
import dataclasses
import functools
import time

import numpy as np
import tensorflow as tf

from tfodhelper import box_geometry, console, errors, jpeg_dct, spelling
from tfodhelper.exporting import onnx_convert, tflite_check, tflite_images
from tfodhelper.fields import Detections, Inputs
from tfodhelper.metrics import batch as metrics_batch
from tfodhelper.metrics import coco

LEAST_SHARE = 0.95  # of the detections that have to be the same
LEAST_IOU, MOST_SCORE_DIFFERENCE = 0.99, 1e-3  # of two detections of the same class that are the same
MOST_MASK_DIFFERENCE = 0.01  # of their masks, the mean over the pixels

_MAP, _MAP_50 = "DetectionBoxes_Precision/mAP", "DetectionBoxes_Precision/mAP@.50IOU"
_NOISE_IMAGES, _NOISE_SIZE = 10, (240, 320)


@dataclasses.dataclass
class Agreement:
    """How many detections are the same.

    Attributes:
      num_expected, num_received: detections of the SavedModel, and of the file.
      num_same: pairs of detections of the same class with the overlap and the scores that are required.
    """

    num_expected: int = 0
    num_received: int = 0
    num_same: int = 0

    @property
    def share(self):
        """The part that is the same of the detections of the one that has more; 1 without any."""
        return self.num_same / max(self.num_expected, self.num_received, 1)

    def add(self, expected, received):
        """Counts the detections in one image: (boxes [n, 4], scores [n], classes [n]) of both, perhaps with masks."""
        self.num_expected += len(expected[1])
        self.num_received += len(received[1])
        self.num_same += count_same(expected, received)


def count_same(expected, received):
    """How many detections of both are the same; each one counts once, in the order of the first."""
    is_same = (
        (box_geometry.pairwise_iou(expected[0], received[0]) >= LEAST_IOU)
        & (np.abs(np.subtract.outer(expected[1], received[1])) <= MOST_SCORE_DIFFERENCE)
        & np.equal.outer(expected[2], received[2])
    )
    if len(expected) > 3 and is_same.any():
        differences = np.abs(expected[3][:, np.newaxis] - received[3][np.newaxis]).mean(axis=(2, 3))
        is_same &= differences <= MOST_MASK_DIFFERENCE
    free = np.ones(len(received[1]), bool)
    count = 0
    for row in is_same:
        matches = np.flatnonzero(row & free)
        if len(matches):
            free[matches[0]] = False
            count += 1
    return count


def check(path, module, detector, pipeline_config, categories, options):
    """Runs the SavedModel's function and the file over the same images.

    Args:
      path: of the file.
      module: the `serving.ServingModule` that it was made from.
      detector: of the module.
      pipeline_config: TrainEvalPipelineConfig message that names the validation records.
      categories: {id: name}, ids from 1.
      options: `options.ExportOptions`.

    Returns:
      List of `tflite_check.Figures`, the SavedModel's first, and the `Agreement`.

    Raises:
      ExportError: ONNX Runtime is not installed or refuses the file, or too few detections are the same.
    """
    runs = {tflite_check.SAVED_MODEL: _make_run(module), path.name: _make_onnx_run(path)}
    sizes = {tflite_check.SAVED_MODEL: None, path.name: path.stat().st_size}
    metrics = {name: coco.CocoDetectionMetrics(categories) for name in runs}
    seconds, agreement, has_truth = {name: [] for name in runs}, Agreement(), False
    for example in _find_examples(detector, pipeline_config, options)():
        detections = {}
        for name, run in runs.items():
            if not seconds[name]:
                run(example)  # the first call prepares things
            detections[name], duration = run(example)
            seconds[name].append(duration)
            if Inputs.SOURCE_ID in example:
                has_truth = True
                batch = {**example, **detections[name]}
                metrics[name].update(*next(metrics_batch.unbatch(batch, example[Inputs.IMAGE].shape[1:3])))
        agreement.add(*map(_to_rows, detections.values()))
    figures = [
        tflite_check.Figures(name, sizes[name], 1000 * float(np.median(seconds[name])), *_means(metric, has_truth))
        for name, metric in metrics.items()
    ]
    return figures, agreement


def report(figures, agreement):
    """Prints a table, and how many detections are the same.

    Args:
      figures: list of `tflite_check.Figures`, the SavedModel's first.
      agreement: an `Agreement`.
    """
    header = ["file", "MB", f"ms, {tflite_check.count_threads()} threads", "mAP", "mAP@.50IOU"]
    console.say("")
    console.say(console.format_table(header, list(map(tflite_check.to_row, figures)), numbers=(1, 2, 3, 4)))
    console.say("ms: median time from image to detections, on this machine")
    console.say(
        f"detections: {agreement.share:.1%} are the same (IoU of {LEAST_IOU}, scores within "
        f"{MOST_SCORE_DIFFERENCE:g}): {agreement.num_same} of {agreement.num_expected}"
    )


def check_agreement(path, agreement):
    """Raises ExportError if too few detections are the same."""
    if agreement.share < LEAST_SHARE:
        raise errors.ExportError(
            f"{path.name}: the ONNX file gives other detections than the SavedModel",
            expected=f"{LEAST_SHARE:.0%} of the detections with an IoU of {LEAST_IOU} and scores within "
            f"{MOST_SCORE_DIFFERENCE:g}",
            received=f"{agreement.share:.1%}: {agreement.num_same} of {agreement.num_expected} and "
            f"{agreement.num_received}",
            fix="use the SavedModel (--format=saved_model), or a different model",
        )


def _means(metric, has_truth):
    values = metric.result() if has_truth else {}
    return [None if values.get(tag) == coco.NO_GROUNDTRUTH else values.get(tag) for tag in (_MAP, _MAP_50)]


def _find_examples(detector, pipeline_config, options):
    """A function that reads the validation images, or noise where there are none; says which."""
    if options.num_check_images:
        dct = options.jpeg_dct or jpeg_dct.ACCURATE
        read = functools.partial(
            *(tflite_images.read_validation_images, pipeline_config, detector, options.num_check_images, dct),
            keep_originals=True,
        )
        try:
            console.say(f"check: {spelling.count(sum(1 for _ in read()), 'validation image')}")
            return read
        except (errors.ConfigError, errors.DatasetError) as error:
            console.warn(
                f"the file is checked with noise, because there are no validation images: {error.what}; "
                "--data_dir=FOLDER names a folder that `tfodhelper convert` has written"
            )
    else:
        console.say("check: images of noise, because of --num_check_images=0")
    return _make_noise


def _make_noise():
    generator = np.random.RandomState(0)
    for _ in range(_NOISE_IMAGES):
        yield {Inputs.ORIGINAL_IMAGE: generator.randint(0, 256, [1, *_NOISE_SIZE, 3]).astype(np.uint8)}


def _make_run(module):
    """A function from an example to detections and seconds: the SavedModel."""
    function, (spec,) = module.__call__, module.__call__.input_signature

    def run(example):
        inputs = _to_input(example, spec)
        start = time.perf_counter()
        outputs = {key: value.numpy() for key, value in function(tf.constant(inputs)).items()}
        return _to_detections(outputs), time.perf_counter() - start

    return run


def _make_onnx_run(path):
    """A function from an example to detections and seconds: the file."""
    session = _load(path)
    (spec,) = session.get_inputs()
    names = [output.name for output in session.get_outputs()]
    kind = tf.uint8 if spec.type == "tensor(uint8)" else tf.float32
    batch = spec.shape[0] if isinstance(spec.shape[0], int) else None

    def run(example):
        inputs = _to_input(example, tf.TensorSpec([batch, None, None, 3], kind))
        start = time.perf_counter()
        with _explained(path, "cannot run"):
            outputs = dict(zip(names, session.run(names, {spec.name: inputs})))
        return _to_detections(outputs), time.perf_counter() - start

    return run


def _load(path):
    """The file in ONNX Runtime.

    Raises:
      ExportError: it is not installed, or refuses the file.
    """
    onnxruntime = onnx_convert.import_runtime()
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4  # what is wrong is raised as well
    settings.intra_op_num_threads = tflite_check.count_threads()
    with _explained(path, "refuses"):
        return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])


@contextlib.contextmanager
def _explained(path, what_it_does):
    try:
        yield
    except Exception as error:  # its classes of errors are not public
        raise errors.ExportError(
            f"{path.name}: ONNX Runtime {what_it_does} the file: {str(error).splitlines()[0]}",
            fix="the SavedModel (--format=saved_model) can be used in any case",
        ) from error


def _to_input(example, spec):
    """The stored image as an array of the input's type, repeated if the batch size is fixed."""
    image = np.asarray(example[Inputs.ORIGINAL_IMAGE], spec.dtype.as_numpy_dtype)
    return np.repeat(image, spec.shape[0] or 1, axis=0)


def _to_detections(outputs):
    """Outputs of the signature for the first image, with classes from 0 as the metrics take them."""
    first = {key: value[:1] for key, value in outputs.items() if key in vars(Detections).values()}
    first[Detections.CLASSES] = first[Detections.CLASSES] - 1
    return first


def _to_rows(detections):
    """(boxes, scores, classes) of the detections of one image, and masks [n, h, w] where there are any."""
    num = int(detections[Detections.NUM][0])
    keys = (Detections.BOXES, Detections.SCORES, Detections.CLASSES, Detections.MASKS)
    return tuple(detections[key][0][:num] for key in keys if key in detections)
