"""COCO's metrics of masks, under the Object Detection API's tags: `coco_mask_metrics`.

The rules are those of pycocotools' COCOeval with iouType "segm": the overlap of an object and a detection is that of
their masks, and the size of a detection is the area of its mask; the size of an object is what its record says. Masks
are compared when an image arrives, and only the pairs that overlap are kept.

An object without a mask among objects with masks need not be found: detections that lie mostly in its box do not count,
as in a crowd.
"""

import dataclasses
import json

import numpy as np

from tfodhelper import errors, mask_geometry
from tfodhelper.metrics import coco, coco_curves, collector, examples, overlaps, set_metric

PREFIX = "DetectionMasks_"


_PAIR = np.dtype([("det", np.int32), ("gt", np.int32), ("overlap", np.float64)])  # rows of an image whose masks overlap


class _MaskOverlaps(overlaps.Overlaps):
    """Overlaps of masks instead of boxes.

    Args:
      images: a `detection_set.DetectionSet`.
      pairs: `overlaps.Pairs`.
    """

    def __init__(self, images, pairs):
        self.images, self.pairs, self._facts = images, pairs, {}


def _to_text(code):
    """A run-length code as plain values."""
    return None if code is None else {"size": list(map(int, code["size"])), "counts": code["counts"].decode("ascii")}


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
        self._forget()

    def reset(self):
        """Forgets all images."""
        super().reset()
        self._forget()

    def _forget(self):
        self._seen = examples.SeenImages()
        # Of each image: pairs, areas of detections in pixels, and whether objects have masks.
        self._pairs, self._areas, self._has_mask = (
            collector.RowsOfImages(dtype) for dtype in (_PAIR, np.float64, bool)
        )
        self._codes = collector.RowsOfImages(np.uint8)  # of objects and detections, JSON

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
            self._compare(groundtruth, detections)

    def _compare(self, groundtruth, detections):
        known = self._known.has(np.asarray(groundtruth["classes"], np.int64))
        usable = self._known.has(np.asarray(detections["classes"], np.int64))
        truth = [code for code, is_known in zip(groundtruth["masks"], known) if is_known]
        det_codes = [code for code, is_usable in zip(detections["masks"], usable) if is_usable]
        texts = {"objects": list(map(_to_text, truth)), "detections": list(map(_to_text, det_codes))}
        self._codes.add(np.frombuffer(json.dumps(texts).encode("ascii"), np.uint8))
        crowd = groundtruth.get("is_crowd")
        crowd = np.zeros(len(known), bool) if crowd is None or np.size(crowd) == 0 else np.asarray(crowd, bool)
        has_mask = np.array([code is not None for code in truth], bool)
        size = next((code["size"] for code in [*det_codes, *truth] if code is not None), [1, 1])
        boxes = np.asarray(groundtruth["boxes"], np.float64).reshape(-1, 4)[known]
        truth = [mask_geometry.encode_box(box, *size) if code is None else code for code, box in zip(truth, boxes)]
        values = mask_geometry.overlaps(det_codes, truth, crowd[known] | ~has_mask)
        det, gt = np.nonzero(values >= coco_curves.IOU_THRESHOLDS[0])
        pairs = np.empty([len(det)], _PAIR)
        pairs["det"], pairs["gt"], pairs["overlap"] = det, gt, values[det, gt]
        for table, rows in (
            (self._pairs, pairs),
            (self._areas, mask_geometry.areas(det_codes)),
            (self._has_mask, has_mask),
        ):
            table.add(rows)

    def masks_of(self, image_id):
        """{"objects", "detections"}: run-length codes of an image as plain values, None where there is no mask.

        Args:
          image_id: text, as `DetectionSet.image_ids` has it.
        """
        index = next(index for index, own in enumerate(self._seen.ids()) if str(own) == image_id)
        return json.loads(self._codes.read(np.array([index])).tobytes())

    def requests(self):
        """Nothing that others could use: masks have overlaps of their own."""
        return ()

    def compute(self, overlapping):
        """Returns {tag: value}; a figure without any ground truth is -1, as in COCO's own program."""
        arrival = {str(image_id): index for index, image_id in enumerate(self._seen.ids())}
        tally = coco_curves.CocoTally(overlapping.images.num_classes)
        for images in overlapping.images.parts():
            order = np.array([arrival[image_id] for image_id in images.image_ids], np.int64)
            tally.add(self._overlaps_of(images, order), self._areas.read(order))
        return self._boxes.figures(*tally.finish(), overlapping.images.names)

    def _overlaps_of(self, images, order):
        """The overlaps of the masks of a part of the images, which arrived in this order."""
        pairs, counts = self._pairs.read(order), self._pairs.counts(order)
        first_det, first_gt = (np.repeat(starts[:-1], counts) for starts in (images.det_starts, images.gt_starts))
        pairs = overlaps.Pairs(pairs["det"] + first_det, pairs["gt"] + first_gt, *(pairs["overlap"].copy(),) * 2)
        masked = dataclasses.replace(images, gt_crowd=images.gt_crowd | ~self._has_mask.read(order))
        return _MaskOverlaps(masked, pairs)
