"""What is in a set of images and what a model found in them, as columns: the one input of all metrics.

The columns have the order of the images, and within an image the order given, so that a metric is arithmetic on
whole columns. Shape letters: I images, N ground truth boxes and D detections of all images, K classes, V verified
labels of images.
"""

import dataclasses
import functools

import numpy as np

from tfodhelper.metrics import examples

_BLOCK = 512  # images whose small arrays become one block


@dataclasses.dataclass(frozen=True)
class DetectionSet:
    """Ground truth and detections of a set of images; of the classes of the label map alone.

    Attributes:
      names: of the classes, in the order of their ids; "row" of a class is its index here.
      class_ids: int64 [K], ids of the label map.
      image_ids: text; numbers come first, by value.
      image_names: text, the path of each image, or its id where that is not known.
      image_sizes: int32 [I, 2] height, width in pixels of the stored image; 0 where they are not known.
      gt_starts: int64 [I + 1], rows of an image's ground truth: from its entry to the next one.
      det_starts: int64 [I + 1], the same of detections.
      gt_class: int32 [N], rows of classes.
      gt_boxes: float64 [N, 4] ymin, xmin, ymax, xmax in pixels of the stored image.
      gt_crowd: bool [N], one box around many objects (COCO).
      gt_difficult: bool [N], objects that need not be predictions (PASCAL VOC).
      gt_group_of: bool [N], one box around a group (Open Images).
      gt_area: float64 [N], square pixels, of the object or else of its box.
      det_class: int32 [D].
      det_boxes: float64 [D, 4].
      det_scores: float64 [D].
      verified_image: int32 [V], an image for which ...
      verified_class: int32 [V], ... the presence or absence of this class was verified.
    """

    names: tuple
    class_ids: np.ndarray
    image_ids: tuple
    image_names: tuple
    image_sizes: np.ndarray
    gt_starts: np.ndarray
    det_starts: np.ndarray
    gt_class: np.ndarray
    gt_boxes: np.ndarray
    gt_crowd: np.ndarray
    gt_difficult: np.ndarray
    gt_group_of: np.ndarray
    gt_area: np.ndarray
    det_class: np.ndarray
    det_boxes: np.ndarray
    det_scores: np.ndarray
    verified_image: np.ndarray
    verified_class: np.ndarray

    @property
    def num_images(self):
        """How many images there are."""
        return len(self.image_ids)

    @property
    def num_classes(self):
        """How many classes the label map has."""
        return len(self.names)

    @functools.cached_property
    def gt_image(self):
        """Image of each ground truth box; int32 [N]."""
        return np.repeat(np.arange(self.num_images, dtype=np.int32), np.diff(self.gt_starts))

    @functools.cached_property
    def det_image(self):
        """Image of each detection; int32 [D]."""
        return np.repeat(np.arange(self.num_images, dtype=np.int32), np.diff(self.det_starts))

    def of_image(self, index):
        """(slice of the ground truth, slice of the detections) of an image."""
        return tuple(slice(int(starts[index]), int(starts[index + 1])) for starts in (self.gt_starts, self.det_starts))


GT_COLUMNS = {
    "gt_class": (np.int32, ()),
    "gt_boxes": (np.float64, (4,)),
    "gt_crowd": (bool, ()),
    "gt_difficult": (bool, ()),
    "gt_group_of": (bool, ()),
    "gt_area": (np.float64, ()),
}
DET_COLUMNS = {"det_class": (np.int32, ()), "det_boxes": (np.float64, (4,)), "det_scores": (np.float64, ())}
VERIFIED_COLUMNS = {"verified_image": (np.int32, ()), "verified_class": (np.int32, ())}
COLUMNS = {**GT_COLUMNS, **DET_COLUMNS, **VERIFIED_COLUMNS}


class Collector:
    """Takes images one by one, in any order, and gives them as a `DetectionSet`.

    Args:
      categories: {id: name} of the label map, ids from 1; boxes of other classes are left out.
    """

    def __init__(self, categories):
        self._categories = examples.Categories(categories)
        self.reset()

    @property
    def num_images(self):
        """How many images were taken since the last reset."""
        return len(self._seen)

    def reset(self):
        """Forgets all images."""
        self._seen = examples.SeenImages()
        self._names, self._sizes, self._counts = [], [], []
        self._blocks = {name: [np.zeros([0, *rest], dtype)] for name, (dtype, rest) in COLUMNS.items()}
        self._pending = {name: [] for name in COLUMNS}

    def add(self, image_id, groundtruth, detections, name=None, size=None):
        """Takes one image; an image whose id has already come is left out.

        Args:
          image_id: int, str or bytes.
          groundtruth: see `examples.check_groundtruth`.
          detections: see `examples.check_predictions`.
          name: what users know the image by, its path; defaults to the id.
          size: height and width of the stored image, pixels.
        """
        gt = examples.check_groundtruth(image_id, groundtruth)
        predictions = examples.check_predictions(image_id, detections)
        index = self._seen.add(image_id)
        if index is None:
            return
        gt_rows, det_rows = self._categories.row_of(gt.classes), self._categories.row_of(predictions.classes)
        known, usable = gt_rows < len(self._categories), det_rows < len(self._categories)
        verified = np.unique(gt.verified[self._categories.has(gt.verified)])
        columns = {
            "gt_class": gt_rows[known],
            "gt_boxes": gt.boxes[known],
            "gt_crowd": gt.is_crowd[known],
            "gt_difficult": gt.difficult[known],
            "gt_group_of": gt.group_of[known],
            "gt_area": gt.area[known],
            "det_class": det_rows[usable],
            "det_boxes": predictions.boxes[usable],
            "det_scores": predictions.scores[usable],
            "verified_image": np.full(len(verified), index),
            "verified_class": self._categories.row_of(verified),
        }
        for column, values in columns.items():
            self._pending[column].append(values)
        self._names.append(name)
        self._sizes.append((0, 0) if size is None else tuple(int(side) for side in size[:2]))
        self._counts.append((int(known.sum()), int(usable.sum())))
        if len(self._counts) % _BLOCK == 0:
            self._flush()

    def _flush(self):
        for name, (dtype, _) in COLUMNS.items():
            if self._pending[name]:
                self._blocks[name].append(np.concatenate(self._pending[name]).astype(dtype))
                self._pending[name] = []

    def finish(self):
        """All images so far as a `DetectionSet`, in an order that does not depend on that of arrival.

        Warns of ids that came more than once.
        """
        self._seen.warn_of_repeated()
        self._flush()
        columns = {name: np.concatenate(blocks) for name, blocks in self._blocks.items()}
        self._blocks = {name: [column] for name, column in columns.items()}
        order = np.array(self._seen.sorted_indices(), np.int64)
        counts = np.array(self._counts, np.int64).reshape(-1, 2)
        starts = []
        for side, names in enumerate((GT_COLUMNS, DET_COLUMNS)):
            rows = _rows_in_order(counts[:, side], order)
            columns.update({name: columns[name] if rows is None else columns[name][rows] for name in names})
            starts.append(np.concatenate([[0], np.cumsum(counts[order, side])]).astype(np.int64))
        position = np.empty(len(order), np.int32)
        position[order] = np.arange(len(order))
        columns["verified_image"] = position[columns["verified_image"]]
        ids = self._seen.ids()
        return DetectionSet(
            names=tuple(self._categories.names),
            class_ids=self._categories.ids,
            image_ids=tuple(str(ids[i]) for i in order),
            image_names=tuple(str(ids[i] if self._names[i] is None else self._names[i]) for i in order),
            image_sizes=np.array(self._sizes, np.int32).reshape(-1, 2)[order],
            gt_starts=starts[0],
            det_starts=starts[1],
            **columns,
        )


def _rows_in_order(counts, order):
    """Rows of a column whose images are put into another order; None if it is the same one."""
    if (order == np.arange(len(order))).all():
        return None
    starts = np.cumsum(counts) - counts
    counts = counts[order]
    return np.repeat(starts[order] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
