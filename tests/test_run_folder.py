"""The main job from a folder of images to an export, and what a second start does with it."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.training import tiny
from tfodhelper import errors, run_folder, run_options
from tfodhelper.checkpoints import restore
from tfodhelper.config import pipeline as pipelines
from tfodhelper.dataset import shapes
from tfodhelper.fields import Detections
from tfodhelper.models import build
from tfodhelper.prediction import predictor, reading, sources

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    shapes.draw_dataset(folder / "images", 20, seed=4)
    template = tiny.make_pipeline(tiny.make_data(folder / "other", 12))
    template.model.ssd.num_classes = 90
    pipelines.write_pipeline(folder / "tiny.config", template)
    return run_options.RunOptions(
        data_dir=str(folder / "images"),
        pipeline_config_path=str(folder / "tiny.config"),
        num_steps=4,
        batch_size=4,
        fine_tune_checkpoint="none",
        eval_every=2,
        overrides=("train_config.optimizer.momentum_optimizer.momentum_optimizer_value=0.5",),
        strategy="cpu",
        output_dir=str(folder / "out"),
    )


@pytest.fixture(scope="module")
def folder(options):
    return run_folder.run(options)


def test_everything_is_in_the_run_folder(folder):
    for name in (
        "process.log",
        "data/manifest.json",
        "data/label_map.pbtxt",
        "data/train.csv",
        "pipeline.config",
        "checkpoints/results.csv",
        "checkpoints/results.png",
        "checkpoints/train_batch.jpg",
        "checkpoints/validation_batch.jpg",
        "report.html",
        "figures/labels.png",
        "figures/best_confusion.png",
        "export/best/saved_model/saved_model.pb",
        "export/best/pipeline.config",
        "export/best/label_map.pbtxt",
        "export/last/checkpoint/ckpt-0.index",
    ):
        assert (folder / name).is_file(), name
    state = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert state["finished"] and list(state["phases"]) == ["convert", "config", "train", "export"]
    assert state["result"]["last"]["step"] == 4 and state["result"]["ended"] == "num_steps"


def test_the_process_log_has_start_end_and_duration_of_each_phase(folder):
    log = (folder / "process.log").read_text(encoding="utf-8")
    for phase in ("convert", "config", "train", "export"):
        assert f"== {phase}: start" in log
        assert f"== {phase}: end, " in log
    assert "ID  NAME" in log and "Next:" in log


def test_the_configuration_follows_flags_and_data(folder):
    pipeline = pipelines.read_pipeline(folder / "pipeline.config")
    assert pipeline.model.ssd.num_classes == 4
    assert (pipeline.train_config.num_steps, pipeline.train_config.batch_size) == (4, 4)
    assert pipeline.train_config.optimizer.momentum_optimizer.momentum_optimizer_value == 0.5
    assert not pipeline.train_config.fine_tune_checkpoint


def test_the_export_detects_what_the_trained_model_detects(folder, options):
    """Through `predict` and through a plain load, against the model in memory."""
    pipeline = pipelines.read_pipeline(folder / "pipeline.config")
    detector = build.build_detector(pipeline.model, is_training=False)
    restore.restore_trained(detector, folder / "checkpoints" / "last")
    paths = [source.path for source in sources.find_images([options.data_dir], print)[:3]]
    plain = tf.saved_model.load(str(folder / "export/last/saved_model")).signatures["serving_default"]
    served = predictor.StreamPredictor(folder / "export/last/saved_model")
    for path, found in zip(paths, served.predict(paths)):
        image = reading.read_image(path)[np.newaxis]
        inputs, shapes_ = detector.preprocess(tf.constant(image))
        expected = detector.postprocess(detector.predict_raw(inputs, shapes_, training=False), shapes_)
        received = plain(tf.constant(image))
        for key in (Detections.BOXES, Detections.SCORES, Detections.RAW_BOXES, Detections.RAW_SCORES):
            np.testing.assert_allclose(received[key], expected[key], atol=1e-4)
        np.testing.assert_array_equal(received[Detections.CLASSES], expected[Detections.CLASSES] + 1)
        num = int(expected[Detections.NUM][0])
        np.testing.assert_allclose(
            [detection.score for detection in found.detections], expected[Detections.SCORES][0, :num], atol=1e-4
        )
        boxes = [[d.ymin / found.height, d.xmin / found.width] for d in found.detections]
        np.testing.assert_allclose(boxes, expected[Detections.BOXES][0, :num, :2], atol=1e-4)


def test_a_finished_run_is_left_as_it_is(folder, options, capsys):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if "export" in str(path)}
    assert run_folder.run(options) == folder
    assert "already finished" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if "export" in str(path)}


def test_a_page_that_a_killed_process_owes_is_written_by_the_same_command(folder, options):
    page = (folder / "report.html").read_text(encoding="utf-8")
    (folder / "report.html").unlink()
    assert run_folder.run(options) == folder
    assert (folder / "report.html").read_text(encoding="utf-8") == page


def test_a_run_that_the_former_version_left_unfinished_is_resumed(folder, options, capsys):
    """Its run.json calls a setting "allow_unhonoured"; killed before the end of the export."""
    state = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    state["settings"]["allow_unhonoured"] = state["settings"].pop("ignore_unsupported_fields")
    state["finished"] = False
    del state["result"], state["phases"]["export"]
    (folder / "run.json").write_text(json.dumps(state), encoding="utf-8")
    shutil.rmtree(folder / "export" / "last")
    before = (folder / "checkpoints" / "evaluations.jsonl").read_bytes()
    assert run_folder.run(options) == folder
    said = capsys.readouterr().out
    assert f"resuming {folder}" in said and "export/best: already exists" in said
    assert (folder / "export" / "last" / "saved_model" / "saved_model.pb").is_file()
    assert (folder / "checkpoints" / "evaluations.jsonl").read_bytes() == before
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["finished"]


def test_other_settings_are_refused(folder, options):
    other = run_options.RunOptions(**{**vars(options), "num_steps": 9})
    with pytest.raises(errors.UsageError, match="num_steps=4") as caught:
        run_folder.run(other)
    assert "num_steps=9" in str(caught.value)


def test_a_folder_with_other_things_is_refused(options, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(errors.UsageError, match="thesis.txt"):
        run_folder.run(run_options.RunOptions(**{**vars(options), "output_dir": str(tmp_path)}))


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"pipeline_config_path": None, "model": "ssd_mobilnet_v1"}, errors.ZooError, "ssd_mobilenet_v1"),
        ({"overrides": ("train_config.batchsize=4",)}, errors.ConfigError, "batch_size"),
        ({"fine_tune_checkpoint": "nowhere/ckpt-0"}, errors.TfodhelperError, "nowhere"),
    ],
)
def test_what_must_fail_fails_before_any_work(options, tmp_path, change, error, match):
    with pytest.raises(error, match=match):
        run_folder.run(run_options.RunOptions(**{**vars(options), "output_dir": str(tmp_path / "new"), **change}))
    assert not (tmp_path / "new" / "data").exists()


def test_an_interrupted_run_without_a_named_folder_is_found_again(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unnamed = run_options.RunOptions(**{**vars(options), "output_dir": None})
    first = run_options.choose_folder(unnamed, run_options.settings_of(unnamed))
    assert str(first) == "runs/tiny"
    for folder, steps, finished in (("tiny", 4, True), ("tiny-2", 9, False), ("tiny-3", 4, False)):
        settings = run_options.settings_of(run_options.RunOptions(**{**vars(unnamed), "num_steps": steps}))
        (tmp_path / "runs" / folder).mkdir(parents=True)
        state = {"settings": settings, "phases": {}, "finished": finished}
        (tmp_path / "runs" / folder / "run.json").write_text(json.dumps(state))
    assert str(run_options.choose_folder(unnamed, run_options.settings_of(unnamed))) == "runs/tiny-3"
