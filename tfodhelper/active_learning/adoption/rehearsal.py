"""What would be adopted if the validation images, whose objects are known, were images of the pool."""

import dataclasses

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
      oracle: has `find_candidates(question)`, which returns [(box, score)].
      images, score_threshold: see `rehearse`.

    Returns:
      {class: `oracles.zones.Zone`}, of all classes of the label map.
    """
    questions = _questions(images, score_threshold)
    proposed = _collect(images, [(i, True, oracle.find_candidates(question)) for i, question in enumerate(questions)])
    zone_of = {}
    for worth in box_worth.measure(images, proposed):
        boxes = [
            (number / class_worth.NUM_BINS, rank < right, rank < close)
            for number, (count, right, close) in enumerate(worth.by_score)
            for rank in range(count)
        ]
        columns = zip(*boxes) if boxes else ((), (), ())
        zone_of[worth.name] = zones.find_zone(*columns, worth.objects)
    return zone_of


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
        detections = [
            Detection(images.names[row], int(images.class_ids[row]), score, *box)
            for row, score, box in zip(
                images.det_class[det].tolist(), images.det_scores[det].tolist(), images.det_boxes[det].tolist()
            )
            if score >= score_threshold
        ]
        detections.sort(key=lambda detection: -detection.score)
        unknown = (0.0,) * len(detections)
        shown = tuple(sorted({images.names[row] for row in images.gt_class[gt].tolist()}))
        predicted = ImageDetections(name, width, height, tuple(detections))
        yield Question(PoolImage(name, name, shown), Prediction(name, predicted, unknown, unknown))


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
