"""The verbs as functions: a whole job in a script of its own, and what each gives back."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

import tfodhelper
from tests.shared_data import REPOSITORY
from tests.training import tiny
from tfodhelper import errors, run_folder
from tfodhelper.config import pipeline as pipelines
from tfodhelper.dataset import shapes
from tfodhelper.records import reader

pytestmark = pytest.mark.slow

SCRIPT = pathlib.Path(__file__).with_name("jobs_script.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    shapes.draw_dataset(folder / "images", 20, seed=4)
    pipelines.write_pipeline(folder / "tiny.config", tiny.make_pipeline(tiny.make_data(folder / "other", 12)))
    return folder


@pytest.fixture(scope="module")
def said(folder):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("TF_USE_LEGACY_KERAS", None)
    command = [sys.executable, str(SCRIPT), str(folder)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def results(said):
    return json.loads(said[-1])


def test_the_script_runs_once_although_there_are_worker_processes(said):
    assert said.count("the script runs") == 1


def test_the_result_of_a_run_is_its_folder_with_what_it_reaches(folder, results):
    state = json.loads((folder / "out/run.json").read_text())
    path, best, last, seconds = results["run"]
    assert path == str(folder / "out")
    for (step, mean_ap, mean_ap_50, num_metrics), which in ((best, "best"), (last, "last")):
        stored = state["result"][which]
        assert (step, mean_ap, mean_ap_50) == (stored["step"], stored["mAP"], stored["mAP@.50IOU"])
        assert num_metrics > 10
    assert last[0] == 4 and seconds == state["result"]["seconds_per_step"]
    assert results["exports"] == [
        str(folder / "out/export/best"),
        str(folder / "out/export/last"),
        str(folder / "exported"),
    ]


def test_training_again_finds_the_same_training(folder, results):
    path, step, best, last = results["train"]
    assert (path, step) == (str(folder / "out/checkpoints"), 4)
    assert (best, last) == (results["run"][1], results["run"][2])
    for checkpoint, step in zip(results["checkpoints"], (best[0], 4)):
        assert checkpoint.endswith(f"ckpt-{step}") and pathlib.Path(f"{checkpoint}.index").is_file()


def test_the_evaluation_of_a_run_folder_is_that_of_its_last_checkpoint(results):
    step, mean_ap, mean_ap_50, _ = results["evaluate"]
    assert step == 4
    assert [mean_ap, mean_ap_50] == pytest.approx(results["run"][2][1:3], abs=1e-5)


def test_the_export_of_a_run_folder_is_that_of_its_best_checkpoint(folder, results):
    own, again = results["predict"]
    assert own["path"] == again["path"] and len(own["detections"]) == len(again["detections"]) > 0
    for one, other in zip(own["detections"], again["detections"]):
        assert one["class"] == other["class"] and one["score"] == pytest.approx(other["score"], abs=1e-4)
    assert tfodhelper.read_pipeline(folder / "exported").model == tfodhelper.read_pipeline(folder / "out").model


def test_a_finished_run_gives_its_result_again_without_its_checkpoints(folder, results, tmp_path):
    (tmp_path / "run.json").write_text((folder / "out/run.json").read_text())
    found = run_folder.read_result(tmp_path)
    assert found["best"]["step"] == results["run"][1][0]
    assert list(found["best"]["metrics"].values()) == results["run"][1][1:3]
    state = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(state | {"finished": False}))
    assert run_folder.read_result(tmp_path) is None
    assert run_folder.read_result(tmp_path / "nowhere") is None


def test_convert_gives_paths_and_counts(folder, tmp_path, capsys):
    made = tfodhelper.convert(data_dir=folder / "images", output_dir=tmp_path / "data", val_fraction=0.25, seed=2)
    num_records = [
        reader.count_records(reader.list_shards([str(made.output_dir / pattern)]))
        for pattern in (made.train_pattern, made.validate_pattern)
    ]
    assert num_records == [made.num_train, made.num_validate] and sum(num_records) == 20
    assert made.label_map == tfodhelper.read_label_map(tmp_path / "data/label_map.pbtxt")
    assert not made.reused
    assert tfodhelper.convert(
        data_dir=folder / "images", output_dir=tmp_path / "data", val_fraction=0.25, seed=2
    ).reused


def test_a_configuration_for_what_was_converted(folder, tmp_path):
    made = tfodhelper.convert(data_dir=folder / "images", output_dir=tmp_path / "data")
    path = tfodhelper.make_pipeline(
        data_dir=made.output_dir,
        pipeline_config_path=folder / "tiny.config",
        fine_tune_checkpoint="none",
        num_steps=7,
        overrides=["eval_config.batch_size=2"],
    )
    pipeline = tfodhelper.read_pipeline(path)
    assert path == tmp_path / "data/pipeline.config"
    assert (pipeline.train_config.num_steps, pipeline.eval_config.batch_size) == (7, 2)
    assert pipeline.model.ssd.num_classes == made.label_map.num_classes


def test_a_check_gives_what_it_finds(folder, tmp_path):
    fine = tfodhelper.check(data_dir=folder / "images", near_duplicates=False)
    assert (fine.has_errors, fine.num_images) == (False, 20)
    shapes.draw_dataset(tmp_path / "images", 3, seed=5)
    (tmp_path / "images/shapes_00001.xml").write_text("")
    broken = tfodhelper.check(data_dir=tmp_path / "images", output_dir=tmp_path / "report")
    assert (broken.has_errors, broken.num_images) == (True, 2)
    (finding,) = [finding for finding in broken.findings if finding.severity == "error"]
    assert (finding.code, finding.file) == ("xml-empty", "shapes_00001.xml")
    assert (tmp_path / "report/report.json").is_file()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tfodhelper.run(data_dir="nowhere", model="ssd_mobilnet_v1"), "did you mean"),
        (lambda: tfodhelper.run(data_dir="nowhere"), "model"),
        (lambda: tfodhelper.convert(data_dir="nowhere", output_dir="out"), "nowhere"),
        (lambda: tfodhelper.train(pipeline_config_path="nowhere", model_dir="out", num_steps=-1), "at least 0"),
        (lambda: tfodhelper.evaluate(model_dir="nowhere"), "no pipeline.config in this folder or around it"),
        (lambda: tfodhelper.export(trained_checkpoint_dir="nowhere", output_directory="out"), "no pipeline.config"),
        (lambda: tfodhelper.check(data_dir="nowhere"), "nowhere"),
        (lambda: tfodhelper.make_pipeline(data_dir="nowhere", model="ssd_mobilenet_v1"), "nowhere"),
    ],
)
def test_what_is_wrong_is_an_error_of_this_program(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.TfodhelperError, match=message):
        call()
