"""Which evaluation is the best one, and that the decision stays."""

import pytest

from tfodhelper import run_layout
from tfodhelper.training import best, evaluation
from tfodhelper.training.options import TrainOptions

MAP, LOSS, AR = "DetectionBoxes_Precision/mAP", "Loss/total_loss", "DetectionBoxes_Recall/AR@100"


def record(step, mark=None, **values):
    tags = {"map": MAP, "loss": LOSS, "ar": AR}
    return {"step": step, "metrics": {tags[name]: value for name, value in values.items()}, "best_by": mark}


def test_the_default_and_a_name_without_its_prefix():
    assert best.build_best_metric(TrainOptions()).metric == "eval/" + MAP
    assert best.build_best_metric(TrainOptions(best_metric=LOSS)).metric == "eval/" + LOSS
    assert best.build_best_metric(TrainOptions(best_metric="train/" + LOSS)).metric == "train/" + LOSS


@pytest.mark.parametrize(
    ("metric", "new", "old", "is_better"),
    [
        (MAP, {"map": 0.5}, None, True),
        (MAP, {"map": 0.5}, {"map": 0.5}, False),
        (MAP, {"map": 0.6}, {"map": 0.5}, True),
        (LOSS, {"loss": 0.6}, {"loss": 0.5}, False),
        (LOSS, {"loss": 0.4}, {"loss": 0.5}, True),
        (MAP, {"map": None}, None, False),
        (MAP, {"map": 0.0}, {"map": None}, True),
        (AR, {"ar": 0.1}, {"map": 0.5}, True),
    ],
)
def test_better(metric, new, old, is_better):
    by = best.BestMetric("eval/" + metric)
    assert by.improves(record(2, **new), old and record(1, **old)) is is_better


def test_the_marked_one_stays_the_best_when_the_figure_changes():
    records = [record(10, "eval/" + MAP, map=0.5, ar=0.1), record(20, map=0.4, ar=0.9)]
    assert run_layout.best_of(records)["step"] == 10
    assert best.describe(records, best.BestMetric("eval/" + AR)) == (
        f"best: step 10, the highest eval/{MAP} of 2 evaluations (0.5000)"
    )
    records.append(record(30, "eval/" + AR, map=0.1, ar=0.95))
    assert best.describe_value(run_layout.best_of(records)) == f"eval/{AR} 0.9500 at step 30"


def test_evaluations_without_marks_are_compared_by_map():
    records = [{"step": step, "metrics": {MAP: value}} for step, value in ((1, 0.2), (2, 0.6), (3, 0.6), (4, None))]
    assert run_layout.best_of(records)["step"] == 2
    assert run_layout.best_of([*records, record(5, map=0.9)])["step"] == 2  # evaluated, and not the best then
    assert run_layout.best_of(records[3:]) is run_layout.best_of([]) is None
    # The figure that decides cannot be measured: mAP does not step in.
    assert run_layout.best_of([record(1, map=0.5)]) is None
    assert "step 1, the last one, since eval/x could not be measured" in best.describe(
        [record(1, map=0.5)], best.BestMetric("eval/x")
    )


def test_marks_are_read_back(tmp_path):
    history = evaluation.History(tmp_path / "evaluations.jsonl")
    for step, mark in ((1, "eval/" + LOSS), (2, None)):
        history.add(step, {MAP: 0.1 * step, LOSS: 1.0 * step}, best_by=mark)
    assert evaluation.History(tmp_path / "evaluations.jsonl").best()["step"] == 1
