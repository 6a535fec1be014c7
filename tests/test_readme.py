"""The Python of the README and of docs/: it runs as it is there, on drawn images, and names only what is public."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import tensorflow as tf

import tfodhelper
from tests.active_learning import tiny_workspace
from tests.exporting import fake_detector
from tests.shared_data import REPOSITORY
from tfodhelper import run_options
from tfodhelper.dataset import shapes
from tfodhelper.exporting import serving

# docs/architecture.md is for those who change the program, and shows what is not public.
PAGES = [
    REPOSITORY / "README.md",
    *sorted(set((REPOSITORY / "docs").glob("*.md")) - {REPOSITORY / "docs/architecture.md"}),
]
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
NAMES = re.findall(r"tfodhelper\.(\w+)(\.\w+)?", "\n".join([*BLOCKS, *re.findall(r"`([^`\n]+)`", TEXT)]))


def block_with(text):
    (found,) = [block for block in BLOCKS if text in block]
    return found


def run_block(text, folder):
    """Runs a block of these texts as a script in a folder; returns what it says."""
    (folder / "script.py").write_text(block_with(text))
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_only_public_names_are_shown():
    assert len(BLOCKS) == 4
    assert {name for name, _ in NAMES} <= set(tfodhelper.__all__)
    assert [name + more for name, more in NAMES if more] == []
    for block in BLOCKS:
        compile(block, "README.md", "exec")
        assert re.findall(r"^(?:import|from) .*", block, re.MULTILINE) == ["import tfodhelper"]


def test_every_public_function_is_mentioned():
    functions = [name for name in tfodhelper.__all__ if name[0].islower() and name[0] != "_"]
    unmentioned = [name for name in functions if not re.search(rf"\b{name}\b", TEXT)]
    assert [name for name in unmentioned if not name.startswith("write_")] == []


def finish_a_run(folder, **settings):
    """A finished run with these settings, whose export finds the whole image: half of its red is the score."""
    options = run_options.RunOptions(**settings)
    result = {"step": 400, "mAP": 0.5, "mAP@.50IOU": 0.75}
    state = {
        "settings": run_options.settings_of(options),
        "phases": {},
        "finished": True,
        "result": {"best": result, "last": result | {"step": 500}, "seconds_per_step": 0.1},
    }
    export = folder / options.output_dir / "export/best"
    module = serving.ServingModule(fake_detector.FakeDetector(gain=1.0), "image_tensor", 1)
    tf.saved_model.save(module, str(export / "saved_model"), signatures=module.signatures)
    (export / "label_map.pbtxt").write_text('item { id: 1 name: "cat" }')
    (folder / options.output_dir / "run.json").write_text(json.dumps(state))


@pytest.mark.slow
def test_a_run_and_its_detector(tmp_path, monkeypatch):
    """The run is a finished one, as on the second start of a script; training it would take minutes."""
    monkeypatch.chdir(tmp_path)
    (photo,) = shapes.draw_dataset(tmp_path / "photos", 1, seed=1)
    shutil.copy(photo, tmp_path / "photo.jpg")
    paths = shapes.draw_dataset(tmp_path / "more_photos", 3, seed=2)
    for path in paths:
        path.with_suffix(".xml").unlink()
    (arguments,) = re.findall(r"tfodhelper\.run\((.*)\)", block_with("tfodhelper.run("))
    finish_a_run(tmp_path, **eval(f"dict({arguments})"))
    lines = run_block("tfodhelper.run(", tmp_path).splitlines()
    assert "400 0.75" in lines
    assert (tmp_path / "out.jpg").stat().st_size > 1000
    expected = list(tfodhelper.Predictor("runs/first").predict_folder("more_photos", score_threshold=0.4))
    assert sum(map(len, expected)) > 0
    for prediction in expected:
        for found in prediction:
            assert f"{prediction.path} cat {found.score} 0.0 0.0" in lines
        assert tfodhelper.read_annotation(prediction.path + ".xml") == prediction.to_annotation()


def test_a_conversion_and_an_annotation(tmp_path):
    paths = shapes.draw_dataset(tmp_path / "photos", 12, seed=3)
    for suffix in (".jpg", ".xml"):
        paths[0].with_suffix(suffix).rename(tmp_path / f"photos/first{suffix}")
    annotation = tfodhelper.read_annotation(tmp_path / "photos/first.xml")
    annotation = dataclasses.replace(annotation, boxes=(*annotation.boxes, tfodhelper.Box("star", 1, 1, 11, 11)))
    tfodhelper.write_annotation(tmp_path / "photos/first.xml", annotation)
    said = run_block("tfodhelper.convert(", tmp_path)
    ((num_train, num_validate, names),) = re.findall(r"^(\d+) (\d+) (\(.*\))$", said, re.MULTILINE)
    lines = [(tmp_path / f"data/{side}.csv").read_text().splitlines()[1:] for side in ("train", "validate")]
    assert int(num_train) + int(num_validate) == 12 and 0 < int(num_validate) < 6
    assert [len({line.split(",")[0] for line in side}) for side in lines] <= [int(num_train), int(num_validate)]
    assert names == str(tfodhelper.read_label_map(tmp_path / "data/label_map.pbtxt").names)
    kept = tfodhelper.read_annotation(tmp_path / "photos/first.xml")
    assert kept.boxes == annotation.boxes[:-1] and len(kept.boxes) > 0


@pytest.fixture(scope="module")
def growing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounds")
    exercise = tiny_workspace.make_exercise(folder)
    made = tfodhelper.create_workspace(
        workspace=folder / "growing",
        data_dir=exercise / "labelled",
        val_dir=exercise / "validation",
        pool_dir=exercise / "pool",
        pipeline_config_path=exercise / "tiny.config",
        num_steps=4,
        batch_size=4,
        eval_every=4,
        fine_tune_checkpoint="none",
        strategy="cpu",
        predict_score_threshold=0.0,
        oracle="simulated",
        oracle_options={"truth_dir": exercise / "truth"},
    )
    assert os.fspath(made) == str(folder / "growing")
    assert (made.num_labelled, made.num_validation) == (tiny_workspace.NUM_LABELLED, tiny_workspace.NUM_VALIDATION)
    assert made.num_pool == tiny_workspace.NUM_POOL and not made.refused
    return folder


@pytest.mark.slow
def test_a_round_with_an_oracle_of_ones_own(growing):
    said = run_block("tfodhelper.run_rounds(", growing)
    (folder,) = (growing / "growing/rounds").iterdir()
    state = json.loads((folder / "round.json").read_text())
    assert state["oracle"] == "confident" and state["settings"]["selection"]["budget"] == 4
    answers = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 4
    assert {answer["verdict"] for answer in answers} <= {"adopted", "refused"}
    assert "confident: " in said


@pytest.mark.slow
def test_what_came_before_is_not_done_again(growing):
    """Runs after the round above: a target that is reached, a phase to stop at, a setting that comes too late."""
    assert tfodhelper.run_rounds(growing / "growing", 1) == "done"
    with pytest.raises(tfodhelper.TfodhelperError, match="there is no setting 'budgit'"):
        tfodhelper.run_rounds(growing / "growing", settings={"budgit": 3})
