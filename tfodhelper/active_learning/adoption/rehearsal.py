"""What would be adopted if the validation images, whose objects are known, were images of the pool."""

import dataclasses
import itertools
import math

import numpy as np

from tfodhelper import box_geometry
from tfodhelper.active_learning.adoption import box_worth, class_worth
from tfodhelper.active_learning.oracles import detections_to_boxes, zones
from tfodhelper.active_learning.structures import ADOPTED, PoolImage, Prediction, Question
from tfodhelper.prediction.detections import Detection, ImageDetections

_MAX_OVERLAP = 0.5  # of two boxes of an image, where the oracle has no rule of its own


def rehearse(oracle, images, score_threshold):
    """Asks an oracle about the validation images, as if their classes, and nothing else, were known.

    Args:
      oracle: one whose answers follow from the question alone; see `oracles`.
      images: `metrics.detection_set.DetectionSet`, of the round's model.
      score_threshold: detections with a lower score are left out, as in the pool.

    Returns:
      `box_worth.Proposed`.
    """
    adopted = []
    for index, answer in enumerate(oracle.ask(_questions(images, score_threshold))):
        boxes = list(zip(answer.annotation.boxes, answer.scores)) if answer.verdict == ADOPTED else []
        boxes = [(box, score) for box, score in boxes if box.weight > 0]
        adopted.append((index, answer.verdict == ADOPTED, boxes))
    return _collect(images, adopted)


def find_zones(oracle, images, score_threshold):
    """The zones of a model's boxes, to a tenth of the score, for an oracle that `needs_zones`.

    Args:
      oracle: has `find_candidates(question)`, which returns [(box, `Detection`)], and `learns_all_places`.
      images, score_threshold: see `rehearse`.

    Returns:
      {class: `oracles.zones.Zone`}, of all classes of the label map.
    """
    adopted, doubts = [], []
    for index, question in enumerate(_questions(images, score_threshold)):
        pairs = oracle.find_candidates(question)
        adopted.append((index, True, [(box, detection.score) for box, detection in pairs]))
        doubts += [np.inf if detection.doubt is None else detection.doubt for _, detection in pairs]
    proposed, doubts = _collect(images, adopted), np.array(doubts, np.float64)
    judged = box_worth.judge(images, proposed)
    scores = box_worth.to_bins(proposed.scores) / class_worth.NUM_BINS
    zone_of = {}
    for row, name in enumerate(images.names):
        own = np.flatnonzero((proposed.classes == row) & judged.is_counted)
        zone_of[name] = zones.find_zone(
            *(column[own] for column in (scores, judged.is_right, judged.is_close)),
            int((judged.objects & (images.gt_class == row)).sum()),
            doubts[own] if _doubts(images) is not None else None,
        )
    return {name: zone.with_all_places() for name, zone in zone_of.items()} if oracle.learns_all_places else zone_of


def propose(images, lowest_scores):
    """The boxes that reach the lowest scores with which an oracle has adopted, whatever else it may know.

    Args:
      images: as for `rehearse`.
      lowest_scores: {class: score}.

    Returns:
      `box_worth.Proposed`.
    """
    adopted = []
    least = min(lowest_scores.values(), default=1.0)
    for index, question in enumerate(_questions(images, least)):
        predicted = question.prediction.found
        wanted = [each for each in predicted.detections if each.score >= lowest_scores.get(each.name, np.inf)]
        predicted = dataclasses.replace(predicted, detections=tuple(wanted))
        boxes = detections_to_boxes.choose_boxes(predicted, 0.0, _MAX_OVERLAP)
        adopted.append((index, bool(boxes), boxes))
    return _collect(images, adopted)


def _questions(images, score_threshold):
    """Yields a `Question` for each image, in order."""
    for index, name in enumerate(images.image_names):
        gt, det = images.of_image(index)
        height, width = (int(side) for side in images.image_sizes[index])
        columns = images.det_class[det], images.det_scores[det], images.det_boxes[det]
        doubts = _doubts(images)[det].tolist() if _doubts(images) is not None else itertools.repeat(math.nan)
        detections = [
            Detection(
                *(images.names[row], int(images.class_ids[row]), score, *box),
                doubt=None if math.isnan(doubt) else doubt,
            )
            for row, score, box, doubt in zip(*(column.tolist() for column in columns), doubts)
            if score >= score_threshold
        ]
        detections.sort(key=lambda detection: -detection.score)
        unknown = (0.0,) * len(detections)
        shown = tuple(sorted({images.names[row] for row in images.gt_class[gt].tolist()}))
        predicted = ImageDetections(name, width, height, tuple(detections))
        yield Question(PoolImage(name, name, shown), Prediction(name, predicted, unknown, unknown))


def _doubts(images):
    """float64 [D] doubts of the detections, nan where only one view has found one; None of a single view."""
    return getattr(images, "det_doubts", None)


def _collect(images, adopted):
    """`Proposed` from [(image, whether it would be adopted, [(box, score)])]."""
    row_of = {name: row for row, name in enumerate(images.names)}
    flat = [(index, box, score) for index, _, boxes in adopted for box, score in boxes]
    corners = box_geometry.corners_of([box for _, box, _ in flat])
    return box_worth.Proposed(
        image=np.array([index for index, _, _ in flat], np.int64),
        classes=np.array([row_of[box.name] for _, box, _ in flat], np.int32),
        boxes=corners[:, [1, 0, 3, 2]],
        scores=np.array([score for _, _, score in flat], np.float64),
        is_adopted=np.array([is_adopted for _, is_adopted, _ in adopted], bool),
    )
