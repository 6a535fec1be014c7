"""What is found in an image whose classes are known shows one of them, whatever class the detector gave it.

A detector finds things before it can tell them apart: its places are right more often than its classes. So a place
keeps its best box and score, and its class is one that the image is known to show. Images in which the detector is
wrong about the class, which it can learn most from, are not lost then.
"""

import numpy as np

from tfodhelper import box_geometry
from tfodhelper.active_learning.oracles import detections_to_boxes


def name_places(predicted, shown, max_overlap):
    """The places of an image, each with the class that it is known to have.

    The best detection begins a place, and so does each one that no better place overlaps by more than `max_overlap`;
    the others belong to the best place that they overlap so. A place has the class, among those that the image shows,
    that was found there with the best score; if none was, the only one that the image shows. Where it shows several,
    there is no telling.

    Args:
      predicted: `prediction.detections.ImageDetections`.
      shown: set of names, all that the image is known to show.
      max_overlap: maximum intersection over union of two places.

    Returns:
      [(class, or None where there is no telling; `Detection`: the best one at the place, as it was found)], best first.
    """
    detections = sorted(predicted.detections, key=lambda detection: -detection.score)
    corners = np.array([(each.xmin, each.ymin, each.xmax, each.ymax) for each in detections], np.float64).reshape(-1, 4)
    overlaps = box_geometry.pairwise_iou(corners, corners)
    only = next(iter(shown)) if len(shown) == 1 else None
    is_free = np.ones(len(detections), bool)
    places = []
    for row, best in enumerate(detections):
        if not is_free[row]:
            continue
        is_here = is_free & (overlaps[row] > max_overlap)
        is_here[row] = True  # a box without an area does not overlap itself
        is_free &= ~is_here
        names = (detections[member].name for member in np.flatnonzero(is_here))
        places.append((next((name for name in names if name in shown), only), best))
    return places


def choose_draft(question, score_threshold, max_overlap, label_map=None):
    """The boxes of a draft for a person, one per place, see `detections_to_boxes.choose_boxes`.

    Where the classes of the image are known, a box has one of them if there is telling which; otherwise the one that
    was found. An image that is known to show none of the classes has no boxes.

    Args:
      question: a `structures.Question`.
      score_threshold, max_overlap: see `detections_to_boxes.choose_boxes`.
      label_map: the classes that a box may have; None allows all.

    Returns:
      List of (`Box`, score), best first.
    """
    predicted, classes = question.prediction.found, question.image.classes
    if classes == ():
        return []
    shown = set(classes or ())
    if not shown & ({item.name for item in label_map} if label_map is not None else shown):
        return detections_to_boxes.choose_boxes(predicted, score_threshold, max_overlap)
    named = [(name or detection.name, detection) for name, detection in name_places(predicted, shown, max_overlap)]
    chosen = detections_to_boxes.choose_named(predicted, named, score_threshold, max_overlap)
    return [(box, detection.score) for box, detection in chosen]
