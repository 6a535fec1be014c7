"""The mistakes that are worth looking at: wrong detections of high scores, large objects missed, the worst images."""

import bisect
import dataclasses
import functools

import numpy as np

from tfodhelper.metrics import analysis_file, error_kinds, overlaps

NUM_LISTED = 50
_SIZE_LIMITS = (32.0**2, 96.0**2)  # square pixels
_SIDES = ("ymin", "xmin", "ymax", "xmax")


def found_at(overlapping, threshold):
    """Which objects are found by detections with at least that score; bool [N]."""
    det_of_gt = overlapping.matches.det_of_gt
    scores = np.append(overlapping.images.det_scores, -np.inf)  # the last entry is that of `NOTHING`
    return scores[det_of_gt] >= threshold


@dataclasses.dataclass(frozen=True)
class Worst:
    """Asks for the worst mistakes: {"false_positives", "misses", "images"}, see `analysis_file.SHAPE`.

    Attributes:
      threshold: lowest score of a detection that counts.
    """

    threshold: float

    def start(self, images):
        """The tally."""
        del images
        return _WorstTally(self.threshold)


class _WorstTally(overlaps.Tally):
    def __init__(self, threshold):
        self._threshold = threshold
        self._lists = {kind: _Listed() for kind in ("false_positives", "misses", "images")}

    def add(self, part):
        images, matches, kinds = part.images, part.matches, part.once(error_kinds.classify)
        is_shown = images.det_scores >= self._threshold
        wrong, right = ~matches.is_ignored & ~matches.hits & is_shown, matches.hits & is_shown
        missed = matches.counts & ~found_at(part, self._threshold)
        order = part.by_score
        self._lists["false_positives"].add(
            order[(wrong & (kinds.kind >= 0))[order]],
            images.det_scores,
            functools.partial(_false_positive, images, kinds),
        )
        by_area = np.argsort(-images.gt_area, kind="stable")
        self._lists["misses"].add(by_area[missed[by_area]], images.gt_area, functools.partial(_miss, part))
        tp, fp, fn = (
            np.bincount(of_image[chosen], minlength=images.num_images)
            for of_image, chosen in ((images.det_image, right), (images.det_image, wrong), (images.gt_image, missed))
        )
        order = np.argsort(-(fp + fn), kind="stable")
        self._lists["images"].add(order[(fp + fn)[order] > 0], fp + fn, functools.partial(_image, images, (tp, fp, fn)))

    def finish(self):
        return {kind: listed.entries for kind, listed in self._lists.items()}


class _Listed:
    """The `NUM_LISTED` entries of the highest values, of equal ones the first."""

    def __init__(self):
        self.entries, self._values = [], []

    def add(self, order, values, describe):
        """Adds rows of a part, in descending order of their values."""
        for row in order[:NUM_LISTED].tolist():
            position = bisect.bisect_right(self._values, -values[row])
            if position == NUM_LISTED:
                break
            self._values.insert(position, -values[row])
            self.entries.insert(position, describe(row))
            del self._values[NUM_LISTED:], self.entries[NUM_LISTED:]


def _false_positive(images, kinds, row):
    gt = int(kinds.gt[row])
    return {
        "image": images.image_names[images.det_image[row]],
        "image_index": images.first_image + int(images.det_image[row]),
        "class": images.names[images.det_class[row]],
        "score": float(images.det_scores[row]),
        "box": _box(images.det_boxes[row]),
        "kind": error_kinds.NAMES[kinds.kind[row]],
        "iou": float(kinds.iou[row]),
        "object_class": None if gt == overlaps.NOTHING else images.names[images.gt_class[gt]],
        "object_box": None if gt == overlaps.NOTHING else _box(images.gt_boxes[gt]),
    }


def _miss(overlapping, row):
    images, pairs = overlapping.images, overlapping.pairs
    near = np.flatnonzero(pairs.gt == row)
    best = near[np.argmax(pairs.iou[near])] if len(near) else None
    det = None if best is None else int(pairs.det[best])
    return {
        "image": images.image_names[images.gt_image[row]],
        "image_index": images.first_image + int(images.gt_image[row]),
        "class": images.names[images.gt_class[row]],
        "box": _box(images.gt_boxes[row]),
        "size": analysis_file.SIZES[int(np.searchsorted(_SIZE_LIMITS, images.gt_area[row], side="right"))],
        "iou": None if best is None else float(pairs.iou[best]),
        "score": None if det is None else float(images.det_scores[det]),
        "detected_class": None if det is None else images.names[images.det_class[det]],
        "detected_box": None if det is None else _box(images.det_boxes[det]),
    }


def _image(images, counts, row):
    tp, fp, fn = (int(values[row]) for values in counts)
    return {"image": images.image_names[row], "image_index": images.first_image + row, "tp": tp, "fp": fp, "fn": fn}


def _box(sides):
    return dict(zip(_SIDES, sides.tolist()))
