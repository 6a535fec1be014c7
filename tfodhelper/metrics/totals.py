"""What is counted of a set without regard to order: objects, kinds of errors, calibration, sizes of what is found."""

import dataclasses

import numpy as np

from tfodhelper.metrics import analysis_file, calibration, error_kinds, operating_points, overlaps, worst

_SIZE_EDGES = (0.0, 32.0, 96.0, None)  # pixels, of the square root of an area, as in COCO
_BINS_PER_OCTAVE = 2  # of the histogram of sizes
_BIN_EDGES = 2.0 ** (np.arange(65) / _BINS_PER_OCTAVE)  # the first bin also has what is smaller


@dataclasses.dataclass(frozen=True)
class Counted:
    """What was counted.

    Attributes:
      num_objects: int64 [K], objects that have to be found.
      num_images: int64 [K], images that have any of them.
      num_errors: int64 [K, 6], detections by class and `error_kinds.NAMES`; of the last kind, objects.
      calibration: float64 [3, K, B], see `calibration.count`.
    """

    num_objects: np.ndarray
    num_images: np.ndarray
    num_errors: np.ndarray
    calibration: np.ndarray


@dataclasses.dataclass(frozen=True)
class Totals:
    """Asks for `Counted`."""

    def start(self, images):
        """The tally."""
        return _TotalsTally(images.num_classes)


class _TotalsTally(overlaps.Tally):
    def __init__(self, num_classes):
        self._counted = Counted(
            np.zeros(num_classes, np.int64),
            np.zeros(num_classes, np.int64),
            np.zeros([num_classes, len(error_kinds.NAMES)], np.int64),
            np.zeros([3, num_classes, calibration.NUM_BINS]),
        )

    def add(self, part):
        images, matches, kinds = part.images, part.matches, part.once(error_kinds.classify)
        counted, num_classes = self._counted, images.num_classes
        counted.num_objects[:] += operating_points.count_by_class(images, matches.counts)
        objects = images.gt_image[matches.counts].astype(np.int64) * num_classes + images.gt_class[matches.counts]
        counted.num_images[:] += np.bincount(np.unique(objects) % num_classes, minlength=num_classes)
        wrong = kinds.kind >= 0
        np.add.at(counted.num_errors, (images.det_class[wrong], kinds.kind[wrong]), 1)
        counted.num_errors[:, error_kinds.MISSED] += operating_points.count_by_class(images, kinds.is_missed)
        rows = np.flatnonzero(~matches.is_ignored)
        counted.calibration[:] += calibration.count(
            images.det_scores[rows], matches.hits[rows], images.det_class[rows], num_classes
        )

    def finish(self):
        return self._counted


@dataclasses.dataclass(frozen=True)
class SizesAt:
    """Asks for objects found and missed by the square root of their area; see `analysis_file.SHAPE`.

    Attributes:
      threshold: lowest score of a detection that counts.
    """

    threshold: float

    def start(self, images):
        """The tally."""
        del images
        return _SizeTally(self.threshold)


class _SizeTally(overlaps.Tally):
    def __init__(self, threshold):
        self._threshold, self._least = threshold, np.inf
        self._ranges = np.zeros([2, len(analysis_file.SIZES)], np.int64)  # missed and found
        self._bins = np.zeros([2, len(_BIN_EDGES)], np.int64)

    def add(self, part):
        matches = part.matches
        sides = np.sqrt(np.maximum(part.images.gt_area[matches.counts], 0.0))
        is_found = worst.found_at(part, self._threshold)[matches.counts].astype(np.int64)
        np.add.at(self._ranges, (is_found, np.searchsorted(_SIZE_EDGES[1:-1], sides, side="right")), 1)
        places = np.maximum(np.searchsorted(_BIN_EDGES, sides, side="right") - 1, 0)
        np.add.at(self._bins, (is_found, places), 1)
        self._least = min(self._least, sides.min(initial=np.inf))

    def finish(self):
        names = zip(analysis_file.SIZES, _SIZE_EDGES[:-1], _SIZE_EDGES[1:], self._ranges.T.tolist())
        ranges = [
            {"name": name, "low": low, "high": high, "found": num_found, "missed": num_missed}
            for name, low, high, (num_missed, num_found) in names
        ]
        filled = np.flatnonzero(self._bins.any(axis=0))
        if not len(filled):
            return {"ranges": ranges, "histogram": {"edges": [0.0, 1.0], "found": [0], "missed": [0]}}
        chosen = slice(filled[0], filled[-1] + 1)
        edges = _BIN_EDGES[filled[0] : filled[-1] + 2].copy()
        edges[0] = min(edges[0], self._least)
        num_missed, num_found = self._bins[:, chosen].tolist()
        return {"ranges": ranges, "histogram": {"edges": edges.tolist(), "found": num_found, "missed": num_missed}}
