"""Average precision of a changed list of detections: what the errors of a detector cost.

The average precision is COCO's at one overlap: the mean of the interpolated precision at 101 levels of recall, and over
the classes that have objects.
"""

import numpy as np

from tfodhelper.metrics import coco_curves

# The same levels as COCO's but for the last bit, which decides where a recall is a level, such as 29 of 100 objects.
_LEVELS = np.arange(101) / 100


def average_precisions(classes, hits, num_gt):
    """Average precision of each class.

    Args:
      classes: [n], rows of classes, of detections in descending order of score.
      hits: bool [n], whether they are right.
      num_gt: [K], objects of each class.

    Returns:
      float64 [K]; NaN for a class that has neither objects nor detections, 0 for one that has no objects left.
    """
    return interpolated(classes, hits, num_gt, _LEVELS).mean(axis=1)


def interpolated(classes, hits, num_gt, levels=coco_curves.RECALL_LEVELS):
    """Precision at levels of recall, of each class; arguments as `average_precisions`; float64 [K, R]."""
    order = np.argsort(classes, kind="stable")
    starts = np.searchsorted(classes[order], np.arange(len(num_gt) + 1))
    values = np.full([len(num_gt), len(levels)], np.nan)
    for k, (first, last) in enumerate(zip(starts[:-1], starts[1:])):
        if num_gt[k] > 0:
            totals = np.flatnonzero(hits[order[first:last]]) + 1
            values[k] = coco_curves.interpolate(totals, num_gt[k], levels)
        elif last > first:
            values[k] = 0.0
    return values
