"""The validation images in several views: whose detections are judged, and by which doubt."""

import math

import numpy as np
import pytest

from tests.active_learning.adoption.test_box_worth import CLOSE, EXACT, HALF, OBJECT, collect, found, gt
from tfodhelper import errors
from tfodhelper.active_learning.adoption import class_worth, law, rehearsal, validation
from tfodhelper.active_learning.oracles import build
from tfodhelper.active_learning.oracles.zones import Zone
from tfodhelper.active_learning.pool import predictions
from tfodhelper.active_learning.structures import Prediction
from tfodhelper.annotations.label_map import make_label_map
from tfodhelper.metrics import detection_file
from tfodhelper.prediction.detections import Detection, ImageDetections

IDS = {"cat": 1, "dog": 2, "cow": 3}


def write(folder, rows_of):
    """Writes predictions: {name: rows of (box, class, score, doubt)}."""
    plan = predictions.Plan(len(rows_of), 100, "images", "model", 0.05, 100, "fused")
    predictions.keep_plan(folder, plan)
    written = []
    for name, rows in rows_of.items():
        boxes = tuple(Detection(label, IDS[label], score, *box, doubt=doubt) for box, label, score, doubt in rows)
        zeros = (0.0,) * len(boxes)
        written.append(Prediction(name, ImageDetections(name, 300, 200, boxes), zeros, zeros))
    predictions.write_part(folder, 0, written)
    return folder


def evaluate(folder, *images):
    """Writes the evaluation of images; returns its folder and the set."""
    collected = collect(*images)
    folder.mkdir()
    detection_file.write_detections(folder / "detections.npz", collected)
    return folder, collected


def test_detections_are_those_of_the_views_and_objects_those_of_the_evaluation(tmp_path):
    evaluation, images = evaluate(tmp_path / "e", (gt(OBJECT), found((HALF, 1, 0.3))), (gt(OBJECT, OBJECT), found()))
    first, second = images.image_names
    rows_of = {
        second: [(EXACT, "dog", 0.75, None), (CLOSE, "cat", 0.5, 0.25), (CLOSE, "cow", 0.5, 0.1)],  # no cow in the map
        first: [],
        "not validated.jpg": [(EXACT, "cat", 0.5, 0.0)],
    }
    seen = validation.read(evaluation, write(tmp_path / "p", rows_of))
    assert seen.det_starts.tolist() == [0, 0, 2] and seen.det_class.tolist() == [1, 0]
    np.testing.assert_array_equal(seen.det_boxes, [EXACT, CLOSE])
    np.testing.assert_array_equal(seen.det_doubts, [np.nan, 0.25])
    assert seen.det_scores.tolist() == [0.75, 0.5]
    np.testing.assert_array_equal(seen.gt_boxes, images.gt_boxes)
    plain = validation.read(evaluation)
    assert not hasattr(plain, "det_doubts") and plain.det_scores.tolist() == [0.3]


def test_a_validation_image_without_prediction_is_named(tmp_path):
    evaluation, images = evaluate(tmp_path / "e", (gt(OBJECT), found()), (gt(OBJECT), found()))
    folder = write(tmp_path / "p", {images.image_names[0]: []})
    with pytest.raises(errors.PredictionError, match=f"not predicted(.|\n)*{images.image_names[1]}"):
        validation.read(evaluation, folder)


def test_zones_and_worth_follow_from_what_the_views_found(tmp_path):
    number = 24
    evaluation, images = evaluate(tmp_path / "e", *((gt(OBJECT), found((EXACT, 1, 0.99))) for _ in range(number)))
    rows_of = {}
    for index, name in enumerate(images.image_names):
        box, doubt = (CLOSE, 0.034) if index < 16 else (HALF, 0.2 if index % 2 else None)
        rows_of[name] = [(box, "cat", 0.95, doubt)]
    folder = write(tmp_path / "p", rows_of)
    oracle = build.build_oracle(
        "image_label", label_map=make_label_map(["cat", "dog"]), doubtful_places="skip", score_threshold=0.0
    )
    lines = law.find_zones(evaluation, oracle, {}, folder)
    assert oracle.zones == {"cat": Zone(0.9, 0.9, 0.04), "dog": Zone()}
    assert "where the views differ by at most 0.04" in lines[0]
    cat, _ = law.measure(evaluation, oracle, [], {}, folder)
    assert (cat.boxes, cat.right, cat.close) == (24, 24, 16)
    questions = rehearsal._questions(validation.read(evaluation, folder), 0.05)
    boxes = [answer.annotation.boxes[0] for answer in oracle.ask(questions)]
    assert sum(box.location_weight for box in boxes) == 16 and all(box.weight == 0.95 for box in boxes)
    law.find_zones(evaluation, oracle, {})
    assert oracle.zones["cat"] == Zone(0.9, 0.9, math.inf)  # of the boxes of the evaluation, all of which are exact
    cat, _ = law.measure(evaluation, oracle, [], {})
    assert (cat.close, cat.verdict(0.8)) == (24, class_worth.ADOPTS)
