"""The training loop as a whole: what it writes, and how it resumes after interruptions."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from tests.training import tiny
from tfodhelper import errors
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.config import pipeline as pipelines
from tfodhelper.metrics import detection_file
from tfodhelper.models import normalization
from tfodhelper.training import jobs, loop, task
from tfodhelper.training.options import TrainOptions

pytestmark = pytest.mark.slow

OPTIONS = TrainOptions(eval_every=3, log_every=1, strategy="cpu", seed=5)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Six steps in one go."""
    folder = tmp_path_factory.mktemp("straight")
    with traced_once():
        result = jobs.train_model(tiny.make_pipeline(data), folder, OPTIONS)
    return folder, result


@contextlib.contextmanager
def traced_once():
    """Checks that TensorFlow traces the step of a training once, as it does if the step creates no variables."""
    step, graphs = task.DetectionTask.train_step, []

    def noted(*args, **kwargs):
        graphs.append(tf.compat.v1.get_default_graph())
        return step(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task.DetectionTask, "train_step", noted)
        yield
    assert len(graphs) == 1


def tensors(prefix):
    reader = tf.train.load_checkpoint(str(prefix))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if not name.startswith(("_CHECKPOINTABLE", "save_counter"))
    }


def assert_same_checkpoints(first, second):
    first, second = tensors(first), tensors(second)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_allclose(second[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def scalars(folder):
    accumulator = EventAccumulator(str(folder), tensor_size_guidance={"scalars": 0, "images": 0})
    accumulator.Reload()
    return {
        tag: {event.step: event.tensor_proto for event in accumulator.Tensors(tag)}
        for tag in accumulator.Tags()["tensors"]
    }


def assert_same_tables(first, second):
    """results.csv of two trainings: the same cells are filled, with the same numbers."""
    rows = [
        list(csv.reader((folder / "results.csv").read_text(encoding="utf-8").splitlines()))
        for folder in (first, second)
    ]
    assert rows[0][0] == rows[1][0]
    for row, other in zip(rows[0][1:], rows[1][1:], strict=True):
        assert [bool(cell) for cell in row] == [bool(cell) for cell in other]
        assert [float(cell or 0) for cell in other] == pytest.approx(
            [float(cell or 0) for cell in row], rel=1e-3, abs=1e-4
        )
    trained = [i for i, name in enumerate(rows[0][0]) if name.startswith("train/")]
    assert trained and all(row[i] for row in rows[0][1:] for i in trained)


def test_what_a_training_leaves_behind(trained):
    folder, result = trained
    assert result.step == 6
    assert [record["step"] for record in result.history.records] == [3, 6]
    assert result.history.best()["step"] == int(result.best_checkpoint.rpartition("-")[2])
    assert result.last_checkpoint.endswith("ckpt-6")
    with open(folder / "results.csv", encoding="utf-8") as file:
        header, *rows = file.read().splitlines()
    assert header.startswith("step,train/Loss/classification_loss")
    assert [row.split(",")[0] for row in rows] == ["3", "6"]
    assert (folder / "results.png").read_bytes().startswith(b"\x89PNG")


def test_tensorboard_has_the_published_tags(trained, data):
    folder, _ = trained
    train, evaluation = scalars(folder / "train"), scalars(folder / "eval")
    losses = {
        "Loss/localization_loss",
        "Loss/classification_loss",
        "Loss/regularization_loss",
        "Loss/total_loss",
    }
    assert losses | {"learning_rate"} <= train.keys()
    assert sorted(train["Loss/total_loss"]) == [1, 2, 3, 4, 5, 6]
    expected = losses | {
        "DetectionBoxes_Precision/mAP",
        "DetectionBoxes_Precision/mAP@.50IOU",
        "PascalBoxes_Precision/mAP@0.5IOU",
        *(f"PascalBoxes_PerformanceByCategory/AP@0.5IOU/{name}" for name in data.label_map.names),
    }
    assert expected <= evaluation.keys()
    assert sorted(evaluation["Loss/total_loss"]) == [3, 6]
    pictures = [tag for tag in evaluation if tag.endswith((".jpg", ".png"))]
    assert len(pictures) == 2


def test_the_total_is_the_sum_of_the_losses(trained):
    folder, _ = trained
    curves = scalars(folder / "train")
    for step in (1, 6):
        parts = [
            float(tf.make_ndarray(curves[f"Loss/{name}_loss"][step]))
            for name in ("localization", "classification", "regularization")
        ]
        assert float(tf.make_ndarray(curves["Loss/total_loss"][step])) == pytest.approx(sum(parts), rel=1e-5)


def test_resuming_gives_the_weights_of_a_training_without_interruption(trained, data, tmp_path):
    straight, _ = trained
    pipeline = tiny.make_pipeline(data)
    pipeline.train_config.num_steps = 3
    jobs.train_model(pipeline, tmp_path, OPTIONS)
    # As if the process had been killed between the checkpoint and the end of its evaluation.
    (tmp_path / "evaluations.jsonl").unlink()
    pipeline.train_config.num_steps = 6
    result = jobs.train_model(pipeline, tmp_path, OPTIONS)
    assert [record["step"] for record in result.history.records] == [3, 6]
    assert_same_checkpoints(straight / "ckpt-6", tmp_path / "ckpt-6")
    assert_same_checkpoints(straight / "last" / "ckpt-6", tmp_path / "last" / "ckpt-6")
    assert_same_tables(straight, tmp_path)


def test_a_finished_training_is_not_done_again(trained, data):
    folder, _ = trained
    before = (folder / "evaluations.jsonl").read_bytes()
    result = jobs.train_model(tiny.make_pipeline(data), folder, OPTIONS)
    assert result.step == 6
    assert (folder / "evaluations.jsonl").read_bytes() == before


def test_eval_gives_the_numbers_of_the_training(trained, data):
    folder, result = trained
    [(step, metrics)] = list(jobs.evaluate_model(tiny.make_pipeline(data), folder, OPTIONS, folder / "last"))
    assert step == 6
    for tag, value in result.history.records[-1]["metrics"].items():
        if value is not None:
            assert metrics[tag] == pytest.approx(value, abs=1e-4), tag
    analyzed, overlapping = detection_file.read_evaluation(folder / "evaluation" / "step-6")
    assert analyzed["step"] == 6 and analyzed["source"]["model"].endswith("last/ckpt-6")
    assert analyzed["figures"].keys() == metrics.keys()
    assert analyzed["summary"]["ap50"] == pytest.approx(metrics["DetectionBoxes_Precision/mAP@.50IOU"], nan_ok=True)
    # The names are those of the records: paths below the folder of the images.
    assert (
        len(set(overlapping.images.image_names)) == overlapping.images.num_images == analyzed["summary"]["num_images"]
    )
    assert all(name.endswith((".jpg", ".png")) for name in overlapping.images.image_names)


def test_the_training_keeps_what_the_last_and_the_best_evaluation_found(trained):
    folder, result = trained
    for name, record in (("last", result.history.records[-1]), ("best", result.history.best())):
        analyzed, _ = detection_file.read_evaluation(folder / "evaluation" / name)
        assert analyzed["step"] == record["step"]
        assert analyzed["figures"]["Loss/total_loss"] == pytest.approx(record["metrics"]["Loss/total_loss"], abs=1e-5)
    assert f"best: step {result.history.best()['step']}, the highest eval/DetectionBoxes" in result.best_reason


def test_the_number_of_images_to_evaluate_by_is_that_of_the_configuration(trained, data, capsys):
    pipeline = tiny.make_pipeline(data)
    pipeline.eval_config.num_examples = 2
    list(jobs.evaluate_model(pipeline, trained[0], OPTIONS, trained[0] / "last"))
    assert "evaluation: images 2/2" in capsys.readouterr().out


def test_averaged_weights_are_evaluated_and_kept(data, tmp_path):
    optimizer = (
        "momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.01 } } } "
        "use_moving_average: true moving_average_decay: 0.9"
    )
    pipeline = tiny.make_pipeline(data, optimizer)
    pipeline.train_config.num_steps = 3
    with traced_once():
        result = jobs.train_model(pipeline, tmp_path, OPTIONS)
    for checkpoint in (tmp_path, tmp_path / "last"):  # the training's checkpoint contains plain weights and averages
        [(_, metrics)] = list(jobs.evaluate_model(pipeline, tmp_path, OPTIONS, checkpoint))
        for tag, value in result.history.records[-1]["metrics"].items():
            assert value is None or metrics[tag] == pytest.approx(value, rel=1e-3, abs=1e-4), (checkpoint, tag)
    name = "model/_box_predictor/_prediction_heads/box_encodings/0/_box_encoder_layers/0/kernel"
    training, kept = tensors(tmp_path / "ckpt-3"), tensors(tmp_path / "last" / "ckpt-3")
    average = training[f"{name}/.OPTIMIZER_SLOT/optimizer/average/.ATTRIBUTES/VARIABLE_VALUE"]
    value = f"{name}/.ATTRIBUTES/VARIABLE_VALUE"
    np.testing.assert_allclose(kept[value], average, rtol=1e-4, atol=1e-6)
    assert np.abs(training[value] - average).max() > 1e-4


def test_a_loss_that_is_not_finite_stops_with_the_files(data, tmp_path):
    optimizer = (
        "momentum_optimizer { learning_rate { constant_learning_rate { learning_rate: 1e30 } } } "
        "use_moving_average: false"
    )
    with pytest.raises(errors.TrainingError, match=r"step [23]: the loss is not finite") as caught:
        jobs.train_model(tiny.make_pipeline(data, optimizer), tmp_path, OPTIONS)
    assert "shapes_000" in str(caught.value)
    assert [path.stem for path in tmp_path.glob("ckpt-*.index")] == ["ckpt-1"]  # from before the bad step
    assert not (tmp_path / "evaluations.jsonl").exists()


def test_a_label_map_of_another_size_is_an_error(data, tmp_path):
    pipeline = tiny.make_pipeline(data)
    pipeline.model.ssd.num_classes = 7
    with pytest.raises(errors.ConfigError, match="num_classes"):
        jobs.train_model(pipeline, tmp_path, OPTIONS)


def test_a_checkpoint_that_was_not_filled_in_is_an_error(data, tmp_path):
    pipeline = tiny.make_pipeline(data)
    pipeline.train_config.fine_tune_checkpoint = "PATH_TO_BE_CONFIGURED/model.ckpt"
    with pytest.raises(errors.ConfigError, match="fine_tune_checkpoint"):
        jobs.train_model(pipeline, tmp_path, OPTIONS)


def test_kill_in_the_middle_and_start_again(data, trained, tmp_path):
    """kill -9 after the first checkpoint: same final step, every evaluation, one curve that does not fold back."""
    config, folder = tmp_path / "pipeline.config", tmp_path / "model"
    pipelines.write_pipeline(config, tiny.make_pipeline(data))
    command = [sys.executable, "-m", "tfodhelper", "train", f"--pipeline_config_path={config}"]
    command += [f"--model_dir={folder}", "--eval_every=3", "--checkpoint_every=1", "--strategy=cpu", "--seed=5"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    while process.poll() is None and not list(folder.glob("ckpt-*.index")):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "resuming from" in again.stdout
    with open(folder / "evaluations.jsonl", encoding="utf-8") as file:
        assert [json.loads(line)["step"] for line in file] == [3, 6]
    steps = sorted(scalars(folder / "train")["Loss/total_loss"])
    assert steps == sorted(set(steps)) and steps[-1] == 6
    assert_same_checkpoints(trained[0] / "ckpt-6", folder / "ckpt-6")
    assert_same_tables(trained[0], folder)


def test_without_objects_to_evaluate_by_the_last_weights_are_kept_and_nothing_is_called_the_best(
    data, tmp_path, capsys
):
    pipeline = tiny.make_pipeline(data)
    negatives = tmp_path / "negatives.record"
    images = tf.data.TFRecordDataset(list(map(str, data.validate_shards))).take(2)
    with tf.io.TFRecordWriter(str(negatives)) as writer:
        for serialized in images.as_numpy_iterator():
            example = tf.train.Example.FromString(serialized)
            for key in [key for key in example.features.feature if key.startswith("image/object/")]:
                del example.features.feature[key]
            writer.write(example.SerializeToString())
    pipeline.eval_input_reader[0].tf_record_input_reader.input_path[:] = [str(negatives)]
    folder = tmp_path / "model"
    result = jobs.train_model(pipeline, folder, OPTIONS)
    said = capsys.readouterr()
    assert "none of 2 records has a box: mAP cannot be measured" in said.err
    assert "mAP - (the validation images have no objects to measure it by)" in said.out
    assert "best" not in said.out and "-1.0" not in said.out
    assert result.best_checkpoint.endswith("best/ckpt-6") and result.last_checkpoint.endswith("last/ckpt-6")
    assert result.history.best() is None
    assert not any("mAP" in tag or "Recall" in tag for tag in scalars(folder / "eval"))
    assert "-1.0" not in (folder / "results.csv").read_text(encoding="utf-8")


def test_statistics_warm_up_only_from_scratch(data, tmp_path):
    pipeline = tiny.make_pipeline(data)
    decay = pipeline.model.ssd.feature_extractor.conv_hyperparams.batch_norm.decay
    labels = label_maps.read_label_map(data.label_map_path)
    for checkpoint, momenta in ((None, (0.1, 0.91)), ("weights", (decay, decay))):
        session = loop.Session(pipeline, labels, tmp_path, OPTIONS, task.StartingPoint(checkpoint))
        modules = session.trainer.model.backbone.submodules
        norm = next(module for module in modules if isinstance(module, normalization.BatchNorm))
        for step, momentum in zip((0, 90), momenta):
            session.trainer.global_step.assign(step)
            assert float(norm.momentum) == pytest.approx(momentum)
