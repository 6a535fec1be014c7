"""Values of an EvalConfig message: the names of metrics, which are computed, and what the others would need.

Needs nothing else of the metrics, so that a configuration is checked at once.
"""

from tfodhelper import errors, spelling

COCO = "coco_detection_metrics"
COCO_MASKS = "coco_mask_metrics"
PASCAL_VOC = "pascal_voc_detection_metrics"
WEIGHTED_PASCAL_VOC = "weighted_pascal_voc_detection_metrics"
PRECISION_AT_RECALL = "precision_at_recall_detection_metrics"
PASCAL_VOC_2007 = "pascal_voc_2007_detection_metrics"  # the mean of eleven points; a name of this program
OPEN_IMAGES = "oid_V2_detection_metrics"
OPEN_IMAGES_CHALLENGE = "oid_challenge_detection_metrics"
COMPUTED = (COCO, PASCAL_VOC, PASCAL_VOC_2007, WEIGHTED_PASCAL_VOC, PRECISION_AT_RECALL, OPEN_IMAGES)
COMPUTED += (OPEN_IMAGES_CHALLENGE, COCO_MASKS)
DEFAULT = (COCO, PASCAL_VOC)  # always computed

# Names that older published configurations have for the same metrics.
_FORMER_NAMES = {
    "open_images_metrics": OPEN_IMAGES,
    "open_images_detection_metrics": OPEN_IMAGES,
    "open_images_V2_detection_metrics": OPEN_IMAGES,
    "oid_challenge_object_detection_metrics": OPEN_IMAGES_CHALLENGE,
}
# Further names that the Object Detection API knows, and what they would need.
_NEED_MORE = {
    "coco_keypoint_metrics": "keypoints",
    "coco_panoptic_metrics": "panoptic segmentation",
    "lvis_mask_metrics": "instance masks",
    "oid_challenge_segmentation_metrics": "instance masks",
    "pascal_voc_instance_segmentation_metrics": "instance masks",
    "weighted_pascal_voc_instance_segmentation_metrics": "instance masks",
}


def check_eval_config(eval_config, class_names=None):
    """Checks an EvalConfig message.

    Args:
      eval_config: the message.
      class_names: names of the label map; None: not known yet, and super categories are not compared with them.

    Raises:
      ConfigError: a metric is not supported, recall bounds do not enclose a range, or a super category has an unknown
        member.
    """
    computed = computed_of(eval_config.metrics_set)
    low, high = eval_config.recall_lower_bound, eval_config.recall_upper_bound
    if PRECISION_AT_RECALL in computed and not 0.0 <= low <= high <= 1.0:
        raise errors.ConfigError(
            "eval_config: recall_lower_bound and recall_upper_bound do not enclose a range",
            expected="0 <= recall_lower_bound <= recall_upper_bound <= 1",
            received=f"{low:g} and {high:g}",
            fix="set both in eval_config, or leave them out",
        )
    if class_names is not None:
        _check_super_categories(eval_config, set(class_names))


def super_categories_of(eval_config):
    """{super category: [names of classes]} of the comma-separated lists in an EvalConfig message."""
    return {
        name: [member.strip() for member in members.split(",") if member.strip()]
        for name, members in sorted(eval_config.super_categories.items())
    }


def _check_super_categories(eval_config, known):
    for name, members in super_categories_of(eval_config).items():
        for member in members:
            if member not in known:
                near = spelling.nearest(member, known)
                raise errors.ConfigError(
                    f"eval_config.super_categories: {name!r} names a class that the label map does not have",
                    expected=", ".join(near) if near else "a name of the label map",
                    received=member,
                    fix="correct the name in eval_config.super_categories",
                )


def computed_of(names):
    """The names in a metrics_set, in order, each once; former names as today's.

    Raises:
      ConfigError: for a name that is unknown, or of something that detectors of boxes do not give; it lists those that
        are computed.
    """
    today = [_FORMER_NAMES.get(name, name) for name in names]
    for name in today:
        if name not in COMPUTED:
            raise _unknown(name)
    return list(dict.fromkeys(today))


def _unknown(name):
    near = spelling.nearest(name, COMPUTED, count=1) if name not in _NEED_MORE else []
    needed = f": it needs {_NEED_MORE[name]}" if name in _NEED_MORE else ""
    return errors.ConfigError(
        f"eval_config.metrics_set: {name!r} is not supported{needed}",
        expected=", ".join(COMPUTED),
        received=name,
        fix=f"write {near[0]!r}" if near else "remove it from metrics_set",
    )
