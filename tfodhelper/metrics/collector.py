"""Images as they arrive, one by one and in any order; and all of them in order, of which a part is in memory."""

import array

import numpy as np

from tfodhelper.metrics import detection_set, examples
from tfodhelper.outofcore import rows

PART_IMAGES, PART_ROWS = 512, 1 << 15  # the most images, and detections and objects, that are looked at together
_SIDES = {
    "gt": detection_set.GT_COLUMNS,
    "det": detection_set.DET_COLUMNS,
    "verified": {"verified_class": (np.int32, ())},
}
_SIDE_OF = {"verified_image": "verified", **{name: side for side, names in _SIDES.items() for name in names}}


class RowsOfImages:
    """Some rows of each image, in a file.

    Args:
      dtype: numpy type of a row.
    """

    def __init__(self, dtype):
        self._rows, self._ends = rows.Rows(dtype), array.array("q", [0])

    def add(self, values):
        """Adds the rows of the next image."""
        self._rows.append(values)
        self._ends.append(len(self._rows))

    def counts(self, order):
        """Number of rows of images, which are given by the order of their arrival; int64."""
        return np.diff(np.frombuffer(self._ends, np.int64))[order]

    def read(self, order):
        """The rows of images, which are given by the order of their arrival."""
        # Neighbors that arrived one after the other are read together.
        breaks = [0, *(np.flatnonzero(np.diff(order) != 1) + 1).tolist(), len(order)]
        parts = [
            self._rows.read(self._ends[order[first]], self._ends[order[stop - 1] + 1])
            for first, stop in zip(breaks, breaks[1:])
            if stop > first
        ]
        return np.concatenate(parts) if parts else self._rows.read(0, 0)


class ImageSet:
    """All images that were collected, in the order of their ids.

    Attributes:
      names, class_ids, image_ids, image_names, image_sizes, gt_starts, det_starts: see `detection_set.DetectionSet`.
      arrival: int64 [I], positions of the images in the order in which they arrived.
    """

    def __init__(self, categories, arrival, sides, image_ids, image_names, image_sizes):
        self.names, self.class_ids = tuple(categories.names), categories.ids
        self.arrival, self._sides = arrival, sides
        self.image_ids, self.image_names, self.image_sizes = image_ids, image_names, image_sizes
        self.gt_starts, self.det_starts = (self._starts(side) for side in ("gt", "det"))

    def _starts(self, side):
        return np.concatenate([[0], np.cumsum(self._sides[side].counts(self.arrival))]).astype(np.int64)

    @property
    def num_images(self):
        """How many images there are."""
        return len(self.image_ids)

    @property
    def num_classes(self):
        """How many classes the label map has."""
        return len(self.names)

    def read(self, first, stop):
        """Consecutive images as a `detection_set.DetectionSet`."""
        order = self.arrival[first:stop]
        columns, starts = {}, {}
        for side, names in _SIDES.items():
            table = self._sides[side].read(order)
            columns |= {name: np.ascontiguousarray(table[name]) for name in names}
            starts[side] = np.concatenate([[0], np.cumsum(self._sides[side].counts(order))]).astype(np.int64)
        return detection_set.DetectionSet(
            names=self.names,
            class_ids=self.class_ids,
            image_ids=self.image_ids[first:stop],
            image_names=self.image_names[first:stop],
            image_sizes=self.image_sizes[first:stop],
            gt_starts=starts["gt"],
            det_starts=starts["det"],
            verified_image=np.repeat(np.arange(len(order), dtype=np.int32), np.diff(starts["verified"])),
            first_image=first,
            first_gt=int(self.gt_starts[first]),
            first_det=int(self.det_starts[first]),
            **columns,
        )

    def num_rows(self, name):
        """How many rows a column of the set has."""
        return int(self._sides[_SIDE_OF[name]].counts(self.arrival).sum())

    def blocks_of(self, name):
        """Yields a column of the set, the rows of some images at a time."""
        table = self._sides[_SIDE_OF[name]]
        for first in range(0, self.num_images, PART_IMAGES):
            order = self.arrival[first : first + PART_IMAGES]
            if name == "verified_image":
                yield np.repeat(np.arange(first, first + len(order), dtype=np.int32), table.counts(order))
            else:
                yield table.read(order)[name]

    def parts(self):
        """Yields all images, a part of them at a time."""
        first = 0
        while first < self.num_images:
            stop = min(first + PART_IMAGES, self.num_images)
            for starts in (self.gt_starts, self.det_starts):
                room = int(np.searchsorted(starts, starts[first] + PART_ROWS, side="right")) - 1
                stop = max(first + 1, min(stop, room))
            yield self.read(first, stop)
            first = stop


class Collector:
    """Takes images one by one, in any order, and gives them as an `ImageSet`.

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
        self._names, self._sizes = [], array.array("i")
        self._sides = {
            side: RowsOfImages(np.dtype([(name, *kind) for name, kind in columns.items()]))
            for side, columns in _SIDES.items()
        }

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
        if self._seen.add(image_id) is None:
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
            "verified_class": self._categories.row_of(verified),
        }
        for side, names in _SIDES.items():
            table = np.empty([len(columns[next(iter(names))])], [(name, *kind) for name, kind in names.items()])
            for column in names:
                table[column] = columns[column]
            self._sides[side].add(table)
        self._names.append(name)
        self._sizes.extend((0, 0) if size is None else (int(side) for side in size[:2]))

    def finish(self):
        """All images so far as an `ImageSet`, in an order that does not depend on that of arrival.

        Warns of ids that came more than once.
        """
        self._seen.warn_of_repeated()
        order, ids = np.array(self._seen.sorted_indices(), np.int64), self._seen.ids()
        return ImageSet(
            self._categories,
            order,
            self._sides,
            image_ids=tuple(str(ids[i]) for i in order),
            image_names=tuple(str(ids[i] if self._names[i] is None else self._names[i]) for i in order),
            image_sizes=np.array(self._sizes, np.int32).reshape(-1, 2)[order],
        )
