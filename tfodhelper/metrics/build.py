"""From `eval_config` to metrics: the only reader of the configuration in this layer."""

import functools

from tfodhelper import errors
from tfodhelper.metrics import (
    analysis,
    coco,
    coco_masks,
    collector,
    eval_values,
    open_images,
    overlaps,
    pascal_voc,
    proposal_recall,
)


def _build_coco(eval_config, categories, iou_threshold, kind=coco.CocoDetectionMetrics):
    del iou_threshold  # COCO has its own ones
    return kind(
        categories,
        per_category=eval_config.include_metrics_per_category,
        all_per_category=eval_config.all_metrics_per_category,
        super_categories=eval_values.super_categories_of(eval_config),
    )


def _build_pascal(eval_config, categories, iou_threshold):
    del eval_config
    return pascal_voc.PascalVocMetrics(categories, iou_threshold=iou_threshold)


def _build_pascal_2007(eval_config, categories, iou_threshold):
    del eval_config
    return pascal_voc.PascalVocMetrics(
        categories, prefix="Pascal2007Boxes", eleven_points=True, iou_threshold=iou_threshold
    )


def _build_weighted_pascal(eval_config, categories, iou_threshold):
    del eval_config
    return pascal_voc.PascalVocMetrics(
        categories, prefix="WeightedPascalBoxes", weighted=True, iou_threshold=iou_threshold
    )


def _build_precision_at_recall(eval_config, categories, iou_threshold):
    bounds = (eval_config.recall_lower_bound, eval_config.recall_upper_bound)
    return pascal_voc.PascalVocMetrics(
        categories, prefix="PrecisionAtRecallBoxes", recall_bounds=bounds, iou_threshold=iou_threshold
    )


def _build_open_images(eval_config, categories, iou_threshold):
    del eval_config
    return open_images.OpenImagesMetrics(categories, iou_threshold=iou_threshold)


def _build_open_images_challenge(eval_config, categories, iou_threshold):
    del eval_config
    return open_images.OpenImagesMetrics(
        categories,
        prefix=open_images.CHALLENGE_PREFIX,
        iou_threshold=iou_threshold,
        group_weight=1.0,
        only_verified=True,
    )


METRICS = {
    eval_values.COCO: _build_coco,
    eval_values.COCO_MASKS: functools.partial(_build_coco, kind=coco_masks.CocoMaskMetrics),
    eval_values.PASCAL_VOC: _build_pascal,
    eval_values.PASCAL_VOC_2007: _build_pascal_2007,
    eval_values.WEIGHTED_PASCAL_VOC: _build_weighted_pascal,
    eval_values.PRECISION_AT_RECALL: _build_precision_at_recall,
    eval_values.OPEN_IMAGES: _build_open_images,
    eval_values.OPEN_IMAGES_CHALLENGE: _build_open_images_challenge,
}


class MetricsGroup:
    """Several metrics of the same images, which are collected and compared with the detections once.

    Args:
      members: of `set_metric.SetMetric`.
      categories: {id: name} of the label map, ids from 1.
    """

    def __init__(self, members, categories):
        self._members = tuple(members)
        self._collector = collector.Collector(categories)
        self._overlapping = None

    @property
    def num_images(self):
        """How many images were counted since the last reset."""
        return self._collector.num_images

    def reset(self):
        """Forgets all images."""
        self._collector.reset()
        self._overlapping = None
        for member in self._members:
            member.reset()

    def update(self, image_id, groundtruth, detections, name=None, size=None):
        """Counts one image in every metric; an image whose id has already come is left out.

        Args:
          image_id: int, str or bytes, unique in the evaluation set.
          groundtruth: dict, see `examples.check_groundtruth`.
          detections: dict, see `examples.check_predictions`.
          name: the path of the image, for those who look at single images; defaults to the id.
          size: height and width of the stored image, pixels.
        """
        for member in self._members:
            member.look(image_id, groundtruth, detections)
        self._collector.add(image_id, groundtruth, detections, name, size)
        self._overlapping = None

    def overlapping(self):
        """The `overlaps.SetOverlaps` of all images so far."""
        if self._overlapping is None:
            least = min([overlaps.LEAST, *(member.least_overlap for member in self._members)])
            self._overlapping = overlaps.SetOverlaps(self._collector.finish(), least)
        return self._overlapping

    @property
    def masks_of(self):
        """A function of an index in `overlapping().images`, see `mask_file.write_masks`; None without masks."""
        masked = next((member for member in self._members if isinstance(member, coco_masks.CocoMaskMetrics)), None)
        image_ids = self.overlapping().images.image_ids
        return None if masked is None else lambda index: masked.masks_of(image_ids[index])

    def result(self):
        """Returns {tag: float} of all metrics."""
        figures, overlapping = {}, self.overlapping()
        # All in one pass, with what the analysis of the set asks for: it always follows.
        overlapping.results(*(request for member in self._members for request in member.requests()), *analysis.REQUESTS)
        for member in self._members:
            figures.update(member.compute(overlapping))
        return figures


def build_metrics(eval_config, categories, always=eval_values.DEFAULT, iou_threshold=0.5):
    """Builds what `eval_config.metrics_set` asks for.

    Args:
      eval_config: an EvalConfig message.
      categories: {id: name} of the label map, ids from 1.
      always: names of metrics that are computed in addition to those of the configuration.
      iou_threshold: overlap of a match, for the metrics of PASCAL VOC and Open Images.

    Returns:
      `MetricsGroup`.

    Raises:
      ConfigError: for an unknown metric, for recall bounds that enclose nothing, for a super category with an
        unknown member, and for a label map without classes.
    """
    if not categories or min(categories) < 1:
        raise errors.ConfigError(
            "evaluation needs a label map with at least one class, and ids from 1",
            received=f"ids {sorted(categories)[:5]}",
            fix="correct eval_input_reader.label_map_path",
        )
    eval_values.check_eval_config(eval_config, categories.values())
    chosen = dict.fromkeys([*eval_values.computed_of(eval_config.metrics_set), *always])
    return MetricsGroup([METRICS[name](eval_config, categories, iou_threshold) for name in chosen], categories)


def build_proposal_recall(eval_config, categories):
    """Builds the additional figures of two-stage detectors: the recall of their proposals.

    Args:
      eval_config: an EvalConfig message.
      categories: {id: name} of the label map, ids from 1.

    Returns:
      `proposal_recall.ProposalRecall`, with figures by class and size where the configuration has them for detections.
    """
    return proposal_recall.ProposalRecall(
        categories,
        per_category=eval_config.include_metrics_per_category,
        all_per_category=eval_config.all_metrics_per_category,
    )
