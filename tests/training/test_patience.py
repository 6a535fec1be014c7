"""When evaluations that do not get better end a training."""

import csv
import dataclasses
import json
import shutil

import pytest

from tests.training import tiny
from tfodhelper import errors, run_summary
from tfodhelper.metrics import analysis_file
from tfodhelper.training import jobs, patience
from tfodhelper.training.options import TrainOptions

MAP, LOSS = "DetectionBoxes_Precision/mAP", "Loss/total_loss"


def records(*values, tag=MAP):
    return [{"step": 10 * i, "metrics": {tag: value}, "train": {tag: value}} for i, value in enumerate(values, start=1)]


def build(num=2, metric=f"eval/{MAP}"):
    return patience.build_patience(TrainOptions(patience=num, best_metric=metric))


@pytest.mark.parametrize(
    ("values", "best", "since"),
    [
        ((), None, 0),
        ((0.1,), 10, 0),
        ((0.1, 0.2, 0.3), 30, 0),
        ((0.1, 0.3, 0.2, 0.25), 20, 2),
        ((0.3, 0.3, 0.3), 10, 2),  # the same value is no improvement
        ((0.3, None, 0.4, None), 30, 1),
        ((None, None, None), None, 0),  # what cannot be measured does not end a training
        ((None, 0.0, 0.0), 20, 1),
    ],
)
def test_evaluations_since_the_best_are_counted(values, best, since):
    record, count = build().count(records(*values))
    assert (record and record["step"], count) == (best, since)


@pytest.mark.parametrize("prefix", ["eval/", "train/", ""])
def test_losses_improve_when_they_fall(prefix):
    chosen = build(2, prefix + LOSS)
    assert chosen.by.falls
    record, since = chosen.count(records(3.0, 2.0, 2.5, 2.1, tag=LOSS))
    assert (record["step"], since) == (20, 2)
    assert not build(2, f"{prefix}DetectionBoxes_Recall/AR@100").by.falls


def test_training_losses_are_those_of_the_steps():
    values = [{"step": 1, "metrics": {LOSS: 1.0}, "train": {LOSS: 9.0}}, {"step": 2, "metrics": {LOSS: 2.0}}]
    assert build(1, f"train/{LOSS}").by.value_of(values[0]) == 9.0
    assert build(1, f"train/{LOSS}").by.value_of(values[1]) is None
    assert build(1, LOSS).by.value_of(values[0]) == 1.0


def test_the_end_is_said_with_its_reason():
    assert build(2).find_end(records(0.1, 0.4, 0.2)) is None
    assert build(2).find_end(records(0.1, 0.4, 0.2, 0.39)) == (
        "2 evaluations without improvement of eval/DetectionBoxes_Precision/mAP (best 0.4000 at step 20), "
        "as --patience=2 says"
    )
    assert patience.build_patience(TrainOptions()) is None


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize(
    ("metric", "fix"),
    [
        ("mAP", "did you mean eval/DetectionBoxes_Precision/mAP?"),
        ("eval/DetectionBoxes_Precison/mAP", "did you mean eval/DetectionBoxes_Precision/mAP?"),
        ("train/Loss/totalloss", "did you mean train/Loss/total_loss?"),
        ("eval/Loss/RPNLoss/objectness_loss", None),  # of another family
        ("quality", None),
    ],
)
def test_a_wrong_name_lists_the_names(data, metric, fix):
    pipeline = tiny.make_pipeline(data)
    with pytest.raises(errors.UsageError, match="there is no such figure") as caught:
        patience.check_metric(TrainOptions(patience=1, best_metric=metric), pipeline, data.label_map)
    assert "train/Loss/total_loss, eval/DetectionBoxes_Precision/mAP, " in caught.value.expected
    assert "AP@0.5IOU/" + data.label_map.names[0] in caught.value.expected
    assert caught.value.received == metric
    assert fix is None or caught.value.fix == fix
    with pytest.raises(errors.UsageError, match="there is no such figure"):  # without --patience, too
        patience.check_metric(TrainOptions(best_metric=metric), pipeline, data.label_map)


def test_several_workers_cannot_end_early(data, tmp_path):
    with pytest.raises(errors.UsageError, match="--patience cannot be combined with --strategy=multi_worker"):
        TrainOptions(patience=1, strategy="multi_worker").check_end()
    TrainOptions(strategy="multi_worker").check_end()


# A learning rate of 0 in all but name, while the statistics of batch norm move: the loss of the validation rises, and
# its first value stays the best one.
STILL = "momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: 1e-30 } } }"
OPTIONS = TrainOptions(eval_every=2, log_every=1, strategy="cpu", patience=2, best_metric=f"eval/{LOSS}")


@pytest.fixture(scope="module")
def ended(data, tmp_path_factory):
    """A training of 20 steps that ends after 2 evaluations without improvement: at steps 2 (best), 4 and 6."""
    folder = tmp_path_factory.mktemp("ended")
    pipeline = tiny.make_pipeline(data, STILL)
    pipeline.train_config.num_steps = 20
    return pipeline, folder, jobs.train_model(pipeline, folder, OPTIONS)


@pytest.mark.slow
def test_a_training_without_improvement_ends(ended, capsys):
    _, folder, result = ended
    assert (result.step, result.ended) == (6, "patience")
    assert (
        "2 evaluations without improvement of eval/Loss/total_loss" in result.reason and "at step 2)" in result.reason
    )
    assert [record["step"] for record in result.history.records] == [2, 4, 6]
    assert result.history.best()["step"] == 2  # by the loss, whatever its mAP
    assert result.best_checkpoint.endswith("best/ckpt-2") and result.last_checkpoint.endswith("last/ckpt-6")
    assert result.best_reason.startswith("best: step 2, the lowest eval/Loss/total_loss of 3 evaluations (")
    steps = {name: analysis_file.read_analysis(folder / "evaluation" / name)["step"] for name in ("best", "last")}
    assert steps == {"best": 2, "last": 6}


@pytest.mark.slow
def test_the_names_are_the_columns_of_the_table(ended, data):
    pipeline, folder, _ = ended
    with open(folder / "results.csv", encoding="utf-8") as file:
        header = next(csv.reader(file))
    assert ["step", *patience.metric_names(pipeline, data.label_map)] == header


@pytest.mark.slow
def test_a_resumed_training_counts_on(ended, tmp_path, capsys):
    pipeline, folder, _ = ended
    again = jobs.train_model(pipeline, folder, OPTIONS)
    assert [record["step"] for record in again.history.records] == [2, 4, 6]
    assert (again.step, again.ended) == (6, "patience")
    assert "training ends at step 6 of 20: 2 evaluations without improvement" in capsys.readouterr().out
    # killed during the evaluation at step 6: it is done again, and the count of the one before is kept
    shutil.copytree(folder, tmp_path / "killed", symlinks=True)
    path = tmp_path / "killed" / "evaluations.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    result = jobs.train_model(pipeline, tmp_path / "killed", OPTIONS)
    assert (result.step, result.ended) == (6, "patience")
    assert [record["step"] for record in result.history.records] == [2, 4, 6]
    # more patience goes on from there
    result = jobs.train_model(pipeline, tmp_path / "killed", dataclasses.replace(OPTIONS, patience=3))
    assert (result.step, result.ended) == (8, "patience")


@pytest.mark.slow
def test_evaluations_after_the_step_that_training_resumes_from_do_not_count(ended, tmp_path):
    pipeline, folder, _ = ended
    shutil.copytree(folder, tmp_path / "back")
    for path in (tmp_path / "back").glob("ckpt-6.*"):
        path.unlink()
    (tmp_path / "back" / "checkpoint").write_text('model_checkpoint_path: "ckpt-4"\n')
    history = [json.loads(line) for line in (tmp_path / "back" / "evaluations.jsonl").read_text().splitlines()]
    assert [record["step"] for record in history] == [2, 4, 6]
    result = jobs.train_model(pipeline, tmp_path / "back", OPTIONS)
    assert (result.step, result.ended) == (6, "patience")


@pytest.mark.slow
def test_a_training_that_gets_through_says_so(data, tmp_path):
    pipeline = tiny.make_pipeline(data, STILL)
    pipeline.train_config.num_steps = 6
    result = jobs.train_model(pipeline, tmp_path, OPTIONS)
    assert (result.step, result.ended, result.reason) == (6, "num_steps", "all 6 steps are done")


def test_the_summary_of_a_run_says_why_it_ended(tmp_path, capsys):
    numbers = {"step": 6, "mAP": 0.5, "mAP@.50IOU": 0.75}
    result = {"best": numbers, "last": numbers, "seconds_per_step": 0.1}
    state = {"settings": {}, "phases": {}, "finished": True, "result": result}
    run_summary.say_summary(tmp_path, state)  # as former versions wrote it
    assert "ended early" not in capsys.readouterr().out
    state["result"] |= {"ended": "patience", "reason": "3 evaluations without improvement"}
    run_summary.say_summary(tmp_path, state)
    assert "\nthe training ended early: 3 evaluations without improvement\n" in capsys.readouterr().out
