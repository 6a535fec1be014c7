"""COCO's metrics of masks, under the Object Detection API's tags: `coco_mask_metrics`.

The rules are those of pycocotools' COCOeval with iouType "segm": the overlap of an object and a detection is that of
their masks, and the size of a detection is the area of its mask; the size of an object is what its record says. Masks
are compared when an image arrives, and only the pairs that overlap stay in memory.

An object without a mask among objects with masks need not be found: detections that lie mostly in its box do not count,
as in a crowd.
"""

import dataclasses

import numpy as np

from tfodhelper import errors, mask_geometry
from tfodhelper.metrics import coco, coco_curves, examples, overlaps, set_metric

PREFIX = "DetectionMasks_"


@dataclasses.dataclass(frozen=True)
class _Image:
    """What stays of the masks of an image; rows are those of its boxes of known classes.

    Attributes:
      det, gt: int64 [P], rows of detections and objects whose masks overlap.
      overlap: float64 [P].
      det_area: float64 [D], pixels.
      has_mask: bool [N], of objects.
    """

    det: np.ndarray
    gt: np.ndarray
    overlap: np.ndarray
    det_area: np.ndarray
    has_mask: np.ndarray


class _MaskOverlaps(overlaps.Overlaps):
    """Overlaps of masks instead of boxes.

    Args:
      images: a `detection_set.DetectionSet`.
      pairs: `overlaps.Pairs`.
    """

    def __init__(self, images, pairs):
        self.images, self.pairs = images, pairs


class CocoMaskMetrics(set_metric.SetMetric):
    """mAP and AR of masks as COCO defines them.

    Args:
      categories, per_category, all_per_category, super_categories: see `coco.CocoDetectionMetrics`.
    """

    def __init__(self, categories, per_category=False, all_per_category=False, super_categories=None):
        super().__init__(categories)
        self._known = examples.Categories(categories)
        self._boxes = coco.CocoDetectionMetrics(
            categories, per_category, all_per_category, super_categories, prefix=PREFIX
        )
        self._seen, self._images = examples.SeenImages(), []

    def reset(self):
        """Forgets all images."""
        super().reset()
        self._seen, self._images = examples.SeenImages(), []

    def look(self, image_id, groundtruth, detections):
        """Compares the masks of an image; see `set_metric.SetMetric.look`."""
        if "masks" not in groundtruth or "masks" not in detections:
            missing = "the detections" if "masks" in groundtruth else "the records"
            raise errors.PredictionError(
                f"image {image_id}: coco_mask_metrics needs masks, and {missing} have none",
                fix="evaluate a model with masks on records with masks (eval_input_reader.load_instance_masks: true), "
                "or remove coco_mask_metrics from eval_config.metrics_set",
            )
        if self._seen.add(image_id) is not None:
            self._images.append(self._compare(groundtruth, detections))

    def _compare(self, groundtruth, detections):
        known = self._known.has(np.asarray(groundtruth["classes"], np.int64))
        usable = self._known.has(np.asarray(detections["classes"], np.int64))
        truth = [code for code, is_known in zip(groundtruth["masks"], known) if is_known]
        det_codes = [code for code, is_usable in zip(detections["masks"], usable) if is_usable]
        crowd = groundtruth.get("is_crowd")
        crowd = np.zeros(len(known), bool) if crowd is None or np.size(crowd) == 0 else np.asarray(crowd, bool)
        has_mask = np.array([code is not None for code in truth], bool)
        size = next((code["size"] for code in [*det_codes, *truth] if code is not None), [1, 1])
        boxes = np.asarray(groundtruth["boxes"], np.float64).reshape(-1, 4)[known]
        truth = [mask_geometry.encode_box(box, *size) if code is None else code for code, box in zip(truth, boxes)]
        values = mask_geometry.overlaps(det_codes, truth, crowd[known] | ~has_mask)
        det, gt = np.nonzero(values >= coco_curves.IOU_THRESHOLDS[0])
        return _Image(det, gt, values[det, gt], mask_geometry.areas(det_codes), has_mask)

    def compute(self, overlapping):
        """Returns {tag: value}; a figure without any ground truth is -1, as in COCO's own program."""
        images = overlapping.images
        by_id = {str(image_id): image for image_id, image in zip(self._seen.ids(), self._images)}
        in_order = [by_id[image_id] for image_id in images.image_ids]
        has_mask = _join([image.has_mask for image in in_order], bool)
        overlap = _join([image.overlap for image in in_order], np.float64)
        pairs = overlaps.Pairs(
            _join([image.det + start for image, start in zip(in_order, images.det_starts)], np.int64),
            _join([image.gt + start for image, start in zip(in_order, images.gt_starts)], np.int64),
            *(overlap, overlap),
        )
        masked = dataclasses.replace(images, gt_crowd=images.gt_crowd | ~has_mask)
        det_area = _join([image.det_area for image in in_order], np.float64)
        return self._boxes.figures(*coco_curves.compute(_MaskOverlaps(masked, pairs), det_area), images.names)


def _join(parts, dtype):
    return np.concatenate([np.zeros([0], dtype), *parts]).astype(dtype)
