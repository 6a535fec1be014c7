"""Which detections of an image become boxes: those above a score, one per place."""

import numpy as np

from tfodhelper import box_geometry
from tfodhelper.prediction import detections


def choose_boxes(predicted, score_threshold, max_overlap, names=None):
    """Chooses boxes from an image's detections.

    A detection that overlaps a better one, whatever its class, by more than `max_overlap` is left out, and so is one
    that has no area in whole pixels.

    Args:
      predicted: `prediction.detections.ImageDetections`.
      score_threshold: minimum score.
      max_overlap: maximum intersection over union of two boxes.
      names: the wanted classes; None for all.

    Returns:
      List of (`annotations.structures.Box` in whole pixels of the stored image, score), best first.
    """
    return [(box, detection.score) for box, detection in choose(predicted, score_threshold, max_overlap, names)]


def choose(predicted, score_threshold, max_overlap, names=None):
    """Like `choose_boxes`, but returns pairs of the box and its detection."""
    wanted = [
        detection
        for detection in predicted.detections
        if detection.score >= score_threshold and (names is None or detection.name in names)
    ]
    chosen, corners = [], np.zeros([0, 4])
    for detection in sorted(wanted, key=lambda detection: -detection.score):
        box = detections.to_box(detection, predicted.width, predicted.height)
        if box is None:
            continue
        box_corners = box_geometry.corners_of([box])
        if len(chosen) and box_geometry.pairwise_iou(box_corners, corners).max() > max_overlap:
            continue
        chosen.append((box, detection))
        corners = np.concatenate([corners, box_corners])
    return chosen
