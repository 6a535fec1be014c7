"""From the configuration to metrics."""

import types

import pytest

from tfodhelper import errors
from tfodhelper.metrics import build

CATEGORIES = {1: "cat", 2: "dog"}
IMAGE = ({"boxes": [[0, 0, 9, 9]], "classes": [1]}, {"boxes": [[0, 0, 9, 9]], "classes": [1], "scores": [0.9]})


def config(**changes):
    values = {
        "metrics_set": [],
        "include_metrics_per_category": False,
        "all_metrics_per_category": False,
        "super_categories": {},
        "recall_lower_bound": 0.0,
        "recall_upper_bound": 1.0,
    }
    return types.SimpleNamespace(**{**values, **changes})


def result_of(eval_config, **options):
    metrics = build.build_metrics(eval_config, CATEGORIES, **options)
    metrics.update(b"1", *IMAGE)
    return metrics.result()


def test_coco_and_pascal_are_always_there():
    figures = result_of(config(metrics_set=["coco_detection_metrics"]))
    assert figures["DetectionBoxes_Precision/mAP@.50IOU"] == pytest.approx(1.0)
    assert figures["PascalBoxes_Precision/mAP@0.5IOU"] == 1.0
    assert len(figures) == 12 + 1 + 2


def test_only_what_is_asked_for():
    figures = result_of(config(metrics_set=["weighted_pascal_voc_detection_metrics"]), always=())
    assert all(tag.startswith("WeightedPascalBoxes_") for tag in figures) and len(figures) == 3


def test_options_reach_the_metrics():
    figures = result_of(
        config(
            metrics_set=["precision_at_recall_detection_metrics"],
            recall_lower_bound=0.25,
            recall_upper_bound=0.5,
            include_metrics_per_category=True,
            super_categories={"pet": "cat, dog"},
        )
    )
    assert "PrecisionAtRecallBoxes_Precision/mAP@0.5IOU@[0.2,0.5]Recall" in figures
    assert figures["DetectionBoxes_PerformanceByCategory/mAP/cat"] == pytest.approx(1.0)
    assert figures["DetectionBoxes_PerformanceBySuperCategory/pet"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "name, words",
    [
        ("coco_detection_metric", "write 'coco_detection_metrics'"),
        ("coco_keypoint_metrics", "keypoints"),
        ("nonsense", "remove it"),
    ],
)
def test_unknown_metric(name, words):
    with pytest.raises(errors.ConfigError, match=words) as caught:
        build.build_metrics(config(metrics_set=[name]), CATEGORIES)
    assert "pascal_voc_detection_metrics" in str(caught.value)


@pytest.mark.parametrize(
    "changes, categories",
    [
        ({"super_categories": {"pet": "cat,dgo"}}, CATEGORIES),
        (
            {
                "metrics_set": ["precision_at_recall_detection_metrics"],
                "recall_lower_bound": 0.9,
                "recall_upper_bound": 0.1,
            },
            CATEGORIES,
        ),
        ({}, {}),
        ({}, {0: "background"}),
    ],
)
def test_configurations_that_cannot_be_meant(changes, categories):
    with pytest.raises(errors.ConfigError):
        build.build_metrics(config(**changes), categories)


def test_group_counts_and_forgets():
    metrics = build.build_metrics(config(), CATEGORIES)
    metrics.update("1", *IMAGE)
    assert metrics.num_images == 1
    metrics.reset()
    assert metrics.num_images == 0
    assert metrics.result()["DetectionBoxes_Precision/mAP"] == -1.0
