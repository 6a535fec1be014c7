"""What a metric is told about the classes and about one image: checked, with all optional parts filled in."""

import dataclasses

import numpy as np

from tfodhelper import box_geometry, console, errors, spelling


@dataclasses.dataclass(frozen=True)
class ImageGroundtruth:
    """What is in an image.

    Attributes:
      boxes: float64 [N, 4] ymin, xmin, ymax, xmax in pixels of the original image.
      classes: int64 [N], ids of the label map (from 1).
      is_crowd: bool [N], one box around many objects (COCO).
      difficult: bool [N], objects that need not be found (PASCAL VOC).
      group_of: bool [N], one box around a group of objects (Open Images).
      area: float64 [N], square pixels; of the object where it is known, else of its box.
      verified: int64 [n], ids of classes whose presence or absence in the image was verified.
    """

    boxes: np.ndarray
    classes: np.ndarray
    is_crowd: np.ndarray
    difficult: np.ndarray
    group_of: np.ndarray
    area: np.ndarray
    verified: np.ndarray


@dataclasses.dataclass(frozen=True)
class ImagePredictions:
    """What a model found in an image.

    Attributes:
      boxes: float64 [D, 4] ymin, xmin, ymax, xmax in pixels of the original image.
      scores: float64 [D], in any order.
      classes: int64 [D], ids of the label map (from 1).
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray


def check_groundtruth(image_id, groundtruth):
    """Checks the ground truth of one image.

    Args:
      image_id: names the image in errors.
      groundtruth: dict with "boxes" [N, 4] and "classes" [N], and where they are known "is_crowd", "difficult",
        "group_of" and "area" [N] and "verified" [n]. An optional value that is missing or empty means that none is; an
        area of 0, that of the box.

    Returns:
      `ImageGroundtruth`.

    Raises:
      ValueError: for lengths that differ: the caller's mistake.
      PredictionError: for a coordinate that is not a finite number.
    """
    boxes = check_boxes(image_id, "groundtruth", groundtruth["boxes"])
    num_boxes = len(boxes)
    area = _column(image_id, "groundtruth area", groundtruth.get("area"), num_boxes, np.float64)
    return ImageGroundtruth(
        boxes=boxes,
        classes=_column(image_id, "groundtruth classes", groundtruth["classes"], num_boxes, np.int64, optional=False),
        is_crowd=_column(image_id, "groundtruth is_crowd", groundtruth.get("is_crowd"), num_boxes, bool),
        difficult=_column(image_id, "groundtruth difficult", groundtruth.get("difficult"), num_boxes, bool),
        group_of=_column(image_id, "groundtruth group_of", groundtruth.get("group_of"), num_boxes, bool),
        area=np.where(area > 0, area, box_geometry.area(boxes)),
        verified=np.asarray(groundtruth.get("verified", ()), np.int64).reshape(-1),
    )


def check_predictions(image_id, detections):
    """Checks the detections of one image.

    Args:
      image_id: names the image in errors.
      detections: dict with "boxes" [D, 4], "scores" [D] and "classes" [D], without padded rows.

    Returns:
      `ImagePredictions`.

    Raises:
      ValueError: for lengths that differ: the caller's mistake.
      PredictionError: for a coordinate or a score that is not a finite number.
    """
    boxes = check_boxes(image_id, "detection", detections["boxes"])
    scores = _column(image_id, "detection scores", detections["scores"], len(boxes), np.float64, optional=False)
    if not np.isfinite(scores).all():
        raise _not_finite(image_id, "a detection's score", scores[~np.isfinite(scores)][0])
    classes = _column(image_id, "detection classes", detections["classes"], len(boxes), np.int64, optional=False)
    return ImagePredictions(boxes, scores, classes)


def check_boxes(image_id, kind, values):
    """float64 [N, 4]; errors as `check_groundtruth`, `kind` names the boxes in them."""
    boxes = np.asarray(values, np.float64)
    if boxes.size == 0:
        return np.zeros([0, 4])
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"image {image_id}, {kind} boxes: expected shape [N, 4], received {list(boxes.shape)}")
    if not np.isfinite(boxes).all():
        row = boxes[~np.isfinite(boxes).all(axis=1)][0]
        raise _not_finite(image_id, f"a {kind} box", row.tolist())
    return boxes


def _column(image_id, name, values, length, dtype, optional=True):
    if optional and (values is None or np.size(values) == 0):
        return np.zeros([length], dtype)
    column = np.asarray(values).reshape(-1).astype(dtype)
    if len(column) != length:
        raise ValueError(
            f"image {image_id}, {name}: expected {spelling.count(length, 'value')}, received {len(column)}"
        )
    return column


def _not_finite(image_id, name, received):
    return errors.PredictionError(
        f"image {image_id}: {name} is not finite",
        expected="finite numbers",
        received=received,
        fix="look for the step at which the loss grew, lower the learning rate, or start from another checkpoint",
    )


class Categories:
    """The classes of the label map, in the order of their ids: the rows of a metric's tables.

    Args:
      names: {id: name}, ids from 1.

    Attributes:
      ids: int64 [K], ascending.
      names: list of str.
    """

    def __init__(self, names):
        self.ids = np.array(sorted(names), np.int64)
        self.names = [names[key] for key in sorted(names)]
        self._rows = np.full(self.ids.max(initial=0) + 2, len(self.names))
        self._rows[self.ids] = np.arange(len(self.names))

    def __len__(self):
        return len(self.names)

    def has(self, classes):
        """Whether ids are in the label map; [n] -> bool [n]."""
        return self.row_of(classes) < len(self)

    def row_of(self, classes):
        """Rows of ids, `len(self)` for those that the label map does not have; [n] -> int64 [n]."""
        known = np.minimum(classes, len(self._rows) - 1)  # the last entry is that of no class
        return np.where(known < 0, len(self), self._rows[known])


class SeenImages:
    """Which images were counted, each once, and an order that does not depend on the order of arrival."""

    def __init__(self):
        self._ids = {}
        self._repeated = []

    def __len__(self):
        return len(self._ids)

    def add(self, image_id):
        """Returns the image's index in the order of arrival, or None when its id has already come."""
        if isinstance(image_id, bytes):
            image_id = image_id.decode("utf-8", "backslashreplace")
        if image_id in self._ids:
            self._repeated.append(image_id)
            return None
        self._ids[image_id] = len(self._ids)
        return self._ids[image_id]

    def ids(self):
        """The ids in the order of arrival."""
        return list(self._ids)

    def sorted_indices(self):
        """Indices of arrival in the order of the ids: numbers first, by value, then words."""
        return [self._ids[key] for key in sorted(self._ids, key=_order)]

    def warn_of_repeated(self):
        """Warns once about ids that came more than once; only the first image of an id is counted."""
        if self._repeated:
            images = spelling.count(len(self._repeated), "image")
            console.warn(
                f"evaluation: {images} left out because another one has the same id (first: {self._repeated[0]})"
            )
            self._repeated = []


def _order(image_id):
    return (1, 0, image_id) if isinstance(image_id, str) else (0, image_id, "")
