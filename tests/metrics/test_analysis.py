"""The analysis of an evaluation: its parts agree with each other and with figures computed by other means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import sets
from tests.metrics.by_hand import FAR, NOTHING, A, B, found_of
from tfodhelper.metrics import analysis, analysis_file, coco, error_kinds, operating_points


def analyze(*images):
    overlapping = sets.collect(*images)
    figures = coco.CocoDetectionMetrics(sets.CATEGORIES).compute(overlapping)
    return overlapping, analysis.analyze(overlapping, figures)


@given(st.integers(0, 300), st.booleans(), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_the_parts_agree(tmp_path_factory, seed, ties, num_images):
    overlapping, found = analyze(*sets.random_images(seed, num_images, ties))
    analysis_file.write_analysis(tmp_path_factory.mktemp("evaluation"), found)  # checks its shape
    summary, rows = found["summary"], found["per_class"]
    for name in ("tp", "fp", "fn", "num_objects"):
        assert summary[name] == sum(row[name] for row in rows)
    matrix = np.array(found["confusion"]["matrix"])
    assert np.trace(matrix) == summary["tp"]
    assert matrix[:, :-1].sum() == summary["tp"] + summary["fp"]
    assert matrix[:-1].sum() == summary["tp"] + summary["fn"] == summary["num_objects"]
    sizes, histogram = found["sizes"]["ranges"], found["sizes"]["histogram"]
    for kind, total in (("found", summary["tp"]), ("missed", summary["fn"])):
        assert sum(row[kind] for row in sizes) == sum(histogram[kind]) == total
    assert (
        sum(row["count"] for row in found["calibration"]["bins"])
        == (~sets.in_one(overlapping).matches.is_ignored).sum()
    )
    kinds = found["errors"]["kinds"]
    for name in error_kinds.NAMES:
        assert kinds[name]["count"] == sum(row["counts"][name] for row in found["errors"]["per_class"])
    assert len(found["worst"]["misses"]) == min(summary["fn"], 50)
    assert len(found["worst"]["false_positives"]) == min(summary["fp"], 50)
    assert sum(row["fp"] + row["fn"] for row in found["worst"]["images"]) == summary["fp"] + summary["fn"]


def test_curves_are_the_counts_at_each_threshold():
    overlapping, found = analyze(*sets.random_images(7, 12))
    curve = found["curves"]["overall"]
    for index in (0, 25, 60, 75):
        (counts,) = overlapping.results(operating_points.CountsAt((curve["score"][index],)))
        assert [curve["recall"][index]] == pytest.approx(counts.together().recall, abs=1e-6)
        assert [curve["precision"][index]] == pytest.approx(counts.together().precision, abs=1e-6)


def test_precision_at_recall_is_that_of_coco_where_all_objects_count():
    images = sets.random_images(11, 12)
    for gt, _ in images:
        for name in ("is_crowd", "difficult", "group_of"):
            del gt[name]
    _, found = analyze(*images)
    for row, curve in zip(found["per_class"], found["curves"]["per_class"]):
        assert np.mean(curve["precision_at_recall"]) == pytest.approx(row["ap50"], abs=1e-6)
    assert found["summary"]["ap50"] == pytest.approx(
        np.mean(found["curves"]["overall"]["precision_at_recall"]), abs=1e-6
    )


def test_worst_by_hand():
    image = (
        {"boxes": [A, B], "classes": [1, 1]},
        found_of((FAR, 0.9), (A, 0.95), ([20, 24, 30, 34], 0.3), classes=[2, 1, 1]),
    )
    worst = analyze((NOTHING, NOTHING), image)[1]["worst"]
    assert worst["images"] == [{"image": "1.jpg", "image_index": 1, "tp": 1, "fp": 0, "fn": 1}]
    assert worst["false_positives"] == []  # the best threshold is 0.95
    (miss,) = worst["misses"]
    assert (miss["image"], miss["class"], miss["size"], miss["score"]) == ("1.jpg", "cat", "small", 0.3)
    assert miss["box"] == dict(zip(("ymin", "xmin", "ymax", "xmax"), B))
    assert miss["iou"] == pytest.approx(60 / 140) and miss["detected_class"] == "cat"


def test_a_wrong_detection_names_what_it_should_have_been():
    image = (
        {"boxes": [A, B], "classes": [1, 1]},
        found_of((FAR, 0.97), (A, 0.95), (B, 0.9), (B, 0.85), classes=[2, 1, 2, 1]),
    )
    wrong = analyze(image)[1]["worst"]["false_positives"]
    assert [(row["kind"], row["class"], row["object_class"]) for row in wrong] == [
        ("background", "dog", None),
        ("classification", "dog", "cat"),
    ]
    assert wrong[1]["object_box"]["ymin"] == B[0] and wrong[1]["iou"] == 1.0


def test_nothing_at_all():
    for images in ((), ((NOTHING, NOTHING),), (({"boxes": [A], "classes": [1]}, NOTHING),)):
        _, found = analyze(*images)
        assert found["summary"]["best_threshold"] is None
        assert found["settings"]["score_threshold"] == 0.5
