"""COCO figures: by hand, and figure by figure as pycocotools' own evaluation."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import coco as pycoco
from pycocotools import cocoeval

from tests.metrics.by_hand import FAR, NOTHING, A, B, found_of
from tfodhelper.metrics import coco

CATEGORIES = {1: "cat", 2: "dog", 5: "bird"}
MAP, MAP50, MAP75 = (f"DetectionBoxes_Precision/mAP{part}" for part in ("", "@.50IOU", "@.75IOU"))


def result_of(*images, **options):
    metrics = coco.CocoDetectionMetrics(CATEGORIES, **options)
    for index, (gt, found) in enumerate(images):
        metrics.update(index, gt, found)
    return metrics.result()


def gt_of(*boxes, classes=None, **rest):
    return {"boxes": list(boxes), "classes": classes or [1] * len(boxes), **rest}


def reference(images):
    """The twelve figures of COCOeval, in its order."""
    annotations, detections = [], []
    for image_id, (gt, found) in enumerate(images):
        for row, box in enumerate(np.reshape(gt["boxes"], [-1, 4]).tolist()):
            width, height = box[3] - box[1], box[2] - box[0]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": int(gt["classes"][row]),
                    "bbox": [box[1], box[0], width, height],
                    "area": width * height,
                    "iscrowd": int(gt["is_crowd"][row]) if "is_crowd" in gt else 0,
                }
            )
        for box, score, label in zip(np.reshape(found["boxes"], [-1, 4]).tolist(), found["scores"], found["classes"]):
            width, height = box[3] - box[1], box[2] - box[0]
            detections.append(
                {
                    "id": len(detections) + 1,
                    "image_id": image_id,
                    "category_id": int(label),
                    "score": float(score),
                    "bbox": [box[1], box[0], width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
    sets = []
    with contextlib.redirect_stdout(io.StringIO()):
        for rows in (annotations, detections):
            sets.append(pycoco.COCO())
            sets[-1].dataset = {
                "images": [{"id": i} for i in range(len(images))],
                "annotations": rows,
                "categories": [{"id": key, "name": name} for key, name in CATEGORIES.items()],
            }
            sets[-1].createIndex()
        evaluation = cocoeval.COCOeval(*sets, iouType="bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist()


def random_images(seed, num_images=8, side=200.0, ties=False):
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(num_images):
        num_boxes = int(rng.integers(0, 7))
        corner = rng.uniform(0, side, [num_boxes, 2])
        boxes = np.concatenate([corner, corner + rng.uniform(3, side, [num_boxes, 2])], axis=1)
        classes = rng.choice([1, 1, 5], num_boxes)
        copies = rng.integers(0, num_boxes, int(rng.integers(0, 15))) if num_boxes else np.zeros([0], int)
        near = boxes[copies] + rng.normal(0, 0.05 * side, [len(copies), 4])
        other = np.tile(rng.uniform(0, side, [3, 2]), 2) + np.array([0, 0, 20, 40])
        scores = rng.uniform(0, 1, len(near) + 3)
        images.append(
            (
                {"boxes": boxes, "classes": classes, "is_crowd": rng.random(num_boxes) < 0.2},
                {
                    "boxes": np.concatenate([near, other]),
                    "scores": np.round(scores * 5) / 5 if ties else scores,
                    "classes": np.concatenate([classes[copies], rng.choice([1, 2, 5], 3)]),
                },
            )
        )
    return images


def test_tags_and_all_found():
    figures = result_of((gt_of(A, B), found_of((A, 0.9), (B, 0.8))))
    assert list(figures) == [
        "DetectionBoxes_Precision/mAP",
        "DetectionBoxes_Precision/mAP@.50IOU",
        "DetectionBoxes_Precision/mAP@.75IOU",
        "DetectionBoxes_Precision/mAP (small)",
        "DetectionBoxes_Precision/mAP (medium)",
        "DetectionBoxes_Precision/mAP (large)",
        "DetectionBoxes_Recall/AR@1",
        "DetectionBoxes_Recall/AR@10",
        "DetectionBoxes_Recall/AR@100",
        "DetectionBoxes_Recall/AR@100 (small)",
        "DetectionBoxes_Recall/AR@100 (medium)",
        "DetectionBoxes_Recall/AR@100 (large)",
    ]
    assert figures[MAP] == pytest.approx(1.0)
    # One detection of an image is allowed at AR@1: half of the two objects; there is nothing medium or large.
    assert figures["DetectionBoxes_Recall/AR@1"] == 0.5
    assert figures["DetectionBoxes_Precision/mAP (medium)"] == -1.0


def test_thresholds_by_hand():
    # 10 x 7.2 of 10 x 10: overlap 0.72, good for 0.5, 0.55, 0.6, 0.65 and 0.7: five of ten thresholds.
    figures = result_of((gt_of(A), found_of(([0, 0, 7.2, 10], 0.9))))
    assert (figures[MAP], figures[MAP50], figures[MAP75]) == pytest.approx((0.5, 1.0, 0.0))


def test_precision_at_recall_levels_by_hand():
    # Miss, hit of two objects: precision 1/2 at the 51 levels up to 0.5, none above.
    figures = result_of((gt_of(A, B), found_of((FAR, 0.9), (A, 0.8))))
    assert figures[MAP] == pytest.approx(51 / 101 * 0.5)


def test_a_crowd_swallows_detections():
    # Two detections lie inside the crowd; neither is right or wrong.
    crowd = [0, 0, 50, 50]
    image = (gt_of(crowd, FAR, is_crowd=[1, 0]), found_of((A, 0.9), (B, 0.8), (FAR, 0.7)))
    assert result_of(image)[MAP] == pytest.approx(1.0)


def test_area_decides_over_the_box():
    # A box of 10000 square pixels whose object has 500: small.
    box = [0, 0, 100, 100]
    figures = result_of((gt_of(box, area=[500.0]), found_of((box, 0.9))))
    assert figures["DetectionBoxes_Precision/mAP (small)"] == pytest.approx(1.0)
    assert figures["DetectionBoxes_Precision/mAP (large)"] == -1.0


def test_nothing_to_judge():
    assert set(result_of().values()) == {-1.0}
    assert set(result_of((NOTHING, NOTHING)).values()) == {-1.0}
    assert set(result_of((NOTHING, found_of((A, 0.9)))).values()) == {-1.0}
    assert result_of((gt_of(A), NOTHING))[MAP] == 0.0


def test_by_category():
    image = (gt_of(A, B, classes=[1, 5]), found_of((A, 0.9)))
    figures = result_of(image, per_category=True, all_per_category=True, super_categories={"animal": ["cat", "bird"]})
    assert figures["DetectionBoxes_PerformanceByCategory/mAP/cat"] == pytest.approx(1.0)
    assert figures["DetectionBoxes_PerformanceByCategory/mAP/dog"] == -1.0
    assert figures["DetectionBoxes_PerformanceByCategory/mAP/bird"] == 0.0
    assert figures["DetectionBoxes_Recall/AR@10 ByCategory/cat"] == 1.0
    assert figures["DetectionBoxes_PerformanceBySuperCategory/animal"] == pytest.approx(0.5)
    assert figures["DetectionBoxes_Precision/mAP@.50IOU BySuperCategory/animal"] == pytest.approx(0.5)
    assert not any("ByCategory" in tag for tag in result_of(image))


def test_of_equal_overlaps_the_later_box_is_taken():
    # The first detection may take either box, the second one only the first: both match.
    everywhere = np.zeros([len(coco.AREA_RANGES), 2], bool)
    matched, ignored = coco.match(np.array([[0.6, 0.6], [0.6, 0.0]]), everywhere, np.zeros([2], bool))
    assert matched[:, 0, 0].tolist() == [True, True]
    matched, _ = coco.match(np.array([[0.6, 0.6], [0.0, 0.6]]), everywhere, np.zeros([2], bool))
    assert matched[:, 0, 0].tolist() == [True, False]
    assert not ignored.any() and not matched[:, :, 3:].any()


def test_rank_in_class():
    assert coco.rank_in_class(np.array([3, 1, 3, 3, 1])).tolist() == [0, 0, 1, 2, 1]
    assert coco.rank_in_class(np.zeros([0], int)).tolist() == []


def test_only_a_hundred_detections_of_a_class_count():
    rows = [(FAR, 0.5 + 0.001 * i) for i in range(100)]
    assert result_of((gt_of(A), found_of(*rows, (A, 0.1))))[MAP] == 0.0
    assert result_of((gt_of(A), found_of(*rows[1:], (A, 0.1))))[MAP] > 0.0


@pytest.mark.parametrize("options", [{}, {"ties": True}, {"side": 900.0}, {"side": 20.0}, {"num_images": 30}])
def test_equals_pycocotools(options):
    for seed in range(6):
        images = random_images(seed, **options)
        assert list(result_of(*images).values()) == pytest.approx(reference(images), abs=1e-12)


def test_many_detections_of_a_class_as_pycocotools():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 30, [150, 2])
    boxes = np.concatenate([corner, corner + rng.uniform(8, 12, [150, 2])], axis=1)
    found = {"boxes": boxes, "scores": rng.uniform(0, 1, 150), "classes": np.ones([150], int)}
    images = [({"boxes": boxes[::15], "classes": np.ones([10], int)}, found)]
    assert list(result_of(*images).values()) == pytest.approx(reference(images), abs=1e-12)


@settings(max_examples=30)
@given(data=st.data())
def test_equals_pycocotools_on_whole_numbers(data):
    # Small whole numbers: equal overlaps, overlaps of exactly one half, boxes without area, equal scores.
    box = st.tuples(*[st.integers(0, 4)] * 2, *[st.integers(0, 4)] * 2).map(
        lambda b: [float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3])]
    )
    label = st.sampled_from([1, 2])
    score = st.sampled_from([0.25, 0.5, 0.75])
    images = []
    for _ in range(data.draw(st.integers(1, 3))):
        gt = data.draw(st.lists(st.tuples(box, label, st.booleans()), max_size=5))
        rows = data.draw(st.lists(st.tuples(box, score, label), max_size=6))
        images.append(
            (
                {"boxes": [g[0] for g in gt], "classes": [g[1] for g in gt], "is_crowd": [g[2] for g in gt]},
                {"boxes": [r[0] for r in rows], "scores": [r[1] for r in rows], "classes": [r[2] for r in rows]},
            )
        )
    assert list(result_of(*images).values()) == pytest.approx(reference(images), abs=1e-12)


def test_the_order_of_the_images_does_not_matter():
    images = list(enumerate(random_images(4, num_images=12, ties=True)))
    values = []
    for order in (images, images[::-1], images[5:] + images[:5]):
        metrics = coco.CocoDetectionMetrics(CATEGORIES)
        for index, (gt, found) in order:
            metrics.update(index, gt, found)
        values.append(metrics.result())
    assert values[0] == values[1] == values[2]


def test_an_image_counts_once(capsys):
    metrics = coco.CocoDetectionMetrics(CATEGORIES)
    for _ in range(3):
        metrics.update("7", gt_of(A), found_of((A, 0.9)))
    metrics.update("8", gt_of(A), NOTHING)
    assert metrics.result()["DetectionBoxes_Recall/AR@100"] == 0.5
    assert "same id" in capsys.readouterr().err


@pytest.mark.slow
def test_three_hundred_random_sets_as_pycocotools():
    """Crowds, empty images, ties, and more than a hundred detections of a class in an image."""
    kinds = [{}, {"ties": True}, {"side": 900.0}, {"side": 20.0}, {"num_images": 20, "ties": True}]
    for seed in range(300):
        images = random_images(seed, **kinds[seed % len(kinds)])
        if seed % 10 == 7:
            rng, (gt, found) = np.random.default_rng(seed), images[0]
            corner = rng.uniform(0, 200, [130, 2])
            more = np.concatenate([corner, corner + rng.uniform(5, 80, [130, 2])], axis=1)
            found = {
                "boxes": np.concatenate([found["boxes"], more]),
                "scores": np.concatenate([found["scores"], rng.random(130).round(2)]),
                "classes": np.concatenate([found["classes"], np.ones(130, int)]),
            }
            images = [(gt, found), *images[1:], (NOTHING, NOTHING)]
        assert list(result_of(*images).values()) == pytest.approx(reference(images), abs=1e-12)
