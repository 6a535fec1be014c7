"""How far a difference between two models on the same images may be chance: the jackknife over groups of images.

The difference is measured once without each group; its spread over the groups, times what is common to them, is the
standard error (Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 11). What both models find hard
does not count, since it is the difference whose spread is taken.
"""

import dataclasses
import math

import numpy as np

from tfodhelper.metrics import coco, detection_set, overlaps

_NUM_GROUPS = 20  # so that the cost does not grow with the images


def has_figure(tag):
    """Whether `standard_error` knows a figure: those of boxes as COCO has them."""
    return tag.removeprefix(coco.PREFIX) in coco.FIGURES and tag.startswith(coco.PREFIX)


def standard_error(first, second, tag):
    """The standard error of the difference of a figure.

    Args:
      first, second: `detection_set.DetectionSet`s of the same images, in the same order.
      tag: of the figure, as `coco.CocoDetectionMetrics` has it.

    Returns:
      At least 0; None if there are less than two images, or the figure cannot be measured without some group.
    """
    number = min(_NUM_GROUPS, first.num_images)
    differences = []
    for group in range(number if number > 1 else 0):
        rows = np.flatnonzero(np.arange(first.num_images) % number != group)
        values = [_figure(take(images, rows), tag) for images in (first, second)]
        if coco.coco_curves.NO_GROUNDTRUTH in values:
            return None
        differences.append(values[0] - values[1])
    if not differences:
        return None
    return float(math.sqrt((number - 1) * np.var(differences)))


def _figure(images, tag):
    categories = {int(id_): name for id_, name in zip(images.class_ids, images.names)}
    return coco.CocoDetectionMetrics(categories).compute(overlaps.SetOverlaps(images))[tag]


def take(images, rows):
    """The `detection_set.DetectionSet` of some images of another one; no verified labels.

    Args:
      images: a `detection_set.DetectionSet`.
      rows: int [n] of images, each at most once, ascending.
    """
    columns = {}
    for kind, starts in (("gt", images.gt_starts), ("det", images.det_starts)):
        counts = np.diff(starts)
        is_taken = np.repeat(np.isin(np.arange(images.num_images), rows), counts)
        names = detection_set.GT_COLUMNS if kind == "gt" else detection_set.DET_COLUMNS
        columns |= {name: getattr(images, name)[is_taken] for name in names}
        columns[f"{kind}_starts"] = np.concatenate([[0], np.cumsum(counts[rows])]).astype(np.int64)
    return dataclasses.replace(
        images,
        image_ids=tuple(images.image_ids[row] for row in rows),
        image_names=tuple(images.image_names[row] for row in rows),
        image_sizes=images.image_sizes[rows],
        verified_image=np.zeros(0, np.int32),
        verified_class=np.zeros(0, np.int32),
        **columns,
    )
