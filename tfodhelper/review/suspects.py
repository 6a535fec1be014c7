"""Labels that may be missing or wrong: a model's detections held against the boxes of an annotation.

Confident detections without a box are objects that were perhaps forgotten: the false detections that ruin training are
often right. A box that no detection meets is either hard or wrong. Both are only suspicions, ranked for a person.
"""

import dataclasses

from tfodhelper import box_geometry
from tfodhelper.annotations.structures import Box
from tfodhelper.prediction import detections as results

MISSING = "missing"  # a confident detection without a box
OTHER_CLASS = "other class"  # a confident detection on a box of another class
UNFOUND = "unfound"  # a box that no detection meets
FLOOR = 0.05  # detections of a lower score say nothing
_FREE_IOU = 0.3  # below, a detection and a box have nothing to do with each other
_SAME_IOU = 0.5
_REPEAT_IOU = 0.6  # of two detections of different classes at one place, the better one counts
_UNFOUND_WEIGHT = 0.25  # a small or hard object is unfound more often than its label is wrong


@dataclasses.dataclass(frozen=True)
class Suspect:
    """One suspicion.

    Attributes:
      kind: MISSING, OTHER_CLASS or UNFOUND.
      box: the detection in whole pixels as a `Box`; for UNFOUND the labelled one.
      score: of the detection; for UNFOUND the best score of those that meet the box at all, 0 when none does.
      labelled: class of the box that is there, or None.
    """

    kind: str
    box: Box
    score: float
    labelled: str | None = None

    @property
    def weight(self):
        """How much it counts for the rank of its image."""
        return _UNFOUND_WEIGHT * (1.0 - self.score) if self.kind == UNFOUND else self.score


def find_suspects(annotation, found, score_threshold=0.5, names=None):
    """Compares what is labelled with what was found.

    Args:
      annotation: `Annotation` of the image, checked.
      found: `detections.ImageDetections` of it, with scores down to `FLOOR`.
      score_threshold: least score of a detection that counts as confident.
      names: classes that the set has; detections of others do not count. None: all count.

    Returns:
      List of `Suspect`s, the weightiest first.
    """
    kept = tuple(one for one in found.detections if one.score >= FLOOR and (names is None or one.name in names))
    detected = box_geometry.corners_of(kept)
    overlaps = box_geometry.pairwise_iou(detected, box_geometry.corners_of(annotation.boxes))  # [detections, boxes]
    suspects = _find_confident(annotation, found, kept, detected, overlaps, score_threshold)
    for position, box in enumerate(annotation.boxes):
        met = [one.score for one, overlap in zip(kept, overlaps[:, position]) if overlap >= _FREE_IOU]
        if not box.difficult and max(met, default=0.0) < 2 * FLOOR:
            suspects.append(Suspect(UNFOUND, box, max(met, default=0.0), box.name))
    return sorted(suspects, key=lambda one: (-one.weight, -one.box.area, one.box.name, one.box.xmin, one.box.ymin))


def _find_confident(annotation, found, kept, detected, overlaps, score_threshold):
    suspects, taken = [], []
    for position in sorted(range(len(kept)), key=lambda p: -kept[p].score):
        one, row = kept[position], overlaps[position]
        if one.score < score_threshold:
            break
        if taken and box_geometry.pairwise_iou(detected[[position]], detected[taken]).max() > _REPEAT_IOU:
            continue
        drafted = results.to_annotation(dataclasses.replace(found, detections=(one,))).boxes
        same = [value for value, box in zip(row, annotation.boxes) if box.name == one.name]
        if not drafted or max(same, default=0.0) >= _SAME_IOU:
            continue
        best = int(row.argmax()) if len(row) else -1
        if max(row, default=0.0) < _FREE_IOU:
            suspects.append(Suspect(MISSING, drafted[0], float(one.score)))
            taken.append(position)
        elif row[best] >= _SAME_IOU:
            suspects.append(Suspect(OTHER_CLASS, drafted[0], float(one.score), annotation.boxes[best].name))
            taken.append(position)
    return suspects


def rank(by_image):
    """Image names, those with the weightiest suspicions first.

    Args:
      by_image: {image name: list of `Suspect`s}.

    Returns:
      List of names of the images that have any.
    """
    weights = {name: sum(one.weight for one in found) for name, found in by_image.items() if found}
    return sorted(weights, key=lambda name: (-weights[name], name))
