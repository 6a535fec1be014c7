"""How much of the ground truth is among the proposals of a two-stage detector: the most its second stage can find.

Recall at an overlap of 0.5, and average recall over overlaps of 0.5 to 0.95 (Hosang et al. 2015, arXiv 1502.05082),
with the first 10, 100, 300 and 500 proposals of an image. Proposals have no class; matching is COCO's (`coco.assign`)
without classes. Where a detector gives fewer proposals than a figure names, the figure is that of all of them.
"""

import numpy as np

from tfodhelper.metrics import coco, coco_curves, examples

NUM_PROPOSALS = (10, 100, 300, 500)
PREFIX = "ProposalBoxes_Recall/"
AREAS = ("", " (small)", " (medium)", " (large)")  # in the order of coco_curves.AREA_RANGES

_KINDS = {"AR": slice(None), "Recall@.50IOU": slice(0, 1)}  # tag -> overlap thresholds whose mean it is


class ProposalRecall:
    """Recall of proposals: overall, by size and, if requested, by class.

    Args:
      categories: {id: name}, ids from 1; ground truth of another class counts overall, but in no class.
      per_category: adds the figures of each class.
      all_per_category: with `per_category`, adds the figures of each class by size.
    """

    def __init__(self, categories, per_category=False, all_per_category=False):
        self._categories = examples.Categories(categories)
        self._per_category, self._all_per_category = per_category, all_per_category
        self.reset()

    def reset(self):
        """Forgets all images."""
        shape = [len(self._categories) + 1, len(coco_curves.AREA_RANGES)]  # the last row: classes that are not known
        self._num_gt = np.zeros(shape, np.int64)
        self._num_found = np.zeros([len(NUM_PROPOSALS), *shape, len(coco_curves.IOU_THRESHOLDS)], np.int64)
        self._seen = examples.SeenImages()

    def update(self, image_id, groundtruth, proposals):
        """Counts one image; an image whose id has already come is left out.

        Args:
          image_id: int or str.
          groundtruth: see `examples.check_groundtruth`.
          proposals: [P, 4] ymin, xmin, ymax, xmax in pixels of the original image, the best first, without padding.
        """
        gt = examples.check_groundtruth(image_id, groundtruth)
        boxes = examples.check_boxes(image_id, "proposal", proposals)[: NUM_PROPOSALS[-1]]
        if self._seen.add(image_id) is None:
            return
        gt_ignored = gt.is_crowd | coco_curves.outside_ranges(gt.area)
        assigned = coco.assign(coco.compute_ious(boxes, gt.boxes, gt.is_crowd), gt_ignored, gt.is_crowd)
        rows = self._categories.row_of(gt.classes)
        for area, ignored in enumerate(gt_ignored):
            np.add.at(self._num_gt[:, area], rows[~ignored], 1)
            for position, number in enumerate(NUM_PROPOSALS):
                for threshold in range(len(coco_curves.IOU_THRESHOLDS)):
                    taken = assigned[:number, area, threshold]
                    taken = taken[taken != coco.NO_BOX]
                    np.add.at(self._num_found[position, :, area, threshold], rows[taken[~ignored[taken]]], 1)

    def result(self):
        """Returns {tag: value}; a figure without any ground truth is -1."""
        figures = self._figures(slice(None), len(AREAS), lambda tag: PREFIX + tag)
        if self._per_category:
            areas = len(AREAS) if self._all_per_category else 1
            for row, name in enumerate(self._categories.names):
                figures.update(self._figures([row], areas, lambda tag, name=name: f"{PREFIX}{tag} ByCategory/{name}"))
        return figures

    def _figures(self, rows, num_areas, name):
        figures = {}
        for kind, thresholds in _KINDS.items():
            for position, number in enumerate(NUM_PROPOSALS):
                for area in range(num_areas):
                    num_gt = self._num_gt[rows, area].sum()
                    num_found = self._num_found[position, rows, area, thresholds].sum(axis=0)
                    value = float((num_found / num_gt).mean()) if num_gt else coco_curves.NO_GROUNDTRUTH
                    figures[name(f"{kind}@{number}{AREAS[area]}")] = value
        return figures
