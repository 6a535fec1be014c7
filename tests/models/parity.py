"""Compares a detector with numbers that the OD API computed.

Tolerances: anchors, preprocessed images and true shapes 1e-5 of the largest value; other tensors 1e-4 of the largest
value, or ten times what the tensor moves when the input moves by 1e-6, but no more than 1 % of the largest value;
losses 1e-3; norms of gradients 1e-3 of themselves, those below 1e-4 of the largest norm 1e-5 of that. Detections: at
least 95 % found again, of the same class, with an intersection over union above 0.99 and a score within 1e-3.
"""

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf
from google.protobuf import text_format

from tests.golden import formula
from tfodhelper import protos
from tfodhelper.fields import Detections, Groundtruth, Predictions
from tfodhelper.models import build
from tfodhelper.ops import boxes as box_ops

_FOLDER = pathlib.Path(__file__).parents[1] / "golden"
EXACT = (Predictions.ANCHORS, "preprocessed", "true_image_shapes")
MOST_NOISE = 0.01  # of a tensor's largest value
LEAST_NORM = 1e-4  # of the largest norm of a gradient: smaller ones are sums of far larger terms


class Golden:
    """Reads stored tensors; large ones are stored at a fixed set of positions.

    Args:
      arrays: {name: array}.
      noise: {name of a prediction: how far it moves with the input's last bits}.
    """

    def __init__(self, arrays, noise=None):
        self.arrays, self._noise = arrays, noise or {}

    def check(self, name, value):
        """Asserts that a tensor is the stored one within its tolerance."""
        value = np.asarray(value, np.float64)
        if f"{name}/indices" in self.arrays:
            assert tuple(value.shape) == tuple(self.arrays[f"{name}/shape"]), name
            value, wanted = value.reshape(-1)[self.arrays[f"{name}/indices"]], self.arrays[f"{name}/values"]
        else:
            wanted = self.arrays[name]
            assert value.shape == wanted.shape, name
        wanted = np.where(np.isnan(value), np.nan, wanted)  # of a row that has no counterpart
        leaf = name.split("/")[-1]
        largest = np.nanmax(np.abs(wanted))
        noise = min(10 * self._noise.get(leaf, 0), MOST_NOISE * largest)
        tolerance = max((1e-5 if leaf in EXACT else 1e-4) * largest, noise)
        np.testing.assert_allclose(value, wanted, rtol=0, atol=tolerance, err_msg=name)

    def has(self, name):
        """Whether a tensor is stored, whole or in part."""
        return name in self.arrays or f"{name}/indices" in self.arrays

    def names_under(self, prefix):
        """Stored names with this prefix, without it."""
        return sorted(name.removeprefix(prefix) for name in self.arrays if name.startswith(prefix))


def read_golden(name, noise):
    """The `Golden` of a model in tests/golden."""
    with np.load(_FOLDER / f"{name}.npz") as file:
        return Golden(dict(file), noise)


def build_filled(name, is_training):
    """The detector of a model in tests/golden, every variable filled by formula."""
    message = text_format.Parse((_FOLDER / f"{name}.config").read_text(), protos.message("DetectionModel")())
    detector = build.build_detector(message, is_training)
    fill(detector)
    return detector


def fill(detector, weight=formula.weight):
    """Gives every variable its value by formula."""
    for key, variable in detector.checkpoint_keys().items():
        variable.assign(weight(key, tuple(variable.shape)))


def lowest_first(shape):
    """Priorities with which the dynamic samplers draw in the order of the reference numbers."""
    return tf.broadcast_to(tf.cast(tf.range(shape[1], 0, -1), tf.float32), shape)


def highest_first(shape):
    """The same for the static samplers."""
    return tf.broadcast_to(tf.cast(tf.range(shape[1]), tf.float32), shape)


def make_groundtruth(variants, num_classes, groundtruth=formula.groundtruth):
    """Ground truth of a batch, one variant for each image."""
    boxes, classes, weights = zip(*(groundtruth(variant, num_classes) for variant in variants))
    return {
        Groundtruth.BOXES: tf.constant(np.stack(boxes)),
        Groundtruth.CLASSES: tf.constant(np.stack(classes)),
        Groundtruth.WEIGHTS: tf.constant(np.stack(weights)),
    }


OF_PROPOSALS = (  # tensors with a row for each proposal
    Predictions.PROPOSALS,
    Predictions.PROPOSALS_PX,
    Predictions.CLASSIFIER_FEATURES,
    Predictions.REFINED_BOX_CODES,
    Predictions.CLASS_LOGITS,
    Detections.RAW_BOXES,
    Detections.RAW_SCORES,
)


def align_proposals(golden, prefix, predictions, values):
    """Brings rows of proposals into the stored order, which near ties may have changed; rows without counterpart: NaN.

    Args:
      golden: a `Golden`.
      prefix: of its names.
      predictions: of the detector; without proposals, nothing is done.
      values: {key: tensor}, those of `OF_PROPOSALS` are brought into order.

    Returns:
      The dict with these tensors as arrays. At most 5 % of the rows are NaN.
    """
    if Predictions.PROPOSALS_PX not in predictions:
        return values
    ours = np.asarray(predictions[Predictions.PROPOSALS_PX])
    wanted = golden.arrays[f"{prefix}/predict/{Predictions.PROPOSALS_PX}"]
    batch, rows = wanted.shape[:2]
    distances = np.abs(ours[:, np.newaxis] - wanted[:, :, np.newaxis]).max(axis=-1)  # [B, wanted, ours]
    distances += np.where(np.arange(rows)[:, np.newaxis] == np.arange(rows), 0, 1e-9)  # equal rows stay in place
    order, is_found = distances.argmin(axis=-1), distances.min(axis=-1) < 0.02
    assert is_found.mean() >= 0.95
    aligned = dict(values)
    for key in OF_PROPOSALS:
        if key in values:
            value = np.asarray(values[key], np.float64)
            by_image = value.reshape(batch, rows, -1)
            by_image = np.take_along_axis(by_image, order[..., np.newaxis], axis=1)
            by_image = np.where(is_found[..., np.newaxis], by_image, np.nan)
            aligned[key] = by_image.reshape(value.shape)
    return aligned


def check_predictions(golden, prefix, predictions):
    """Compares every raw prediction that is stored."""
    compared = 0
    for name, value in flatten(align_proposals(golden, prefix, predictions, predictions)).items():
        if golden.has(f"{prefix}/predict/{name}"):
            golden.check(f"{prefix}/predict/{name}", value)
            compared += 1
    assert compared >= 2


def flatten(predictions):
    """Predictions by the names of goldens: a list is one entry per part."""
    flat = {}
    for key, value in predictions.items():
        flat |= {f"{key}[{i}]": part for i, part in enumerate(value)} if isinstance(value, list) else {key: value}
    return flat


def check_image(golden, name, detector, image):
    """Preprocessing, predictions and detections of one image; returns the predictions."""
    inputs, shapes = detector.preprocess(image[np.newaxis])
    golden.check(f"{name}/true_image_shapes", shapes)
    golden.check(f"{name}/preprocessed", inputs)
    predictions = detector.predict_raw(inputs, shapes)
    check_predictions(golden, name, predictions)
    detections = align_proposals(golden, name, predictions, detector.postprocess(predictions, shapes))
    check_detections(golden, f"{name}/postprocess", detections)
    return predictions


def check_detections(golden, prefix, detections):
    """Compares detections as a set, and what was decoded before suppression number by number."""
    keys = (Detections.BOXES, Detections.SCORES, Detections.CLASSES)
    wanted = {key: golden.arrays[f"{prefix}/{key}"] for key in keys}
    ious = box_ops.iou_matrix(detections[Detections.BOXES], wanted[Detections.BOXES]).numpy()
    classes, scores = detections[Detections.CLASSES].numpy(), detections[Detections.SCORES].numpy()
    same = (
        (ious > 0.99)
        & (classes[:, :, np.newaxis] == wanted[Detections.CLASSES][:, np.newaxis])
        & (np.abs(scores[:, :, np.newaxis] - wanted[Detections.SCORES][:, np.newaxis]) < 1e-3)
    )
    assert same.any(axis=1).mean() >= 0.95
    for key in (Detections.NUM, Detections.RAW_BOXES, Detections.RAW_SCORES):
        if golden.has(f"{prefix}/{key}"):
            golden.check(f"{prefix}/{key}", detections[key])


def check_losses(golden, prefix, losses):
    """Compares losses by name."""
    names = golden.names_under(prefix)
    assert names
    for name in names:
        np.testing.assert_allclose(float(losses[name]), golden.arrays[prefix + name], rtol=1e-3, err_msg=name)


@dataclasses.dataclass(frozen=True)
class TrainingStep:
    """What one step of training computes.

    Batch norm in training makes these numbers sensitive: a change of the input's last bit moves gradients of SSD
    MobileNet V1 by 3e-3, and the convolutions of other processors move predictions and gradients further.

    Attributes:
      predictions: {name in goldens: array}.
      losses: {name: number}.
      gradients: norms, in the order of the variables that indices in goldens mean; NaN for those without any.
      statistics: norms of these variables after the step.
    """

    predictions: dict
    losses: dict
    gradients: np.ndarray
    statistics: np.ndarray

    def check_predictions(self, golden):
        """Compares every raw prediction that is stored."""
        check_predictions(golden, "train", self.predictions)

    def check_losses(self, golden):
        """Compares losses by name."""
        check_losses(golden, "train/loss/", self.losses)

    def check_gradients(self, golden, tolerance=1e-3, least=LEAST_NORM):
        """Compares norms of gradients, where they are stored.

        Args:
          golden: a `Golden`.
          tolerance: relative to the norm itself.
          least: fraction of the largest norm; smaller norms are held to a tenth of it.
        """
        if not golden.has("train/grad_norm"):
            return
        norms = golden.arrays["train/grad_norm"]
        threshold = least * norms.max()
        limits = np.where(norms > threshold, tolerance * norms, threshold / 10)
        excess = np.abs(self.gradients[golden.arrays["train/grad_index"]] - norms) / limits
        assert excess.max() <= 1, f"{np.sum(excess > 1)} gradients differ, up to {excess.max():.1f} times the tolerance"

    def check_statistics(self, golden):
        """Compares norms of the moving statistics after the step; those that the detector does without are left out."""
        moved, wanted = self.statistics[golden.arrays["train/moving_index"]], golden.arrays["train/moving_norm_after"]
        is_known = ~np.isnan(moved)
        np.testing.assert_allclose(moved[is_known], wanted[is_known], rtol=1e-4)

    def save(self, path):
        """Writes the numbers to a .npz file."""
        predictions = {f"predict/{name}": value for name, value in self.predictions.items()}
        losses = {f"loss/{name}": value for name, value in self.losses.items()}
        np.savez(path, gradients=self.gradients, statistics=self.statistics, **predictions, **losses)


def load_step(path):
    """The `TrainingStep` in a file that `TrainingStep.save` wrote."""
    with np.load(path) as file:
        arrays = dict(file)
    by_kind = {
        kind: {name.removeprefix(kind): value for name, value in arrays.items() if name.startswith(kind)}
        for kind in ("predict/", "loss/")
    }
    return TrainingStep(by_kind["predict/"], by_kind["loss/"], arrays["gradients"], arrays["statistics"])


def take_step(detector, images, groundtruth, variables=None):
    """A `TrainingStep`.

    Args:
      detector: built for training and filled.
      images: list of uint8 [height, width, 3].
      groundtruth: of the batch of these images.
      variables: the list that indices of variables in goldens mean, None for one that the detector does not have; when
        omitted, the detector's in the order of their keys.
    """
    if variables is None:
        variables = [variable for _, variable in sorted(detector.checkpoint_keys().items())]
    inputs, shapes = (tf.concat(parts, axis=0) for parts in zip(*(detector.preprocess(i[np.newaxis]) for i in images)))
    trained = detector.trainable_variables
    with tf.GradientTape() as tape:
        predictions = detector.predict_raw(inputs, shapes, training=True, groundtruth=groundtruth)
        losses = detector.losses(predictions, groundtruth, training=True)
        total = tf.add_n(list(losses.values()))
    gradients = {id(variable): gradient for variable, gradient in zip(trained, tape.gradient(total, trained))}

    def norm(value):
        return np.nan if value is None else np.linalg.norm(value)

    return TrainingStep(
        predictions={name: np.asarray(value) for name, value in flatten(predictions).items()},
        losses={name: float(value) for name, value in losses.items()},
        gradients=np.array([norm(gradients.get(id(variable))) for variable in variables]),
        statistics=np.array([norm(variable) for variable in variables]),
    )
