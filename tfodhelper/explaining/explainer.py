"""What a detection comes from: a heat map of its score over a layer, and the boxes that led to it.

Heat maps: Selvaraju et al. 2017, "Grad-CAM", section 3 (arXiv 1610.02391), which weights whole channels, and Jiang et
al. 2021, "LayerCAM", section III (IEEE Transactions on Image Processing 30), which weights each position by its own
positive gradient and so keeps apart objects of one class. Shape letters: B batch (here 1), A anchors or proposals, K
classes.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfodhelper import box_geometry, errors
from tfodhelper.explaining import layer_outputs, origins
from tfodhelper.explaining.options import GRAD_CAM, LAYER_CAM
from tfodhelper.fields import Detections, Predictions
from tfodhelper.prediction import detections as found

_FINE_STRIDE = 8  # pixels of the model input between the positions of the layer that is shown by default
_BACKBONE = "backbone"  # the attribute of all families for the layers from pixels to features
_LOGITS = (Predictions.CLASS_LOGITS, Predictions.RPN_LOGITS)


@dataclasses.dataclass(frozen=True)
class Heat:
    """Where in an image the score of a detection comes from.

    Attributes:
      layer: name of the map that it was computed from.
      values: float32 [height, width] of the stored image, 0..1; the largest value is 1 unless all are 0.
    """

    layer: str
    values: np.ndarray


@dataclasses.dataclass(frozen=True)
class Explanation:
    """One detection and what it comes from.

    Attributes:
      detection: a `prediction.detections.Detection`, in pixels of the stored image.
      heat: a `Heat`.
      origin: an `origins.Origin`.
    """

    detection: found.Detection
    heat: Heat
    origin: origins.Origin


class Explainer:
    """Explains what a detector finds.

    Args:
      detector: a `Detector` with its weights.
      names: {class id from 1: name}.
      layer: name of a map, see `layers`; None: chosen for each detection.
      method: a key of `options.METHODS`.

    Raises:
      UsageError: there is no such layer.
    """

    def __init__(self, detector, names, layer=None, method=LAYER_CAM):
        self._detector, self._names, self._method = detector, names, method
        self._map_name, self._layers = layer, layer_outputs.find_layers(detector)
        if layer is not None:
            self._layers = layer_outputs.choose(self._layers, layer)
        else:
            self._layers = [named for named in self._layers if _is_main_step(named.name)]
        self._predict = tf.function(
            self._predict_one, input_signature=[tf.TensorSpec([1, None, None, 3], tf.uint8)], autograph=False
        )

    def layers(self, image):
        """{name: shape} of the maps that layers give for an image, in the order in which they are computed.

        Args:
          image: uint8 [height, width, 3], RGB.
        """
        with layer_outputs.recorded(layer_outputs.find_layers(self._detector)) as outputs:
            inputs, shapes = self._detector.preprocess(image[None])
            self._detector.predict_raw(inputs, shapes)
        return {name: tuple(tensor.shape) for name, tensor in layer_outputs.name_maps(outputs).items()}

    def explain(self, image, score_threshold=0.3, max_detections=5):
        """Explains the detections of an image.

        Args:
          image: uint8 [height, width, 3], RGB, the stored frame.
          score_threshold: detections with a lower score are left out.
          max_detections: how many are explained, the best first.

        Returns:
          (list of `Explanation`s, {name of a map: float32 [h, w, c]}: the maps of the layer that was chosen, or those
          that heat maps were computed from).

        Raises:
          UsageError: no gradient comes from the score of a detection to the chosen layer.
        """
        with layer_outputs.recorded(self._layers) as outputs, tf.GradientTape(persistent=True) as tape:
            inputs, shapes = self._detector.preprocess(image[None])
            tape.watch(inputs)
            predictions = self._detector.predict_raw(inputs, shapes)
            detections = self._detector.postprocess(predictions, shapes)
            maps = self._chosen(layer_outputs.name_maps(outputs))
            rows = self._rows(detections, score_threshold, max_detections)
            targets = [self._target(predictions, detections, row) for row in rows]
        frame = origins.Frame(tuple(inputs.shape[1:3]), tuple(shapes[0, :2].numpy()), image.shape[:2])
        detected = self._to_detections(detections, rows, frame)
        explanations = []
        for row, target, detection in zip(rows, targets, detected):
            origin = origins.find_origin(self._detector, predictions, detections, row, frame)
            heat = self._heat(tape, target, maps, frame, origin)
            explanations.append(Explanation(detection, heat, origin))
        del tape
        used = set(maps) if self._map_name is not None or not rows else {each.heat.layer for each in explanations}
        return explanations, {name: maps[name][0].numpy() for name in maps if name in used}

    def score_of(self, image, detection):
        """How sure the detector is of an object in another image, such as one with hidden parts.

        Args:
          image: uint8 [height, width, 3], of the size of the image of the detection.
          detection: a `Detection`.

        Returns:
          The highest score of a detection of its class that overlaps it by half; 0.0 without one.
        """
        boxes, scores, classes = (values[0].numpy() for values in self._predict(tf.constant(image[None])))
        boxes = boxes * np.tile(image.shape[:2], 2)
        box = np.array([[detection.ymin, detection.xmin, detection.ymax, detection.xmax]])
        is_same = box_geometry.pairwise_iou(boxes, box)[:, 0] >= origins.SAME_OBJECT
        return float(np.max(scores[is_same & (classes + 1 == detection.id)], initial=0.0))

    def _predict_one(self, images):
        inputs, shapes = self._detector.preprocess(images)
        detections = self._detector.postprocess(self._detector.predict_raw(inputs, shapes), shapes)
        return detections[Detections.BOXES], detections[Detections.SCORES], detections[Detections.CLASSES]

    def _chosen(self, maps):
        if self._map_name is None:
            return {name: maps[name] for name in maps if not _is_side_output(name)}
        return layer_outputs.select(maps, self._map_name)

    def _rows(self, detections, score_threshold, max_detections):
        """Rows of the detections that are explained."""
        num = int(detections[Detections.NUM][0])
        scores = detections[Detections.SCORES][0, :num].numpy()
        return np.flatnonzero(scores >= score_threshold)[:max_detections].tolist()

    def _target(self, predictions, detections, row):
        """The logit of a detection, which unlike its score is never saturated."""
        index = int(detections[Detections.ANCHOR_INDICES][0, row])
        column = origins.score_column(self._detector, int(detections[Detections.CLASSES][0, row]))
        logits = next(predictions[key] for key in _LOGITS if key in predictions)
        return tf.reshape(logits, tf.shape(detections[Detections.RAW_SCORES]))[0, index, column]

    def _to_detections(self, detections, rows, frame):
        boxes = np.array(detections[Detections.BOXES][0])[rows] * np.tile(frame.stored, 2)
        classes = np.array(detections[Detections.CLASSES][0])[rows] + 1
        return found.from_arrays(boxes, classes, self._names, np.array(detections[Detections.SCORES][0])[rows])

    def _heat(self, tape, target, maps, frame, origin):
        gradients = tape.gradient(target, maps)
        reached = {name: gradient for name, gradient in gradients.items() if _is_reached(gradient)}
        if not reached:
            raise errors.UsageError(
                f"--layer={self._map_name}: the score of a detection does not depend on this layer",
                fix="choose a layer before the one that gives the score; --list_layers prints them in order",
            )
        name = self._map_name if self._map_name in reached else _choose_map(reached, frame)
        values = _weigh(maps[name], gradients[name], self._method)
        return Heat(name, _to_stored(values, maps[name], frame, origin))


def _is_main_step(name):
    """Whether a layer is the backbone or one of the steps that it runs one after another, not a branch in one."""
    _, is_of_backbone, path = f".{name}.".partition(f".{_BACKBONE}.")
    return bool(is_of_backbone) and sum(not part.isdecimal() for part in path.split(".") if part) <= 1


def _is_side_output(name):
    """Whether a step gives this map besides its result; all maps of the backbone itself are results."""
    layer, _, index = name.partition(":")
    return index not in ("", "0") and not layer.endswith(_BACKBONE)


def _is_reached(gradient):
    return gradient is not None and bool(tf.reduce_any(gradient != 0.0))


def _choose_map(gradients, frame):
    """The last map that has a position for every 8 pixels; if all are coarser, the first of the finest ones.

    Maps of crops, of which a second stage has one for each proposal, are left out where others are reached.
    """
    whole = {name: gradient for name, gradient in gradients.items() if gradient.shape[0] == 1} or gradients
    heights = {name: int(gradient.shape[1]) for name, gradient in whole.items()}
    least = -(-frame.model[0] // _FINE_STRIDE)
    fine = [name for name, height in heights.items() if height >= least]
    return fine[-1] if fine else max(heights, key=heights.get)


def _weigh(activations, gradients, method):
    """float32 [B, h, w]: the sum over the channels of activation times weight, where it is positive."""
    gradients, activations = tf.cast(gradients, tf.float32), tf.cast(activations, tf.float32)
    is_by_channel = method == GRAD_CAM
    weights = tf.reduce_mean(gradients, axis=[1, 2], keepdims=True) if is_by_channel else tf.nn.relu(gradients)
    return tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1))


def _to_stored(values, activations, frame, origin):
    """[B, h, w] over the model input, or over each crop -> float32 [height, width] of the stored image, at most 1."""
    if activations.shape[0] == 1:
        stored = frame.map_to_stored(values[0])
    else:
        stored = frame.paste(values[origin.index], origin.start)
    peak = float(np.max(stored, initial=0.0))
    return stored / peak if peak > 0 else stored
