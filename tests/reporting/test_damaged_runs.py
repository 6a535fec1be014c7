"""What report and compare say about files of a run that were damaged or come from elsewhere."""

import io
import json
import shutil
import zipfile

import numpy as np
import pytest

from tests.reporting import stored_run
from tfodhelper import errors, run_options
from tfodhelper.metrics import analysis_file, detection_file
from tfodhelper.reporting import compare, run_facts

EVALUATION = "checkpoints/evaluation/best"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return stored_run.make_run(tmp_path_factory.mktemp("whole") / "run", images=4)


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def change(path, change_value):
    value = json.loads(path.read_text())
    change_value(value)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("change_state", "words"),
    [
        (lambda state: state["phases"].pop("train"), "no 'train'"),
        (lambda state: state["phases"]["train"].update(seconds=float("inf")), "not a finite number"),
        (lambda state: state["phases"]["train"].update(seconds=10**400), "too large"),
        (lambda state: state["result"].update(seconds_per_step=[]), "seconds_per_step"),
        (lambda state: state["result"].update(reason=[1]), "reason"),
    ],
)
def test_a_damaged_state_is_named(run, change_state, words):
    change(run / "run.json", change_state)
    with pytest.raises(errors.StorageError, match=words):
        run_facts.read_run(run)


def test_settings_of_another_kind_are_named():
    with pytest.raises(errors.StorageError, match="overrides: a list of texts"):
        run_facts.command_flags({"overrides": True}, run_options.RunOptions)


@pytest.mark.parametrize("more", [{"train": {"Loss/total_loss": []}}, {"seconds": "1"}, {"seconds": float("inf")}])
def test_a_damaged_evaluation_is_named(run, more):
    path = run / "checkpoints" / "evaluations.jsonl"
    path.write_text(json.dumps({"step": 1, "metrics": {}} | more) + "\n")
    with pytest.raises(errors.StorageError, match="evaluations.jsonl"):
        run_facts.read_run(run)


@pytest.mark.parametrize(
    ("change_analysis", "words"),
    [
        (lambda value: value["curves"]["overall"]["f1"].pop(), "not of one length"),
        (lambda value: value["confusion"]["matrix"].pop(), "the matrix"),
        (lambda value: value["confusion"]["matrix"][0].append(1), "the matrix"),
        (lambda value: value["sizes"]["histogram"]["found"].append(1), "the bars"),
        (lambda value: value["worst"]["images"][0].update(image_index=2), "image_index outside of 0..1"),
        (lambda value: value["worst"]["images"][0].update(image_index=-1), "image_index outside of 0..1"),
        (lambda value: value["summary"].update(ap=float("nan")), "not a finite number"),
    ],
)
def test_an_analysis_whose_parts_do_not_fit_is_refused(run, change_analysis, words):
    change(run / EVALUATION / analysis_file.ANALYSIS, change_analysis)
    with pytest.raises(errors.StorageError, match=words):
        run_facts.read_run(run)


def test_an_analysis_of_other_detections_is_refused(run):
    change(run / EVALUATION / analysis_file.ANALYSIS, lambda value: value["detections"].update(sha256="0" * 64))
    with pytest.raises(errors.PredictionError, match="other detections"):
        run_facts.read_run(run).read_detections()


def test_an_image_without_its_digest_is_named_by_compare(run, whole):
    path = run / "data" / "manifest.json"
    lines = [line.replace('"sha256": ', '"sha": ') if '"split"' in line else line for line in path.open()]
    path.write_text("".join(lines))
    with pytest.raises(errors.DatasetError, match="sha256"):
        compare.compare_runs([run_facts.read_run(folder) for folder in (whole, run)])


def array_file(array, shape=None):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    data = file.getvalue()
    return data if shape is None else data.replace(str(array.shape).encode(), str(shape).encode(), 1)


@pytest.mark.parametrize(
    "content",
    [
        array_file(np.array([None], object)),
        array_file(np.zeros([3], np.int64), (10**15,)),
        array_file(np.zeros([3], np.int64), (10**30,)),
        array_file(np.zeros([3], np.int64), (-1,)),
        array_file(np.zeros([10**6], np.int64)),
        array_file(np.zeros([], np.int64)),
        array_file(np.zeros([3], np.float64)),
        b"",
        b"not an array",
    ],
    ids=["objects", "large", "huge", "negative", "many", "scalar", "floats", "empty", "text"],
)
def test_arrays_of_another_kind_are_refused_before_they_are_read(run, tmp_path, content):
    with zipfile.ZipFile(run / EVALUATION / analysis_file.DETECTIONS) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    path = tmp_path / "changed.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, content if name == "gt_starts.npy" else data)
    with pytest.raises(errors.PredictionError, match="does not hold the detections"):
        detection_file.read_detections(path)
