"""The boxes that a detection comes from, and the frames in which they are.

Shape letters: A anchors, P proposals.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfodhelper import box_geometry
from tfodhelper.fields import Detections, Predictions

SAME_OBJECT = 0.5  # IoU from which on two boxes are of the same object
_MOST_RIVALS = 10


@dataclasses.dataclass(frozen=True)
class Frame:
    """The frames of one image; sizes are (height, width) in pixels.

    Attributes:
      model: of the padded model input.
      true: of the image in it, without padding.
      stored: of the stored image.
    """

    model: tuple
    true: tuple
    stored: tuple

    def to_stored(self, boxes):
        """Boxes [N, 4] normalized to the padded model input -> float64 [N, 4], pixels of the stored image."""
        scale = np.array(self.model, np.float64) / self.true * self.stored
        return np.asarray(boxes, np.float64).reshape(-1, 4) * np.tile(scale, 2)

    def map_to_stored(self, values):
        """[h, w] over the padded model input -> float32 [height, width] of the stored image, bilinear."""
        inputs = tf.image.resize(tf.cast(values, tf.float32)[..., tf.newaxis], self.model)
        true = inputs[: self.true[0], : self.true[1]]
        return tf.image.resize(true, self.stored)[..., 0].numpy()

    def paste(self, values, box):
        """[h, w] over a box [ymin, xmin, ymax, xmax] -> float32 of the stored image, 0 outside of the box."""
        low = np.clip(np.floor(box[:2]), 0, np.array(self.stored) - 1).astype(int)
        high = np.clip(np.ceil(box[2:]), low + 1, self.stored).astype(int)
        whole = np.zeros(self.stored, np.float32)
        patch = tf.image.resize(tf.cast(values, tf.float32)[..., tf.newaxis], high - low)
        whole[low[0] : high[0], low[1] : high[1]] = patch[..., 0].numpy()
        return whole


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a detection was made of; boxes are float64 [ymin, xmin, ymax, xmax], pixels of the stored image.

    Attributes:
      index: row of the anchor, or of the proposal in detectors of two stages.
      kind: "anchor" or "proposal": what `start` is.
      start: the box that was corrected to the detection.
      anchor: of a proposal, the anchor that it was made of; None for detectors of one stage.
      rivals: [N, 4], corrected boxes of other rows for the same object, which suppression removed, best first.
      rival_scores: [N], their scores for the class of the detection.
    """

    index: int
    kind: str
    start: np.ndarray
    anchor: np.ndarray | None
    rivals: np.ndarray
    rival_scores: np.ndarray


def find_origin(detector, predictions, detections, row, frame):
    """The `Origin` of a detection.

    Args:
      detector: a `Detector`.
      predictions, detections: of one image, from `predict_raw` and `postprocess`.
      row: of the detection.
      frame: a `Frame`.
    """
    index = int(detections[Detections.ANCHOR_INDICES][0, row])
    starts, kind, anchor = _anchors(predictions, frame), "anchor", None
    if Predictions.CLASSIFIER_FEATURES in predictions:
        anchor = starts[int(predictions[Predictions.PROPOSAL_ANCHORS][0, index])]
        starts, kind = frame.to_stored(predictions[Predictions.PROPOSALS][0]), "proposal"
    rivals, scores = _rivals(detector, detections, row, frame)
    return Origin(index, kind, starts[index], anchor, rivals, scores)


def _anchors(predictions, frame):
    """float64 [A, 4], pixels of the stored image; those of two stages are in pixels of the model input."""
    anchors = np.array(predictions[Predictions.ANCHORS], np.float64)
    if Predictions.RPN_LOGITS in predictions:
        anchors = anchors / np.tile(frame.model, 2)
    return frame.to_stored(anchors)


def _rivals(detector, detections, row, frame):
    raw = np.array(detections[Detections.RAW_BOXES][0], np.float64)
    boxes = raw * np.tile(frame.stored, 2) if detector.single_shot_output() is None else frame.to_stored(raw)
    box = np.array(detections[Detections.BOXES][0, row], np.float64)[None] * np.tile(frame.stored, 2)
    scores = detections[Detections.RAW_SCORES][0].numpy()
    column = score_column(detector, int(detections[Detections.CLASSES][0, row]))
    is_rival = box_geometry.pairwise_iou(boxes, box)[:, 0] >= SAME_OBJECT
    is_rival[int(detections[Detections.ANCHOR_INDICES][0, row])] = False
    rows = np.flatnonzero(is_rival)
    rows = rows[np.argsort(-scores[rows, column], kind="stable")][:_MOST_RIVALS]
    return boxes[rows], scores[rows, column]


def score_column(detector, class_index):
    """The column of a class, from 0, in the raw scores: one stage may have none for the background, two always do."""
    output = detector.single_shot_output()
    return class_index + (1 if output is None else output.num_background_columns)
