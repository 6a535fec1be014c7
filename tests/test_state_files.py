"""Damaged, empty and foreign state files are explained, each with what to do."""

import json

import pytest

from tests.active_learning import rounds_on_disk as disk
from tfodhelper import errors, run_folder, state_files, storage
from tfodhelper.active_learning import workspace
from tfodhelper.active_learning.pool import predictions
from tfodhelper.cli import main
from tfodhelper.dataset import manifest as manifests

FORM = state_files.StateForm("the state of a test", {"name": str, "parts": dict, "number": int}, "do this", format=2)
GOOD = {"format": 2, "name": "x", "parts": {}, "number": 1, "more": None}
DAMAGED = ["", " \n", "{}", "[]", "null", "7", '"x"', '{"a": ', '{"settings": 1}', "\x00" * 8, "{" * 5000]


def refusal(tmp_path, text):
    path = tmp_path / "state.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(errors.StorageError) as caught:
        state_files.read_state(path, FORM)
    assert str(caught.value).startswith(f"{path}: ") and "do this" in str(caught.value)
    return str(caught.value)


def test_a_good_file_is_read(tmp_path):
    storage.write_json(tmp_path / "a.json", GOOD)
    assert state_files.read_state(tmp_path / "a.json", FORM) == GOOD


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "an empty file"),
        ("{}", "an empty object"),
        ("[1]", "a list that is not a JSON object"),
        (json.dumps(GOOD)[:-3], "ends too early"),
        ("hello", "is not JSON"),
        (b"\xff\xfe{", "not UTF-8"),
        ("[" * 100_000, "is not JSON"),
        (json.dumps(GOOD | {"format": 3}), "another version"),
        ('{"name": "x"}', "no format"),
        ('{"format": 2, "name": "x"}', "no parts, number"),
        (json.dumps(GOOD | {"parts": []}), "parts: [], which is not an object"),
        (json.dumps(GOOD | {"number": True}), "number: true, which is not a whole number"),
    ],
)
def test_what_is_wrong_is_said(text, words, tmp_path):
    assert words in refusal(tmp_path, text)


@pytest.mark.parametrize("text", [*DAMAGED, '{"settings": {}, "phases": {}, "finished": false}'])
def test_a_damaged_run_json_is_explained_by_every_verb_that_reads_it(text, tmp_path, capsys):
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "run.json").write_text(text, encoding="utf-8")
    argv = ["run", f"--data_dir={tmp_path}", "--model=ssd_mobilenet_v1", f"--output_dir={folder}"]
    argv += ["--fine_tune_checkpoint=none"]
    assert main.main(argv) in (1, 2)
    said = capsys.readouterr().err
    assert said.startswith(f"error: {folder}/run.json") and "fix: restore the file" in said
    with pytest.raises(errors.StorageError, match="restore the file"):
        run_folder.read_result(folder)


def test_a_finished_run_without_a_result_is_explained(tmp_path):
    storage.write_json(tmp_path / "run.json", {"settings": {"data": {}}, "phases": {}, "finished": True})
    with pytest.raises(errors.StorageError, match="no result"):
        run_folder.read_result(tmp_path)


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_workspace_or_round_is_explained(text, tmp_path):
    (tmp_path / workspace.NAME).write_text(text, encoding="utf-8")
    with pytest.raises(errors.TfodhelperError, match=r"workspace.json(.|\n)*fix: "):
        workspace.Workspace(tmp_path)
    space = disk.start(tmp_path / "w", ["cat"])
    (space.folder / "rounds" / "001").mkdir(parents=True)
    (space.folder / "rounds" / "001" / "round.json").write_text(text, encoding="utf-8")
    with pytest.raises(errors.StorageError, match=r"round.json(.|\n)*fix: restore"):
        space.rounds()


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_manifest_is_explained(text, tmp_path):
    (tmp_path / manifests.NAME).write_text(text, encoding="utf-8")
    with pytest.raises(errors.TfodhelperError, match="manifest.json"):
        manifests.read_manifest(tmp_path)


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_plan_of_predictions_is_explained(text, tmp_path):
    (tmp_path / predictions.PLAN).write_text(text, encoding="utf-8")
    with pytest.raises(errors.StorageError, match="fix: remove this folder"):
        predictions.read_plan(tmp_path)
