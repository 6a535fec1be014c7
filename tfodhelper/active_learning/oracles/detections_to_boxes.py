"""Which detections of an image become boxes: those above a score, one per place."""

import dataclasses

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
    named = [(each.name, each) for each in predicted.detections if names is None or each.name in names]
    return [(box, each.score) for box, each in choose_named(predicted, named, score_threshold, max_overlap)]


def choose_named(predicted, named, score_threshold, max_overlap):
    """Like `choose_boxes`, of detections whose class may be another than the one that was found.

    Args:
      predicted, score_threshold, max_overlap: see `choose_boxes`.
      named: [(class, `Detection`)].

    Returns:
      List of (`Box` of that class, `Detection`), best first.
    """
    wanted = [(name, detection) for name, detection in named if detection.score >= score_threshold]
    chosen, corners = [], np.zeros([0, 4])
    for name, detection in sorted(wanted, key=lambda pair: -pair[1].score):
        box = detections.to_box(detection, predicted.width, predicted.height)
        if box is None:
            continue
        box_corners = box_geometry.corners_of([box])
        if len(chosen) and box_geometry.pairwise_iou(box_corners, corners).max() > max_overlap:
            continue
        chosen.append((box if box.name == name else dataclasses.replace(box, name=name), detection))
        corners = np.concatenate([corners, box_corners])
    return chosen
