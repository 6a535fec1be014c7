"""Detection metrics of Open Images, with the Object Detection API's rules and tags.

storage.googleapis.com/openimages/web/evaluation.html: the average precision of PASCAL VOC with boxes around groups of
objects ("group of"), and with image labels. What a detection inside a group is worth, and which classes are judged in
an image, differ between the metric of version 2 and that of the challenges.
"""

import dataclasses

import numpy as np

from tfodhelper.metrics import pascal_voc

V2_PREFIX, CHALLENGE_PREFIX = "OpenImagesV2", "OpenImagesDetectionChallenge"


@dataclasses.dataclass(frozen=True)
class OpenImagesCurves:
    """Asks for the `pascal_voc.Curves` of Open Images; attributes as arguments of `OpenImagesMetrics`."""

    iou_threshold: float
    group_weight: float
    only_verified: bool

    def start(self, images):
        """The `Curves`."""
        return pascal_voc.Curves(images.num_classes, self._judge)

    def _judge(self, part):
        images, pairs = part.images, part.same_class
        is_single = ~images.gt_group_of[pairs.gt]
        nothing = np.zeros(len(images.gt_class), bool)
        hits, counts = pascal_voc.judge(part, pairs.where(is_single), self.iou_threshold, nothing)
        if self.only_verified:
            counts &= _is_judged(images)
        inside = pairs.where(~is_single & (pairs.ioa >= self.iou_threshold))
        inside = inside.where(counts[inside.det] & ~hits[inside.det])
        inside = inside.where(pascal_voc.best_pairs(inside, inside.ioa))
        counts[inside.det] = False
        groups, scores = self._found_groups(inside, images.det_scores)
        chosen = np.flatnonzero(counts)
        singles, in_groups = (
            np.bincount(images.gt_class[rows], minlength=images.num_classes)
            for rows in (~images.gt_group_of, images.gt_group_of)
        )
        # Of equal scores in an image, groups come first, the last one at the head.
        rows = -1 - (groups + images.first_gt)
        worth = np.full(len(groups), self.group_weight)
        return (
            singles + self.group_weight * in_groups,
            pascal_voc.list_detections(images, chosen, hits[chosen]),
            (scores, images.gt_class[groups], images.gt_image[groups], rows, worth),
        )

    def _found_groups(self, inside, scores):
        """(rows of the groups that are found; the best score in each)."""
        if self.group_weight <= 0:
            return np.zeros([0], np.int64), np.zeros([0])
        best = np.zeros(inside.gt.max(initial=-1) + 1)
        np.maximum.at(best, inside.gt, scores[inside.det])
        groups = np.flatnonzero(best > 0)
        return groups, best[groups]


class OpenImagesMetrics(pascal_voc.PascalVocMetrics):
    """Average precision of each class and their mean.

    A detection that has found no object, but has at least the share `iou_threshold` of its area in a group of its
    class, is not wrong. Difficult objects count like others.

    Args:
      categories: {id: name}, ids from 1.
      prefix: beginning of the tags.
      iou_threshold: the minimum overlap of a match.
      group_weight: what a group counts as, in objects; the best detection inside finds it. With 0, detections inside
        are left out.
      only_verified: only detections of classes that were verified for the image, or have an object there, are judged.
    """

    def __init__(self, categories, prefix=V2_PREFIX, iou_threshold=0.5, group_weight=0.0, only_verified=False):
        super().__init__(categories, prefix=prefix, iou_threshold=iou_threshold)
        self._curves = OpenImagesCurves(iou_threshold, group_weight, only_verified)

    def requests(self):
        """What the figures are made of."""
        return (self._curves,)


def _is_judged(images):
    """Which detections are of a class that was verified for their image, or has an object there; bool [D]."""
    known = np.concatenate(
        [
            images.verified_image.astype(np.int64) * images.num_classes + images.verified_class,
            images.gt_image.astype(np.int64) * images.num_classes + images.gt_class,
        ]
    )
    return np.isin(images.det_image.astype(np.int64) * images.num_classes + images.det_class, known)
