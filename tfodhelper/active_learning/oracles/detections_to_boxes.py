"""Which detections of an image become boxes: those above a score, one for each place."""

import numpy as np

from tfodhelper import box_geometry
from tfodhelper.prediction import detections as results


def choose_boxes(found, score_threshold, max_overlap, names=None):
    """Boxes of an image's detections.

    A detection that overlaps a better one, of whatever class, by more than `max_overlap` is left out, and so is one
    that has no area in whole pixels.

    Args:
      found: `prediction.detections.ImageDetections`.
      score_threshold: least score.
      max_overlap: greatest intersection over union of two boxes.
      names: the classes that are asked for; None for all.

    Returns:
      List of (`annotations.structures.Box` in whole pixels of the stored image, score), best first.
    """
    wanted = [one for one in found.detections if one.score >= score_threshold and (names is None or one.name in names)]
    chosen, corners = [], np.zeros([0, 4])
    for one in sorted(wanted, key=lambda one: -one.score):
        box = results.to_box(one, found.width, found.height)
        if box is None:
            continue
        place = box_geometry.corners_of([box])
        if len(chosen) and box_geometry.pairwise_iou(place, corners).max() > max_overlap:
            continue
        chosen.append((box, one.score))
        corners = np.concatenate([corners, place])
    return chosen
