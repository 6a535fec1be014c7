"""Exported models side by side. Measuring starts processes that import TensorFlow, so one test does it for all."""

import csv
import json

import numpy as np
import pytest

import tfodhelper
from tests.reporting import stored_run
from tests.reporting.harmless import assert_harmless
from tfodhelper import errors
from tfodhelper.benchmarking import compare_models, measure
from tfodhelper.cli import main

ANSWER = {
    "load_s": 1.5,
    "image_ms": 20.25,
    "image_ms_90": 30.0,
    "num_timed": 50,
    "memory_bytes": 300 * 1024 * 1024,
    "mean_ap": 0.25,
    "mean_ap_50": 0.5,
    "num_images": 6,
}


@pytest.fixture
def models(tmp_path):
    """Files that look like models: a SavedModel with variables and two TFLite files."""
    saved = tmp_path / "export" / "saved_model"
    (saved / "variables").mkdir(parents=True)
    (saved / "saved_model.pb").write_bytes(b"x" * 100)
    (saved / "variables" / "variables.index").write_bytes(b"x" * 20)
    for name in ("a", "b"):
        (tmp_path / f"{name}.tflite").write_bytes(b"x" * 1000)
    return [str(tmp_path / "export"), str(tmp_path / "a.tflite"), str(tmp_path / "b.tflite")]


@pytest.fixture
def answers(monkeypatch):
    """Replaces the processes; returns the list of requests, and the answer of each model by the end of its path."""
    requests, replies = [], {}

    def run(request):
        requests.append(request)
        return next((reply for end, reply in replies.items() if request["model"].endswith(end)), ANSWER)

    monkeypatch.setattr(compare_models, "_run", run)
    return requests, replies


def test_models_are_measured_in_their_order_and_written(models, answers, tmp_path, capsys):
    folder = stored_run.make_run(tmp_path / "runs" / "first")
    answers[1]["a.tflite"] = ANSWER | {"image_ms": 5.0, "mean_ap": None}
    argv = ["benchmark", *models, f"--data_dir={folder}", f"--output_dir={tmp_path / 'out'}", "--num_images=7"]
    assert main.main(argv) == 0
    out = capsys.readouterr().out
    assert [request["model"] for request in answers[0]] == models
    assert all(request["num_images"] == 7 and request["data_dir"] is None for request in answers[0])
    assert answers[0][0]["records"] == f"{folder}/data/validate.record-?????-of-00001"
    values = json.loads((tmp_path / "out" / "benchmark.json").read_text())["models"]
    assert [value["num_bytes"] for value in values] == [120, 1000, 1000]
    assert values[1]["image_ms"] == 5.0 and values[1]["mean_ap"] is None
    line = next(line for line in out.splitlines() if line.startswith(models[1]))
    assert line.split()[1:6] == ["-", "0.5000", "5.0", "30.0", "300"]
    with open(tmp_path / "out" / "benchmark.csv", newline="") as file:
        assert [row["image_ms"] for row in csv.DictReader(file)] == ["20.25", "5.0", "20.25"]
    assert "a.tflite" in (tmp_path / "out" / "benchmark.html").read_text(encoding="utf-8")


def test_names_of_models_are_only_text(answers, tmp_path):
    names = ["<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "a\u202etelpx"]
    paths = []
    for number, name in enumerate(names):
        path = tmp_path / str(number) / f"{name}.tflite"  # the slash of </script> makes it a folder
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
        paths.append(str(path))
    tfodhelper.benchmark(models=paths, output_dir=tmp_path / "out")
    assert_harmless((tmp_path / "out" / "benchmark.html").read_text(encoding="utf-8"), names)


def test_a_model_that_fails_is_left_out_and_if_all_fail_it_is_an_error(models, answers, capsys):
    answers[1]["a.tflite"] = {"error": "it is broken"}
    figures = tfodhelper.benchmark(models=models)
    assert [each.model for each in figures] == [models[0], models[2]]
    assert "a.tflite: could not be measured: it is broken" in capsys.readouterr().err
    with pytest.raises(errors.PredictionError, match="no model could be measured"):
        tfodhelper.benchmark(models=[models[1]])


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "no model given"),
        (["nothing.tflite"], "nothing.tflite"),
        (["{0}", "--data_dir=nowhere"], "--data_dir=nowhere: no such folder"),
        (["{0}", "--label_map=mscoco"], "--label_map has no effect without --data_dir"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_any_process(models, answers, capsys, argv, words):
    assert main.main(["benchmark", *(word.format(models[1]) for word in argv)]) in (1, 2)
    assert words in capsys.readouterr().err and not answers[0]


def test_times_are_those_of_the_calls(monkeypatch):
    clock = iter(np.cumsum([0.0, 0.010, 0.0, 0.030, 0.0, 0.020]))
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(clock))

    class Model:
        calls = 0

        def detect(self, images, batch_size):
            assert len(images) == batch_size == 1
            self.calls += 1

    model, image = Model(), np.zeros([4, 4, 3], np.uint8)
    seconds = measure._time(model, [image, image, image])
    np.testing.assert_allclose(seconds, [0.010, 0.030, 0.020])
    assert model.calls == 1 + 3 + 3  # once for the size, three times to warm up, and the measured ones


@pytest.mark.slow
def test_a_tflite_file_and_its_saved_model_are_measured(tmp_path):
    from tests.cli.test_model_verbs_use_flags import TINY
    from tfodhelper.dataset import shapes

    shapes.draw_dataset(tmp_path / "set", 10, seed=1)
    run = str(tmp_path / "run")
    assert main.main(["run", f"--data_dir={tmp_path / 'set'}", *TINY, f"--output_dir={run}"]) == 0
    out = str(tmp_path / "tflite")
    flags = ["--format=tflite", "--num_check_images=0", f"--trained_checkpoint_dir={run}", f"--output_directory={out}"]
    assert main.main(["export", *flags]) == 0
    figures = tfodhelper.benchmark(models=[run, f"{out}/detector_float32.tflite"], data_dir=run, num_images=2)
    assert len(figures) == 2 and all(each.image_ms > 0 and each.memory_bytes > 1e7 for each in figures)
    assert all(each.num_images == 2 and each.num_timed == 2 for each in figures)
    assert figures[0].mean_ap == pytest.approx(figures[1].mean_ap, abs=0.02)
