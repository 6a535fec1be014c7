"""One evaluation of a batch, with and without proposals."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from tfodhelper import errors, protos, storage
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.fields import Detections, Groundtruth, Inputs, Losses, Predictions
from tfodhelper.records import mask_png
from tfodhelper.training import curves, evaluation, jobs, summaries


def make_batch(with_proposals=True):
    """Two images of 100 x 200 in a frame of 200 x 200, one box each, found only in the first one."""
    batch = {
        Losses.TOTAL: np.float32(3.0),
        "padded_shape": np.array([200, 200]),
        Inputs.SOURCE_ID: np.array([b"1", b"2"]),
        Inputs.FILENAME: np.array([b"a.jpg", b"b.jpg"]),
        Inputs.TRUE_IMAGE_SHAPE: np.array([[100, 200, 3]] * 2),
        Inputs.ORIGINAL_IMAGE_SHAPE: np.array([[100, 200]] * 2),
        Groundtruth.BOXES: np.array([[[0.0, 0.0, 0.25, 0.25]]] * 2),
        Groundtruth.CLASSES: np.array([[0]] * 2),
        Groundtruth.NUM_BOXES: np.array([1, 1]),
        Detections.BOXES: np.array([[[0.0, 0.0, 0.5, 0.25]], [[0.0, 0.0, 0.0, 0.0]]]),
        Detections.SCORES: np.array([[0.9], [0.0]]),
        Detections.CLASSES: np.array([[0.0], [0.0]]),
        Detections.NUM: np.array([1.0, 0.0]),
        Inputs.ORIGINAL_IMAGE: np.zeros([2, 100, 200, 3], np.uint8),
    }
    if with_proposals:
        boxes = np.zeros([2, 12, 4])
        boxes[0, 11] = boxes[1, 0] = [0.0, 0.0, 0.25, 0.25]
        batch |= {Predictions.PROPOSALS: boxes, Predictions.NUM_PROPOSALS: np.array([12, 12])}
    return batch


def evaluate(batch, **settings):
    config = protos.message("EvalConfig")(num_visualizations=1, **settings)
    finished = evaluation.Evaluation(config, label_maps.make_label_map(["cat"]))
    finished.add_batch(batch)
    return finished


def test_proposals_are_evaluated_next_to_the_detections():
    finished = evaluate(make_batch())
    figures = finished.result()
    assert figures[evaluation.MAP_50] == pytest.approx(0.5, abs=0.01)
    assert figures["ProposalBoxes_Recall/AR@10"] == 0.5
    assert figures["ProposalBoxes_Recall/AR@300 (medium)"] == 1.0
    assert list(finished.pictures) == ["a.jpg"]
    line = evaluation.summarize(figures)
    assert line.endswith(", up to 300 proposals: recall@.50IOU 1.0000 and AR 1.0000, loss 3.0000")


def test_detectors_without_proposals_have_no_such_figures():
    figures = evaluate(make_batch(with_proposals=False)).result()
    assert not any("Proposal" in tag for tag in figures)
    assert "proposals" not in evaluation.summarize(figures)


def test_a_first_stage_alone_is_judged_without_classes():
    batch = make_batch(with_proposals=False) | {Groundtruth.CLASSES: np.array([[1], [1]])}
    config, label_map = protos.message("EvalConfig")(), label_maps.make_label_map(["cat", "dog"])
    finished = evaluation.Evaluation(config, label_map, only_proposals=True)
    finished.add_batch(batch)
    figures = finished.result()
    assert figures["ProposalBoxes_Recall/AR@10"] == 0.5
    assert figures[evaluation.MAP_50] == pytest.approx(0.5, abs=0.01)


def make_mask_batch():
    """The batch above, in which the lower left triangle of the first image's box is the object, and is found."""
    triangle = np.tril(np.ones([51, 51], np.float32))
    pixels = np.zeros([100, 200], np.uint8)
    pixels[:50, :50] = np.tril(np.ones([50, 50], np.uint8))
    stored = [[mask_png.encode(pixels)], [b""]]
    return make_batch() | {
        Inputs.STORED_MASKS: np.array(stored, object),
        Detections.MASKS: np.stack([triangle[None], np.zeros_like(triangle)[None]]),
    }


def test_masks_are_evaluated_and_drawn():
    config = protos.message("EvalConfig")(num_visualizations=1)
    finished = evaluation.Evaluation(config, label_maps.make_label_map(["cat"]), with_masks=True)
    finished.add_batch(make_mask_batch())
    figures = finished.result()
    assert figures[evaluation.MASK_MAP_50] == pytest.approx(1.0)  # the object of the second image has no mask
    assert figures["DetectionMasks_Recall/AR@100"] >= 0.9
    assert ", masks: mAP " in evaluation.summarize(figures)
    plain = evaluate(make_batch()).pictures["a.jpg"]
    assert not np.array_equal(finished.pictures["a.jpg"], plain)


def test_figures_of_masks_need_masks():
    config = protos.message("EvalConfig")(metrics_set=["coco_mask_metrics"])
    finished = evaluation.Evaluation(config, label_maps.make_label_map(["cat"]))
    with pytest.raises(errors.PredictionError, match="load_instance_masks"):
        finished.add_batch(make_batch())


def test_figures_by_class_follow_the_configuration():
    figures = evaluate(make_batch(), include_metrics_per_category=True).result()
    assert figures["ProposalBoxes_Recall/Recall@.50IOU@10 ByCategory/cat"] == 0.5


def evaluate_without_objects():
    batch = make_batch()
    return evaluate(batch | {Groundtruth.NUM_BOXES: np.array([0, 0])}).result()


def test_figures_without_objects_are_not_numbers_and_shown_as_a_dash():
    figures = evaluate_without_objects()
    for tag in (evaluation.MAP, evaluation.MAP_50, "ProposalBoxes_Recall/AR@300", "DetectionBoxes_Recall/AR@1"):
        assert np.isnan(figures[tag]), tag
    assert figures[Losses.TOTAL] == 3.0
    assert -1.0 not in figures.values()
    line = evaluation.summarize(figures)
    assert line.startswith("mAP - (the validation images have no objects to measure it by), mAP@.50IOU -, ")
    assert "-1" not in line and "nan" not in line


def test_the_list_of_evaluations_has_no_best_one_without_objects(tmp_path, capsys):
    history = evaluation.History(tmp_path / "evaluations.jsonl")
    history.add(3, evaluate_without_objects(), train={"Loss/total_loss": 1.0})
    assert history.best() is None and history.last_before(4) == 3 and history.last_before(3) == 0
    assert evaluation.History(tmp_path / "evaluations.jsonl").records == history.records
    curves.write_curves(history, tmp_path)
    header, row = (tmp_path / "results.csv").read_text(encoding="utf-8").splitlines()
    values = dict(zip(header.split(","), row.split(",")))
    assert values["eval/" + evaluation.MAP] == "" and values["eval/Loss/total_loss"] == "3.0"
    jobs.say_evaluation(3, evaluate_without_objects())
    said = capsys.readouterr().out
    assert "-1" not in said and said.rstrip().endswith(evaluation.UNMEASURED)


def test_evaluations_of_the_first_versions_are_read_as_what_they_meant(tmp_path):
    path = tmp_path / "evaluations.jsonl"
    metrics = {evaluation.MAP: -1.0, "PascalBoxes_Precision/mAP@0.5IOU": None, "Loss/total_loss": -1.0}
    storage.write_text(path, json.dumps({"step": 5, "metrics": metrics}) + "\n")
    history = evaluation.History(path)
    assert history.records[0]["metrics"] == metrics | {evaluation.MAP: None}
    assert history.best() is None


def test_tensorboard_gets_no_point_for_what_was_not_measured(tmp_path):
    step = tf.Variable(7, dtype=tf.int64)
    manager = summaries.MeasuredSummaries(str(tmp_path), tf.summary.scalar, global_step=step)
    manager.write_summaries({"a": 0.5, "b": float("nan"), "c": -0.25})
    manager.flush()
    accumulator = EventAccumulator(str(tmp_path))
    accumulator.Reload()
    assert accumulator.Tags()["tensors"] == ["a", "c"]


def test_a_malformed_evaluation_names_file_and_line(tmp_path):
    path = tmp_path / "evaluations.jsonl"
    storage.write_text(path, '{"step": 5, "metrics": {}}\n{}\n')
    with pytest.raises(errors.StorageError, match=r"evaluations.jsonl, line 2: does not hold an evaluation"):
        evaluation.History(path)
