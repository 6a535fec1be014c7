"""A single-shot detector as the functions that are converted to TFLite: from a model input to detections.

The input is one image of the model's size. What turns the predictions into detections is an operation of TFLite,
TFLite_Detection_PostProcess. TensorFlow has no such operation: the converter puts it where a function with an
annotation of that name is called (tensorflow/compiler/mlir/lite/utils/nms_utils.cc).

Shape letters: A anchors, C class columns, D detections.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfodhelper import errors
from tfodhelper.exporting import options as export_options
from tfodhelper.fields import Predictions
from tfodhelper.tflite import interface

INPUT = "input"
BOX_CODES, SCORES = "box_codes", "scores"
BOXES, CLASSES, COUNT = "boxes", "classes", "count"

# (name here, name of the tensor, name in the file's signature), in the order of the operation, in which programs for
# Android and Coral expect them. PyCoral, where a file has a signature, finds them by the names that the converter gives
# to what the Object Detection API's exporter returns.
DETECTIONS = (
    (BOXES, interface.POSTPROCESS, "output_3"),
    (CLASSES, f"{interface.POSTPROCESS}:1", "output_2"),
    (SCORES, f"{interface.POSTPROCESS}:2", "output_1"),
    (COUNT, f"{interface.POSTPROCESS}:3", "output_0"),
)
RAW = (
    (BOXES, interface.RAW_BOXES, interface.RAW_BOXES),
    (SCORES, interface.RAW_SCORES, interface.RAW_SCORES),
)


@dataclasses.dataclass(frozen=True)
class Network:
    """What is converted.

    Attributes:
      module: has the function `serve` and the variables.
      decoder: a module whose `serve` turns box codes into boxes, if `module` does not; its result is appended.
      size: (height, width) of the input.
      mean, std: three numbers each; what the detector takes is (pixel - mean) / std.
      takes_pixels: whether the input is the pixel itself.
      outputs: `DETECTIONS` or `RAW`.
    """

    module: tf.Module
    decoder: tf.Module | None
    size: tuple
    mean: tuple
    std: tuple
    takes_pixels: bool
    outputs: tuple


def choose_suppression(suppression, options):
    """The suppression of the configuration, changed as the `TFLiteOptions` say."""
    changes = {
        "max_total": options.max_detections,
        "score_threshold": options.score_threshold,
        "iou_threshold": options.iou_threshold,
    }
    changed = dataclasses.replace(suppression, **{key: value for key, value in changes.items() if value is not None})
    return dataclasses.replace(changed, max_per_class=min(changed.max_per_class, changed.max_total))


def find_size(detector):
    """(height, width) of the model input.

    Raises:
      ExportError: it depends on the image.
    """
    size = detector.resizer.height, detector.resizer.width
    if None in size:
        raise errors.ExportError(
            "the input of a TFLite file has a fixed size, but the size of this model's input depends on the image",
            expected="image_resizer: fixed_shape_resizer, or keep_aspect_ratio_resizer with pad_to_max_dimension",
            fix="train with one of these",
        )
    return size


def find_normalization(detector):
    """How pixels become what the network takes.

    Returns:
      (mean, std), three numbers each: `normalize` is (pixel - mean) / std.

    Raises:
      ExportError: it is something else.
    """
    pixels = np.float32([0, 100, 255]).reshape(3, 1, 1, 1) * np.ones([1, 1, 1, 3], np.float32)
    normalized = detector.normalize(tf.constant(pixels), tf.constant([[1, 1, 3]] * 3)).numpy()[:, 0, 0]
    scale = (normalized[2].astype(np.float64) - normalized[0]) / 255
    if not np.allclose(normalized[1], normalized[0] + 100 * scale, atol=1e-3 * np.abs(scale).max()):
        raise errors.ExportError("this model normalizes its input in a way that a TFLite file cannot describe")
    mean, std = -normalized[0] / scale, 1 / scale
    return tuple(np.round(mean, 4).tolist()), tuple(np.round(std, 4).tolist())


def normalizes_channels_apart(detector):
    """Whether pixels are normalized in a different way for each channel.

    A file of 8 bits then takes pixels and normalizes them itself. Otherwise the quantization of the input does it,
    exactly and for nothing.
    """
    mean, std = find_normalization(detector)
    return len(set(mean)) + len(set(std)) > 2


def build_network(detector, suppression, nms, takes_pixels):
    """Builds what is converted.

    Args:
      detector: `models.detector.Detector` with weights and a `SingleShotOutput`.
      suppression: from `choose_suppression`.
      nms: a key of `options.NMS`.
      takes_pixels: whether the network normalizes its input itself.

    Returns:
      `Network`.
    """
    output, size = detector.single_shot_output(), find_size(detector)
    mean, std = find_normalization(detector)
    spec = tf.TensorSpec([1, *size, 3], tf.float32, name=INPUT)
    predict = tf.function(
        lambda inputs: detector.predict_raw(inputs, tf.constant([[*size, 3]]), training=False),
        input_signature=[spec],
        autograph=False,
    )
    anchors = _to_centers(predict(tf.zeros(spec.shape))[Predictions.ANCHORS].numpy())
    postprocess = None
    if nms != export_options.NO_NMS:
        postprocess = _build_postprocess(detector.num_classes, output.scale_factors, suppression, nms)

    def serve(images):
        inputs = (images - tf.constant(mean)) / tf.constant(std) if takes_pixels else images
        raw = predict(inputs)
        codes, scores = raw[Predictions.BOX_CODES], output.to_scores(raw[Predictions.CLASS_LOGITS])
        if postprocess is None:
            return {BOX_CODES: codes, SCORES: scores}
        boxes, classes, scores, count = postprocess(codes, scores, tf.constant(anchors))
        return {BOXES: boxes, CLASSES: classes, SCORES: scores, COUNT: count}

    module = _make_module(serve, spec, detector.variables)
    decoder = _build_decoder(anchors, output.scale_factors) if postprocess is None else None
    return Network(module, decoder, size, mean, std, takes_pixels, RAW if postprocess is None else DETECTIONS)


def _make_module(serve, spec, variables=()):
    module = tf.Module()
    module.serve = tf.function(serve, input_signature=[spec])
    module.weights = list(variables)
    return module


def _to_centers(corners):
    """[A, 4] ymin, xmin, ymax, xmax -> y and x of the centers, heights and widths."""
    return np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], axis=1)


def _build_postprocess(num_classes, scale_factors, suppression, nms):
    """The function that the converter replaces: box codes, scores and anchors to boxes, classes, scores and count."""
    attributes = {
        "max_detections": suppression.max_total,
        "max_classes_per_detection": 1,
        "num_classes": num_classes,
        "use_regular_nms": nms == export_options.REGULAR,
        "nms_score_threshold": float(suppression.score_threshold),
        "nms_iou_threshold": float(suppression.iou_threshold),
        **dict(zip(("y_scale", "x_scale", "h_scale", "w_scale"), map(float, scale_factors))),
    }
    annotation = [f'name: "{interface.POSTPROCESS}"']
    for key, value in attributes.items():
        kind = {bool: "b", int: "i", float: "f"}[type(value)]
        annotation.append(f'attr {{ key: "{key}" value {{ {kind}: {str(value).lower()} }} }}')

    @tf.function(experimental_implements=" ".join(annotation))
    def postprocess(codes, scores, anchors):
        del codes, scores, anchors
        return tuple(tf.constant(float(number)) for number in range(4))  # different ones, so that none is merged

    return postprocess


def _build_decoder(anchors, scale_factors):
    """Box codes to boxes in few operations; see `ops.box_coder.decode`.

    It is converted by itself and stays in floats: with 8 bits for the whole width of an image, boxes would be wrong by
    a pixel and more. Codes are relative to the anchor, and 8 bits suffice.
    """
    centers, sizes, scales = anchors[:, :2], anchors[:, 2:], np.float32(scale_factors)

    def serve(codes):
        middle = codes[..., :2] * (sizes / scales[:2]) + centers
        half = tf.exp(codes[..., 2:] * (1 / scales[2:])) * (sizes / 2)
        return {BOXES: tf.concat([middle - half, middle + half], axis=-1)}

    return _make_module(serve, tf.TensorSpec([1, len(anchors), 4], tf.float32, name=BOX_CODES))
