"""Detections of a set in the order of their scores, and what is counted in this order, block by block.

A block is some detections that follow one another; all blocks together have the whole order. Shape letters: n
detections of a block, G groups (classes), C columns: lists that differ in what counts and what is right.
"""

import numpy as np

from tfodhelper.outofcore import rows


class ScoreOrder:
    """Sorts detections: the highest score first.

    Args:
      fields: [(name, type)] or [(name, type, shape)] of what is known about each detection.
      ties: names of integer fields, ascending, that tell detections of equal scores apart.
    """

    def __init__(self, fields, ties):
        self.dtype = np.dtype([("descending", np.float64), ("class", np.int32), *fields])
        self._sorter = rows.RowSorter(self.dtype, ("descending", *ties))

    def add(self, scores, classes, **fields):
        """Adds detections; values are [n, ...]."""
        table = np.empty([len(scores)], self.dtype)
        for name, values in {"descending": -scores, "class": classes, **fields}.items():
            table[name] = values
        self._sorter.add(table)

    def blocks(self):
        """Yields blocks, as arrays with the fields; "descending" is the negative score."""
        return self._sorter.blocks()


class Grouped:
    """A block whose rows are put together by group, within a group in order.

    Args:
      groups: int [n].

    Attributes:
      order: int64 [n], rows.
      present: [g], the groups that occur.
      starts, ends: int64 [g], where in `order` the first and the last row of each are.
      segment: int64 [n], of each row in `order`, its position in `present`.
    """

    def __init__(self, groups):
        self.order = np.argsort(groups, kind="stable")
        self.present, self.starts, counts = np.unique(groups[self.order], return_index=True, return_counts=True)
        self.ends = self.starts + counts - 1
        self.segment = np.repeat(np.arange(len(counts)), counts)

    def running(self, values, totals):
        """Running totals of each group, over all blocks so far.

        Args:
          values: [n, ...], in the order of the block.
          totals: [G, ...], of the blocks before; those of this one are added.

        Returns:
          [n, ...], in the order of `order`.
        """
        values = values[self.order]
        sums = np.cumsum(values, axis=0, dtype=totals.dtype)
        before = totals[self.present] - sums[self.starts] + values[self.starts]
        totals[self.present] = before + sums[self.ends]
        sums += before[self.segment]
        return sums


class PrecisionAtRecall:
    """The best precision at levels of recall or above, of each group.

    Args:
      num_gt: int [G, C], objects to find.
      levels: [R], of recall, ascending from 0.

    Attributes:
      num_gt: the same.
      num_counted: int32 [G, C], detections so far.
    """

    def __init__(self, num_gt, levels):
        self.num_gt, self._levels = np.asarray(num_gt), levels
        self._found, self.num_counted = (np.zeros(self.num_gt.shape, np.int32) for _ in range(2))
        self._best = np.zeros([*self.num_gt.shape, len(levels)])

    def add(self, grouped, hits, counted):
        """Counts a block.

        Precision is highest, and a recall first reached, where an object is found: nothing else is looked at.

        Args:
          grouped: `Grouped`.
          hits: bool [n, C], right detections.
          counted: bool [n, C], right and wrong ones.
        """
        num_found, totals = grouped.running(hits, self._found), grouped.running(counted, self.num_counted)
        rows, columns = np.nonzero(hits[grouped.order])
        groups = grouped.present[grouped.segment[rows]]
        num_gt = self.num_gt[groups, columns]
        if (num_gt <= 0).any():  # without objects that count, nothing is right
            rows, columns, groups, num_gt = (values[num_gt > 0] for values in (rows, columns, groups, num_gt))
        num_found, totals = num_found[rows, columns], totals[rows, columns]
        reached = np.searchsorted(self._levels, num_found / num_gt, side="right") - 1
        cell = np.ravel_multi_index((groups, columns, reached), self._best.shape)
        np.maximum.at(self._best.reshape(-1), cell, num_found / (totals + np.spacing(1)))

    def finish(self):
        """float64 [G, C, R]; 0 at levels that are not reached."""
        return np.maximum.accumulate(self._best[..., ::-1], axis=-1)[..., ::-1]


class BestThresholds:
    """The score at and above which F1 is highest, of each group; of equal values, the highest score.

    Args:
      num_gt: int [G], objects to find.
    """

    def __init__(self, num_gt):
        self._num_gt = np.asarray(num_gt)
        self._found, self._counted = (np.zeros(self._num_gt.shape, np.int64) for _ in range(2))
        self._f1, self._score = np.zeros(self._num_gt.shape), np.full(self._num_gt.shape, np.nan)
        # The last detection of a block decides only when it is known that no other has its score.
        self._next_f1, self._next_score = self._f1.copy(), self._score.copy()

    def add(self, grouped, scores, hits):
        """Counts a block; [n], of detections that are right or wrong."""
        num_found = grouped.running(hits, self._found)
        counted = grouped.running(np.ones(len(scores), np.int64), self._counted)
        scores = scores[grouped.order]
        f1 = 2 * num_found / np.maximum(counted + self._num_gt[grouped.present[grouped.segment]], 1)
        for group, first, last in zip(grouped.present.tolist(), grouped.starts.tolist(), grouped.ends.tolist()):
            if scores[first] != self._next_score[group]:
                self._decide(group, self._next_f1[group], self._next_score[group])
            is_last = np.flatnonzero(scores[first:last] != scores[first + 1 : last + 1]) + first
            if len(is_last):
                best = is_last[np.argmax(f1[is_last])]
                self._decide(group, f1[best], scores[best])
            self._next_f1[group], self._next_score[group] = f1[last], scores[last]

    def _decide(self, group, f1, score):
        if f1 > self._f1[group]:
            self._f1[group], self._score[group] = f1, score

    def finish(self):
        """float64 [G]; NaN where nothing is right."""
        for group in range(len(self._f1)):
            self._decide(group, self._next_f1[group], self._next_score[group])
        return np.where(self._num_gt > 0, self._score, np.nan)
