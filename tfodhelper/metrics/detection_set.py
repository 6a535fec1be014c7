"""What is in a set of images and what a model found in them, as columns: the one input of all metrics.

The columns have the order of the images, and within an image the order given, so that a metric is arithmetic on
whole columns. Those of a whole set are in files, and are read in parts: `collector.ImageSet`. Shape letters: I images,
N ground truth boxes and D detections of all images, K classes, V verified labels of images.
"""

import dataclasses
import functools

import numpy as np


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
      first_image, first_gt, first_det: what comes before these in the set of which they are a part.
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
    first_image: int = 0
    first_gt: int = 0
    first_det: int = 0

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

    def parts(self):
        """Yields itself: all of it is in memory."""
        yield self

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
