"""Labels that may be missing or wrong: a model's detections compared with the boxes of an annotation.

Confident detections without a box may be forgotten objects: the false detections that ruin training are often right. A
box without a matching detection is either hard or wrong. Both are only suspicions, ranked for a person.
"""

import dataclasses

from tfodhelper import box_geometry
from tfodhelper.annotations.structures import Box
from tfodhelper.prediction import detections

MISSING = "missing"  # a confident detection without a box
OTHER_CLASS = "other class"  # a confident detection on a box of another class
UNFOUND = "unfound"  # a box that no detection matches
FLOOR = 0.05  # detections with a lower score are ignored
_FREE_IOU = 0.3  # below this, a detection and a box are unrelated
_SAME_IOU = 0.5
_REPEAT_IOU = 0.6  # of two detections of different classes in one place, the better one counts
_UNFOUND_WEIGHT = 0.25  # a small or hard object is missed more often than its label is wrong


@dataclasses.dataclass(frozen=True)
class Suspect:
    """One suspicion.

    Attributes:
      kind: MISSING, OTHER_CLASS or UNFOUND.
      box: the detection in whole pixels as a `Box`; for UNFOUND, the labelled one.
      score: of the detection; for UNFOUND, the best score of the detections that touch the box at all, 0 if none does.
      labelled: class of the labelled box, or None.
    """

    kind: str
    box: Box
    score: float
    labelled: str | None = None

    @property
    def weight(self):
        """How much it counts towards the rank of its image."""
        return _UNFOUND_WEIGHT * (1.0 - self.score) if self.kind == UNFOUND else self.score


def find_suspects(annotation, predicted, score_threshold=0.5, names=None):
    """Compares the labels of an image with its detections.

    Args:
      annotation: `Annotation` of the image, checked.
      predicted: `detections.ImageDetections` of it, with scores down to `FLOOR`.
      score_threshold: minimum score of a detection that counts as confident.
      names: classes of the set; detections of others are ignored. None: all count.

    Returns:
      List of `Suspect`s, those with the greatest weight first.
    """
    kept = tuple(
        detection
        for detection in predicted.detections
        if detection.score >= FLOOR and (names is None or detection.name in names)
    )
    detected = box_geometry.corners_of(kept)
    overlaps = box_geometry.pairwise_iou(detected, box_geometry.corners_of(annotation.boxes))  # [detections, boxes]
    suspects = _find_confident(annotation, predicted, kept, detected, overlaps, score_threshold)
    for position, box in enumerate(annotation.boxes):
        met = [detection.score for detection, overlap in zip(kept, overlaps[:, position]) if overlap >= _FREE_IOU]
        if not box.difficult and max(met, default=0.0) < 2 * FLOOR:
            suspects.append(Suspect(UNFOUND, box, max(met, default=0.0), box.name))
    return sorted(
        suspects,
        key=lambda suspect: (-suspect.weight, -suspect.box.area, suspect.box.name, suspect.box.xmin, suspect.box.ymin),
    )


def _find_confident(annotation, predicted, kept, detected, overlaps, score_threshold):
    suspects, taken = [], []
    for position in sorted(range(len(kept)), key=lambda p: -kept[p].score):
        detection, row = kept[position], overlaps[position]
        if detection.score < score_threshold:
            break
        if taken and box_geometry.pairwise_iou(detected[[position]], detected[taken]).max() > _REPEAT_IOU:
            continue
        drafted = detections.to_annotation(dataclasses.replace(predicted, detections=(detection,))).boxes
        same = [value for value, box in zip(row, annotation.boxes) if box.name == detection.name]
        if not drafted or max(same, default=0.0) >= _SAME_IOU:
            continue
        best = int(row.argmax()) if len(row) else -1
        if max(row, default=0.0) < _FREE_IOU:
            suspects.append(Suspect(MISSING, drafted[0], float(detection.score)))
            taken.append(position)
        elif row[best] >= _SAME_IOU:
            suspects.append(Suspect(OTHER_CLASS, drafted[0], float(detection.score), annotation.boxes[best].name))
            taken.append(position)
    return suspects


def rank(by_image):
    """Image names, those with the greatest weight of suspicions first.

    Args:
      by_image: {image name: list of `Suspect`s}.

    Returns:
      List of names of the images that have any.
    """
    weights = {
        name: sum(suspect.weight for suspect in image_suspects)
        for name, image_suspects in by_image.items()
        if image_suspects
    }
    return sorted(weights, key=lambda name: (-weights[name], name))
