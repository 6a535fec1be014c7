"""Recall of proposals: by hand, and as pycocotools' own evaluation without classes."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools import coco as pycoco
from pycocotools import cocoeval

from tfodhelper import errors
from tfodhelper.metrics.proposal_recall import NUM_PROPOSALS, PREFIX, ProposalRecall

CATEGORIES = {1: "cat", 2: "dog"}
A, B, FAR = [0, 0, 10, 10], [20, 20, 30, 30], [80, 80, 90, 90]


def result_of(*images, **options):
    """{tag without its prefix: value} of (ground truth boxes, their classes, proposals) per image."""
    metrics = ProposalRecall(CATEGORIES, **options)
    for index, (boxes, classes, proposals) in enumerate(images):
        metrics.update(index, {"boxes": boxes, "classes": classes}, proposals)
    return {tag.removeprefix(PREFIX): value for tag, value in metrics.result().items()}


def test_one_of_two_is_found():
    figures = result_of(([A, B], [1, 2], [FAR, A]))
    assert figures["Recall@.50IOU@10"] == figures["AR@10"] == 0.5
    assert figures["AR@500"] == 0.5 and figures["AR@10 (small)"] == 0.5
    assert figures["AR@10 (medium)"] == figures["Recall@.50IOU@300 (large)"] == -1.0


def test_average_recall_counts_the_thresholds_that_the_overlap_reaches():
    proposal = [0, 0, 10, 7.2]  # overlap 0.72 with A: 0.5, 0.55, 0.6, 0.65 and 0.7 of ten thresholds
    figures = result_of(([A], [1], [proposal]))
    assert figures["Recall@.50IOU@10"] == 1.0
    assert figures["AR@10"] == pytest.approx(0.5)


def test_only_the_first_proposals_count():
    others = [FAR] * 10
    figures = result_of(([A], [1], [*others, A]), ([B], [1], [B, *others]))
    assert figures["AR@10"] == 0.5 and figures["AR@100"] == 1.0
    proposals = [FAR] * 320 + [A]
    assert [result_of(([A], [1], proposals))[f"AR@{n}"] for n in NUM_PROPOSALS] == [0.0, 0.0, 0.0, 1.0]


def test_a_proposal_finds_one_box():
    figures = result_of(([A, [0, 0, 10, 9]], [1, 1], [A]))
    assert figures["Recall@.50IOU@10"] == 0.5
    assert result_of(([A, [0, 0, 10, 9]], [1, 1], [A, A]))["Recall@.50IOU@10"] == 1.0


def test_sizes_are_those_of_the_ground_truth():
    medium, large = [0, 0, 40, 40], [0, 0, 200, 100]
    figures = result_of(([A, medium, large], [1, 1, 1], [medium]))
    assert figures["AR@10"] == pytest.approx(1 / 3)
    assert [figures[f"AR@10 ({size})"] for size in ("small", "medium", "large")] == [0.0, 1.0, 0.0]


def test_crowds_and_given_areas():
    metrics = ProposalRecall(CATEGORIES)
    gt = {"boxes": [A, B], "classes": [1, 1], "is_crowd": [True, False], "area": [100, 2000]}
    metrics.update("a", gt, [A, A, B])
    figures = metrics.result()
    assert figures[f"{PREFIX}AR@10"] == figures[f"{PREFIX}AR@10 (medium)"] == 1.0
    assert figures[f"{PREFIX}AR@10 (small)"] == -1.0


def test_classes_where_they_are_asked_for():
    image = ([A, B, FAR], [1, 2, 7], [A, FAR])
    assert not any("ByCategory" in tag for tag in result_of(image))
    figures = result_of(image, per_category=True)
    assert figures["AR@10"] == pytest.approx(2 / 3)  # the third one's class is not in the label map
    assert figures["AR@10 ByCategory/cat"] == 1.0 and figures["Recall@.50IOU@500 ByCategory/dog"] == 0.0
    assert "AR@10 (small) ByCategory/cat" not in figures
    figures = result_of(image, per_category=True, all_per_category=True)
    assert figures["AR@10 (small) ByCategory/cat"] == 1.0 and figures["AR@10 (large) ByCategory/cat"] == -1.0


def test_nothing_at_all_and_images_without_boxes_or_proposals():
    assert set(result_of().values()) == {-1.0}
    assert len(result_of()) == 2 * 4 * 4
    figures = result_of(([], [], [A]), ([A], [1], []), ([B], [2], [B]))
    assert figures["AR@100"] == 0.5


def test_an_image_counts_once_and_reset_forgets(capsys):
    metrics = ProposalRecall(CATEGORIES)
    for _ in range(2):
        metrics.update("a", {"boxes": [A], "classes": [1]}, [A])
    metrics.update("b", {"boxes": [B], "classes": [1]}, [A])
    assert metrics.result()[f"{PREFIX}AR@10"] == 0.5
    metrics.reset()
    assert metrics.result()[f"{PREFIX}AR@10"] == -1.0


def test_a_proposal_that_is_no_number_is_an_error():
    with pytest.raises(errors.PredictionError, match="proposal box is not finite"):
        result_of(([A], [1], [[0, 0, np.nan, 1]]))


def reference(images):
    """{tag: value} of COCOeval without classes."""
    truth, found = [], []
    for image_id, (boxes, _, proposals) in enumerate(images):
        for box in np.reshape(boxes, [-1, 4]).tolist():
            bbox = [box[1], box[0], box[3] - box[1], box[2] - box[0]]
            truth.append(
                {"id": len(truth) + 1, "image_id": image_id, "category_id": 1, "bbox": bbox, "iscrowd": 0}
                | {"area": bbox[2] * bbox[3]}
            )
        for rank, box in enumerate(np.reshape(proposals, [-1, 4]).tolist()):
            bbox = [box[1], box[0], box[3] - box[1], box[2] - box[0]]
            found.append({"image_id": image_id, "category_id": 1, "bbox": bbox, "score": 1 - rank / 1000})
    with contextlib.redirect_stdout(io.StringIO()):
        ground = pycoco.COCO()
        ground.dataset = {
            "images": [{"id": index} for index in range(len(images))],
            "annotations": truth,
            "categories": [{"id": 1}],
            "info": {},
        }
        ground.createIndex()
        evaluation = cocoeval.COCOeval(ground, ground.loadRes(found), "bbox")
        evaluation.params.useCats = 0
        evaluation.params.maxDets = list(NUM_PROPOSALS)
        evaluation.evaluate()
        evaluation.accumulate()
    recall = evaluation.eval["recall"]  # thresholds, classes, areas, numbers
    figures = {}
    for place, number in enumerate(NUM_PROPOSALS):
        for area, suffix in enumerate(("", " (small)", " (medium)", " (large)")):
            figures[f"AR@{number}{suffix}"] = recall[:, 0, area, place].mean()
            figures[f"Recall@.50IOU@{number}{suffix}"] = recall[0, 0, area, place]
    return figures


def test_as_pycocotools_without_classes():
    random = np.random.RandomState(3)
    images = []
    for _ in range(12):
        corners = random.uniform(0, 300, [random.randint(1, 9), 2])
        boxes = np.concatenate([corners, corners + random.uniform(8, 160, corners.shape)], axis=1)
        near = boxes[random.randint(0, len(boxes), 40)] + random.normal(0, 9, [40, 4])
        proposals = np.concatenate([near, [FAR] * 100, boxes + 3.0])
        images.append((boxes, [1] * len(boxes), proposals))
    figures = result_of(*images)
    assert figures == pytest.approx(reference(images), abs=1e-12)
    assert 0.3 < figures["AR@10"] < figures["AR@100"] < figures["AR@300"] < 1.0
