"""What follows from all detections of a set in the order of their scores: best thresholds, curves, costs of errors."""

import dataclasses

import numpy as np

from tfodhelper.metrics import coco_curves, error_kinds, operating_points, overlaps, score_order

_NO_CLASS = -1


@dataclasses.dataclass(frozen=True)
class Ranked:
    """What was found.

    Attributes:
      best_threshold: where F1 of all classes together is highest; NaN where there is nothing to find, or nothing right.
      best_thresholds: float64 [K], the same of each class.
      precision: float64 [K, R], the best one at COCO's levels of recall or above; NaN without objects.
      costs: `error_kinds.Costs`.
    """

    best_threshold: float
    best_thresholds: np.ndarray
    precision: np.ndarray
    costs: error_kinds.Costs


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Asks for `Ranked`."""

    def start(self, images):
        """The tally."""
        return _RankingTally(images.num_classes)


class _RankingTally(overlaps.Tally):
    def __init__(self, num_classes):
        self._num_gt, self._num_missed, self._num_open = np.zeros([3, num_classes], np.int64)
        fields = [("row", np.int64), ("hit", bool), ("kind", np.int8), ("corrected", bool), ("gt_class", np.int32)]
        self._order = score_order.ScoreOrder(fields, ["row"])

    def add(self, part):
        images, matches, kinds = part.images, part.matches, part.once(error_kinds.classify)
        is_corrected, is_open = error_kinds.find_corrected(part)
        self._num_gt += operating_points.count_by_class(images, matches.counts)
        self._num_missed += operating_points.count_by_class(images, kinds.is_missed)
        self._num_open += operating_points.count_by_class(images, is_open)
        rows = np.flatnonzero(~matches.is_ignored)
        self._order.add(
            images.det_scores[rows],
            images.det_class[rows],
            row=rows + images.first_det,
            hit=matches.hits[rows],
            kind=kinds.kind[rows],
            corrected=is_corrected[rows],
            gt_class=np.append(images.gt_class, _NO_CLASS)[kinds.gt[rows]],  # the last entry is that of no object
        )

    def finish(self):
        by_class, together = (
            score_order.BestThresholds(num_gt) for num_gt in (self._num_gt, self._num_gt.sum(keepdims=True))
        )
        curves = score_order.PrecisionAtRecall(self._num_gt[:, None], coco_curves.RECALL_LEVELS)
        costs = error_kinds.CostCounter(self._num_gt, self._num_missed, self._num_open)
        for block in self._order.blocks():
            scores, classes, hits = -block["descending"], block["class"], block["hit"]
            grouped = score_order.Grouped(classes)
            by_class.add(grouped, scores, hits)
            together.add(score_order.Grouped(np.zeros(len(block), np.int32)), scores, hits)
            curves.add(grouped, hits[:, None], np.ones([len(block), 1], bool))
            judged = block[block["kind"] != error_kinds.IGNORED]
            costs.add(judged["class"], judged["kind"], judged["corrected"], judged["gt_class"])
        precision = np.where(self._num_gt[:, None] > 0, curves.finish()[:, 0], np.nan)
        return Ranked(float(together.finish()[0]), by_class.finish(), precision, costs.finish())
