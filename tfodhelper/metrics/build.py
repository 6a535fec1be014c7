"""From `eval_config` to metrics: the only reader of the configuration in this layer."""

import difflib

from tfodhelper import errors
from tfodhelper.metrics import coco, pascal_voc, proposal_recall


def _build_coco(eval_config, categories):
    return coco.CocoDetectionMetrics(
        categories,
        per_category=eval_config.include_metrics_per_category,
        all_per_category=eval_config.all_metrics_per_category,
        super_categories=_super_categories(eval_config, categories),
    )


def _build_pascal(eval_config, categories):
    del eval_config
    return pascal_voc.PascalVocMetrics(categories)


def _build_weighted_pascal(eval_config, categories):
    del eval_config
    return pascal_voc.PascalVocMetrics(categories, prefix="WeightedPascalBoxes", weighted=True)


def _build_precision_at_recall(eval_config, categories):
    bounds = (eval_config.recall_lower_bound, eval_config.recall_upper_bound)
    if not 0.0 <= bounds[0] <= bounds[1] <= 1.0:
        raise errors.ConfigError(
            "eval_config: recall_lower_bound and recall_upper_bound do not enclose a range",
            expected="0 <= recall_lower_bound <= recall_upper_bound <= 1",
            received=f"{bounds[0]:g} and {bounds[1]:g}",
            fix="set both in eval_config, or leave them out",
        )
    return pascal_voc.PascalVocMetrics(categories, prefix="PrecisionAtRecallBoxes", recall_bounds=bounds)


METRICS = {
    "coco_detection_metrics": _build_coco,
    "pascal_voc_detection_metrics": _build_pascal,
    "weighted_pascal_voc_detection_metrics": _build_weighted_pascal,
    "precision_at_recall_detection_metrics": _build_precision_at_recall,
}
DEFAULT_METRICS = ("coco_detection_metrics", "pascal_voc_detection_metrics")

# Further names that the Object Detection API knows, and what they would need.
_NEED_MORE = {
    "coco_keypoint_metrics": "keypoints",
    "coco_mask_metrics": "instance masks",
    "coco_panoptic_metrics": "panoptic segmentation",
    "lvis_mask_metrics": "instance masks",
    "oid_V2_detection_metrics": "Open Images' group-of flags",
    "oid_challenge_detection_metrics": "Open Images' group-of flags and image labels",
    "oid_challenge_segmentation_metrics": "instance masks",
    "pascal_voc_instance_segmentation_metrics": "instance masks",
    "weighted_pascal_voc_instance_segmentation_metrics": "instance masks",
}


class MetricsGroup:
    """Several metrics that see the same images.

    Args:
      members: objects with `reset`, `update` and `result`.
    """

    def __init__(self, members):
        self._members = tuple(members)
        self._num_images = 0

    @property
    def num_images(self):
        """How many images were counted since the last reset."""
        return self._num_images

    def reset(self):
        """Forgets all images."""
        self._num_images = 0
        for member in self._members:
            member.reset()

    def update(self, image_id, groundtruth, detections):
        """Counts one image in every metric.

        Args:
          image_id: int, str or bytes, unique in the evaluation set.
          groundtruth: dict, see `examples.check_groundtruth`.
          detections: dict, see `examples.check_predictions`.
        """
        self._num_images += 1
        for member in self._members:
            member.update(image_id, groundtruth, detections)

    def result(self):
        """Returns {tag: float} of all metrics."""
        figures = {}
        for member in self._members:
            figures.update(member.result())
        return figures


def check_metrics_set(names):
    """Checks the names of `eval_config.metrics_set`.

    Raises:
      ConfigError: for a metric that is not supported; it lists those that are.
    """
    for name in names:
        if name in METRICS:
            continue
        near = difflib.get_close_matches(name, METRICS, n=1)
        raise errors.ConfigError(
            f"eval_config.metrics_set: {name!r} is not supported"
            + (f": it needs {_NEED_MORE[name]}" if name in _NEED_MORE else ""),
            expected=", ".join(METRICS),
            received=name,
            fix=f"write {near[0]!r}" if near and name not in _NEED_MORE else "remove it from metrics_set",
        )


def build_metrics(eval_config, categories, always=DEFAULT_METRICS):
    """Builds what `eval_config.metrics_set` asks for.

    Args:
      eval_config: an EvalConfig message.
      categories: {id: name} of the label map, ids from 1.
      always: names of metrics that are computed in addition to those of the configuration.

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
    check_metrics_set(eval_config.metrics_set)
    names = list(dict.fromkeys([*eval_config.metrics_set, *always]))
    return MetricsGroup([METRICS[name](eval_config, categories) for name in names])


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


def _super_categories(eval_config, categories):
    """{super category: [names of categories]} of the comma-separated lists in the configuration."""
    groups = {}
    known = set(categories.values())
    for name, members in sorted(eval_config.super_categories.items()):
        groups[name] = [member.strip() for member in members.split(",") if member.strip()]
        for member in groups[name]:
            if member not in known:
                near = difflib.get_close_matches(member, known, n=3)
                raise errors.ConfigError(
                    f"eval_config.super_categories: {name!r} names a class that the label map does not have",
                    expected=", ".join(near) if near else "a name of the label map",
                    received=member,
                    fix="correct the name in eval_config.super_categories",
                )
    return groups
