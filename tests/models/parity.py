"""Compares a detector with numbers that the OD API computed.

Tolerances: anchors, preprocessed images and true shapes 1e-5 of the largest value; other tensors 1e-4 of the largest
value, or ten times what the tensor moves when the input moves by 1e-6, but no more than 1 % of the largest value; mean,
standard deviation, least and largest value of a whole tensor the same; losses 1e-3. Detections: at least 95 % found
again, of the same class and anchor, with an intersection over union above 0.99 and a score within 1e-3; the leading
ones that do not depend on the last bits in the same order, unless their scores are within 1e-5 of the largest one.

A crop ends where the map does: with the last bit of a proposal at the border its outermost points are 0 or not. So the
second stage is compared at the stored proposals, after these were found again among the detector's own.

Every number that is stored is compared, else the check fails; `Golden.in_part` says of which tensors some rows are not.
"""

import pathlib

import numpy as np
import tensorflow as tf
from google.protobuf import text_format

from tests.golden import formula
from tfodhelper import protos
from tfodhelper.fields import Detections, Groundtruth, Inputs, Predictions
from tfodhelper.models import build
from tfodhelper.ops import boxes as box_ops

_FOLDER = pathlib.Path(__file__).parents[1] / "golden"
_PARTS = ("/indices", "/values", "/shape", "/stats")  # of a tensor that is stored in part
EXACT = (Predictions.ANCHORS, "preprocessed", "true_image_shapes")
MOST_NOISE = 0.01  # of a tensor's largest value
NEAR_SCORES = 1e-5  # of the largest score: detections that are nearer have no order
LEAST_FOUND = 0.95  # of proposals and of detections


class Golden:
    """Reads stored tensors; large ones are stored at a fixed set of positions, with statistics of the whole.

    Args:
      arrays: {name: array}.
      noise: {name of a prediction: how far it moves with the input's last bits}.
      num_stable: how many leading detections of img0 stay in order with other last bits.

    Attributes:
      compared: names of the tensors that were compared.
      in_part: {name: why not all of it was compared}.
    """

    def __init__(self, arrays, noise=None, num_stable=0):
        self.arrays, self._noise, self.num_stable = arrays, noise or {}, num_stable
        self.compared, self.in_part = set(), {}

    def check(self, name, value):
        """Asserts that a tensor is the stored one within its tolerance; rows that are NaN have no counterpart."""
        value = np.asarray(value, np.float64)
        assert value.shape == self.shape(name), f"{name}: expected the shape {self.shape(name)}; received {value.shape}"
        is_in_part = f"{name}/indices" in self.arrays
        stored = value.reshape(-1)[self.arrays[f"{name}/indices"]] if is_in_part else value
        wanted = np.asarray(self.arrays[f"{name}/values" if is_in_part else name], np.float64)
        wanted = np.where(np.isnan(stored), np.nan, wanted)
        assert not np.all(np.isnan(stored)) or not stored.size, f"{name}: nothing has a counterpart"
        tolerance = self._tolerance(name, np.nanmax(np.abs(wanted), initial=0.0))
        assert_near(stored, wanted, tolerance, name)
        self.compared.add(name)
        if np.any(np.isnan(value)):
            self.in_part[name] = f"{np.mean(np.isnan(value)):.1%} of the numbers have no counterpart"
        elif f"{name}/stats" in self.arrays:
            stats = self.arrays[f"{name}/stats"]
            tolerance = self._tolerance(name, np.abs(stats[2:]).max())
            ours = [value.mean(), value.std(), value.min(), value.max()]
            np.testing.assert_allclose(
                ours, stats, rtol=0, atol=tolerance, err_msg=f"{name}: mean, std, least, largest"
            )

    def _tolerance(self, name, largest):
        leaf = name.split("/")[-1]
        noise = min(10 * self._noise.get(leaf, 0), MOST_NOISE * largest)
        return max((1e-5 if leaf in EXACT else 1e-4) * largest, noise)

    def shape(self, name):
        """Of a stored tensor, the whole of it."""
        return tuple(self.arrays[f"{name}/shape"]) if f"{name}/shape" in self.arrays else self.arrays[name].shape

    def has(self, name):
        """Whether a tensor is stored, whole or in part."""
        return name in self.arrays or f"{name}/indices" in self.arrays

    def names_under(self, prefix):
        """Stored tensors with this prefix, without it."""
        names = {name.removesuffix(part) for name in self.arrays for part in _PARTS if name.endswith(part)}
        names |= {name for name in self.arrays if not name.endswith(_PARTS)}
        return sorted(name.removeprefix(prefix) for name in names if name.startswith(prefix))


def assert_near(values, wanted, tolerance, name):
    """Asserts that no value is further from the wanted one than a tolerance, NaN apart."""
    distances = np.abs(values - wanted)
    is_far = ~(distances <= tolerance) & ~(np.isnan(values) & np.isnan(wanted))
    assert not is_far.any(), (
        f"{name}: {is_far.sum()} of {is_far.size} values differ by up to {distances[is_far].max():.3g}, tolerance "
        f"{tolerance:.3g}"
    )


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
    columns = zip(*(groundtruth(variant, num_classes) for variant in variants))
    names = (Groundtruth.BOXES, Groundtruth.CLASSES, Groundtruth.WEIGHTS, Groundtruth.MASKS)
    return {name: tf.constant(np.stack(column)) for name, column in zip(names, columns)}


OF_PROPOSALS = (  # tensors with a row for each proposal
    Predictions.PROPOSALS,
    Predictions.PROPOSALS_PX,
    Predictions.CLASSIFIER_FEATURES,
    Predictions.REFINED_BOX_CODES,
    Predictions.CLASS_LOGITS,
    Predictions.MASK_LOGITS,
    Detections.RAW_BOXES,
    Detections.RAW_SCORES,
)
_MATCHED = (Detections.BOXES, Detections.SCORES, Detections.CLASSES, Detections.ANCHOR_INDICES)


class Order:
    """The order of the stored proposals, which near ties may have changed.

    Args:
      ours: float32 [B, P, 4], proposals of the detector.
      wanted: float32 [B, P, 4], those that are stored.

    Attributes:
      rows: int [B, P], our row for each stored one.
      is_found: bool [B, P], whether there is one; at least `LEAST_FOUND` of them.
    """

    def __init__(self, ours, wanted):
        num_rows = wanted.shape[1]
        distances = np.abs(np.asarray(ours)[:, np.newaxis] - wanted[:, :, np.newaxis]).max(axis=-1)  # [B, wanted, ours]
        distances += np.where(np.arange(num_rows)[:, np.newaxis] == np.arange(num_rows), 0, 1e-9)  # equal ones stay
        self.rows, self.is_found = distances.argmin(axis=-1), distances.min(axis=-1) < 0.02
        assert self.is_found.mean() >= LEAST_FOUND, f"{self.is_found.mean():.1%} of the proposals are found again"

    def apply(self, values):
        """Brings tensors of `OF_PROPOSALS` in a dict into the stored order, as arrays; NaN without a counterpart."""
        of_proposals = [key for key in OF_PROPOSALS if key in values]
        if is_rfcn(values):  # its features are of the image
            of_proposals.remove(Predictions.CLASSIFIER_FEATURES)
        return values | {key: take_rows(values[key], self.rows, self.is_found) for key in of_proposals}


def is_rfcn(predictions):
    """Whether predictions are of an R-FCN, whose last features do not belong to proposals."""
    features = predictions.get(Predictions.CLASSIFIER_FEATURES)
    return features is not None and len(features) != len(predictions[Predictions.CLASS_LOGITS])


def take_rows(value, rows, is_found):
    """Rows of [B, D, ...] or [B * D, ...] in the order of `rows` [B, D]; NaN where there is none.

    Returns:
      float64, shaped as the tensor.
    """
    value = np.asarray(value, np.float64)
    by_image = np.take_along_axis(value.reshape(*rows.shape, -1), rows[..., np.newaxis], axis=1)
    return np.where(is_found[..., np.newaxis], by_image, np.nan).reshape(value.shape)


def find_order(golden, prefix, predictions):
    """The `Order` of the proposals, or None for a detector without any."""
    if Predictions.PROPOSALS_PX not in predictions:
        return None
    wanted = golden.arrays[f"{prefix}/predict/{Predictions.PROPOSALS_PX}"]
    return Order(predictions[Predictions.PROPOSALS_PX], wanted)


def check_predictions(golden, prefix, predictions, order, others=()):
    """Compares every raw prediction that is stored.

    Args:
      golden: a `Golden`.
      prefix: of its names.
      predictions: {key: tensor or list of tensors}.
      order: from `find_order`.
      others: what is stored there besides.
    """
    values = add_second_names(flatten(predictions if order is None else order.apply(predictions)))
    names = set(golden.names_under(prefix)) - set(others)
    assert len(names) >= 2 and names <= set(values), f"nothing to compare with {names - set(values)}"
    for name in sorted(names):
        golden.check(prefix + name, values[name])


def add_second_names(values):
    """The OD API returns some tensors twice: what the second stage crops, and the boxes that the last codes are of."""
    maps = {name: value for name, value in values.items() if name.startswith(f"{Predictions.FEATURE_MAPS}[")}
    of_codes = values.get(Predictions.PROPOSALS_PX if is_rfcn(values) else Predictions.PROPOSALS)
    if of_codes is None:
        anchors = np.asarray(values[Predictions.ANCHORS])
        of_codes = np.broadcast_to(anchors, (len(values[Predictions.CLASS_LOGITS]), *anchors.shape))
    second = {name.replace(Predictions.FEATURE_MAPS, "rpn_features_to_crop"): value for name, value in maps.items()}
    return values | second | {"final_anchors": of_codes}


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
    order = find_order(golden, name, predictions)
    detections = detect(detector, predictions, shapes)
    num_stable = golden.num_stable if name == "img0" else 0
    if order is not None:
        golden.check(f"{name}/predict/{Predictions.PROPOSALS_PX}", order.apply(predictions)[Predictions.PROPOSALS_PX])
        stored = {
            key: golden.arrays[f"{name}/postprocess/{key}"]
            for key in golden.names_under(f"{name}/postprocess/")
            if key in _MATCHED
        }
        check_same_detections(find_own(stored, detector, predictions, detections, shapes, order), stored)
        predictions = predict_at_stored_proposals(golden, name, detector, predictions)
        detections, order = detect(detector, predictions, shapes), find_order(golden, name, predictions)
    if Detections.MASKS in detections:
        return predictions | check_masks(golden, name, detector, predictions, detections, shapes, order, num_stable)
    check_predictions(golden, f"{name}/predict/", predictions, order)
    check_detections(golden, f"{name}/postprocess/", detections, order, num_stable)
    return predictions


_DETECTIONS = frozenset(value for name, value in vars(Detections).items() if name.isupper())
_OF_MASKS = (Detections.MASKS, Predictions.MASK_LOGITS)


def check_masks(golden, name, detector, predictions, detections, shapes, order, num_stable):
    """Predictions and detections of a detector of masks, which the OD API both returns twice.

    The OD API cuts out what the masks are predicted from at boxes that are normalized to the true image, as if they
    were normalized to the padded one. The detector does not; but where these are the same its masks have to be the
    stored ones, except of boxes at the border, and everywhere those that it predicts at the boxes of the OD API.

    Returns:
      What the OD API's losses are of: detections in the frame of the padded image, with their masks.
    """
    for stage in ("predict", "postprocess"):
        prefix = f"{name}/{stage}/"
        check_predictions(golden, prefix, predictions, order, others=_DETECTIONS.union(_OF_MASKS))
        own = {key: value for key, value in detections.items() if key not in _OF_MASKS}
        check_detections(golden, prefix, own, order, num_stable, names=_DETECTIONS.difference(_OF_MASKS))
    found = {key: golden.arrays[f"{name}/predict/{key}"] for key in (*_MATCHED, Detections.NUM)}
    logits, masks = detector.region_head.predict_masks(predictions, found[Detections.BOXES], found[Detections.CLASSES])
    found |= {Predictions.MASK_LOGITS: logits, Detections.MASKS: masks}
    padded = predictions[Predictions.IMAGE_SHAPE].numpy()[1:3]
    found[Inputs.TRUE_IMAGE_SHAPE] = tf.constant(np.broadcast_to([*padded, 3], shapes.shape))
    names = [(f"{name}/{stage}/{key}", key) for stage in ("predict", "postprocess") for key in _OF_MASKS]
    if np.all(shapes[:, :2] == padded):
        same = find_same(found, detections, order)
        same &= np.all((found[Detections.BOXES] > 0) & (found[Detections.BOXES] < 1), axis=2, keepdims=True)
        for stored, key in names:
            golden.check(stored, take_rows(detections[key], same.argmax(axis=2), same.any(axis=2)))
            golden.in_part.pop(stored, None)
    for stored, key in names:
        golden.check(stored, found[key])
    return found


def detect(detector, predictions, shapes):
    """{key: array}, what the detector finds."""
    return {key: np.asarray(value) for key, value in detector.postprocess(predictions, shapes).items()}


_LAST_BITS = 1e-6


def find_own(stored, detector, predictions, detections, shapes, order):
    """`find_same` for what a detector of two stages finds at its own proposals.

    A point of a crop that lies on the border of a map is inside or outside by the last bit of a proposal, which differs
    between processors. So a detection may also be found at proposals that are moved by last bits, to either side.
    """
    same = find_same(stored, detections, order)
    of_first_stage = predictions[Predictions.FEATURE_MAPS], predictions[Predictions.IMAGE_SHAPE]
    for factor in (1 - _LAST_BITS, 1 + _LAST_BITS):
        if same.any(axis=2).mean() >= LEAST_FOUND:
            break
        moved = predictions[Predictions.PROPOSALS_PX] * factor
        moved = predictions | detector.region_head.predict(*of_first_stage, moved, training=False)
        same |= find_same(stored, detect(detector, moved, shapes), order)
    return same


def predict_at_stored_proposals(golden, prefix, detector, predictions):
    """Predictions of the same first stage, and of the second one at the stored proposals."""
    stored = tf.constant(golden.arrays[f"{prefix}/predict/{Predictions.PROPOSALS_PX}"])
    of_first_stage = predictions[Predictions.FEATURE_MAPS], predictions[Predictions.IMAGE_SHAPE]
    return predictions | detector.region_head.predict(*of_first_stage, stored, training=False)


def check_detections(golden, prefix, detections, order, num_stable=0, names=None):
    """Compares detections as a set, their scores of all classes, and what was decoded before suppression.

    Args:
      golden: a `Golden`.
      prefix: of its names.
      detections: {key: array}, each stored one among them.
      order: from `find_order`.
      num_stable: how many of the first have to be in the stored order.
      names: what is compared of what is stored; None: all.
    """
    stored = golden.names_under(prefix)
    wanted = {name: golden.arrays.get(prefix + name) for name in stored if names is None or name in names}
    same = find_same(wanted, detections, order)
    check_same_detections(same, wanted, num_stable)
    rows, is_found = same.argmax(axis=2), same.any(axis=2)
    golden.compared.update(prefix + key for key in _MATCHED if key in wanted)
    values = detections if order is None else order.apply(detections)
    if Detections.MULTICLASS_SCORES in wanted:
        values = values | {
            Detections.MULTICLASS_SCORES: take_rows(values[Detections.MULTICLASS_SCORES], rows, is_found)
        }
    for key in wanted.keys() - set(_MATCHED):
        golden.check(prefix + key, values[key])


def check_same_detections(same, wanted, num_stable=0):
    """Asserts that nearly all stored detections are found again, the first ones in their order; see `find_same`."""
    share = same.any(axis=2).mean()
    assert share >= LEAST_FOUND, f"{share:.1%} of the detections are found again"
    stored = wanted[Detections.SCORES]
    may_swap = np.abs(stored[:, :, np.newaxis] - stored[:, np.newaxis]) <= NEAR_SCORES * stored.max()
    assert (same & may_swap)[:, :num_stable].any(axis=2).all(), "the first detections are in another order"


def find_same(wanted, detections, order):
    """bool [B, wanted, ours]: which detections are the same; with an `Order`, anchors are rows of proposals."""
    ious = box_ops.iou_matrix(wanted[Detections.BOXES], detections[Detections.BOXES]).numpy()
    classes, scores = (
        (wanted[key][:, :, np.newaxis], detections[key][:, np.newaxis])
        for key in (Detections.CLASSES, Detections.SCORES)
    )
    same = (ious > 0.99) & (classes[0] == classes[1]) & (np.abs(scores[0] - scores[1]) < 1e-3)
    if Detections.ANCHOR_INDICES in wanted:
        anchors = wanted[Detections.ANCHOR_INDICES]
        if order is not None:
            anchors = np.take_along_axis(order.rows, anchors, axis=1)
        same &= anchors[:, :, np.newaxis] == detections[Detections.ANCHOR_INDICES][:, np.newaxis]
    return same


def check_losses(golden, prefix, losses):
    """Compares losses by name; there are no others."""
    names = golden.names_under(prefix)
    assert set(names) == set(losses)
    for name in names:
        wanted = golden.arrays[prefix + name]
        assert_near(np.float64(losses[name]), wanted, 1e-3 * abs(wanted), prefix + name)
        golden.compared.add(prefix + name)
