"""scripts/try_models.py: what it knows of an interrupted run, and its rows; verbs have their own tests."""

import json
import pathlib
import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY


@pytest.fixture
def try_models(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
    import try_models

    return try_models


def noted(words, status=0):
    return {"words": words, "status": status, "cpu_s": 3.0, "peak_gb": 0.5, "last_line": "error: no room"}


def test_verbs_that_have_succeeded_with_the_same_words_are_not_run_again(try_models, tmp_path):
    commands = {"config": ["a"], "train": ["b"], "eval": ["c"]}
    done = {"config": noted(["a"]), "train": noted(["b"], status=2), "eval": noted(["c"])}
    assert try_models.read_done(tmp_path / "none", commands) == {}
    try_models.write_done(tmp_path / "verbs.json", done)
    assert list(try_models.read_done(tmp_path / "verbs.json", commands)) == ["config"]
    assert list(try_models.read_done(tmp_path / "verbs.json", {**commands, "config": ["other"]})) == []
    assert [path.name for path in tmp_path.iterdir()] == ["verbs.json"]


def test_a_row_says_what_failed(try_models):
    row = try_models.describe("name", {"config": noted(["a"]), "train": noted(["b"], status=2)}, None)
    assert row == "| name | 3 s | failed (2) | - | - | - | - | - | - | 0.5 |\nname: error: no room"


@pytest.mark.parametrize(("loss", "wanted"), [(1.5, {"loss": 1.5, "found": 2, "masks": 1}), (None, None)])
def test_a_loss_that_is_no_number_is_a_failure(try_models, tmp_path, loss, wanted):
    for path, entry in {
        "checkpoints/evaluations.jsonl": {"metrics": {"Loss/total_loss": loss}},
        "predictions/detections.jsonl": {"detections": [{"mask": {}}, {}]},
    }.items():
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text(json.dumps(entry) + "\n", encoding="utf-8")
    assert try_models.judge(tmp_path) == wanted


def test_only_detectors_of_two_stages_get_smaller_images(try_models):
    assert try_models.has_two_stages("rfcn_resnet101")
    assert not try_models.has_two_stages("ssd_mobilenet_v1")
    assert not try_models.has_two_stages("no_such_model")


def test_all_default_names_are_models_that_can_be_trained(try_models):
    from tfodhelper.zoo import catalogue

    models = [catalogue.find_model(name) for name in try_models.NAMES]
    assert all(model.trainable_here and model.generation == "tf1" for model in models)
    assert len({model.name for model in models}) == 18


def test_an_unknown_model_is_an_error_in_its_row(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifest.json").write_text("{}", encoding="utf-8")
    command = [sys.executable, pathlib.Path("scripts") / "try_models.py", "no_such_model", f"--output_dir={tmp_path}"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "| no_such_model | failed (" in done.stdout
    assert "\nno_such_model: error: " in done.stdout
