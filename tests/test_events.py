"""Commands and functions that are told how a job is doing."""

import json
import os
import pathlib
import sys
import time

import pytest

from tests.dataset.scan.picture_set import save_set
from tfodhelper import errors, events, run_folder, run_options
from tfodhelper.active_learning import options as active_options
from tfodhelper.active_learning import rounds
from tfodhelper.cli import main
from tfodhelper.training import jobs
from tfodhelper.training.options import TrainJobOptions

APPENDS = """#!{python}
import json, os, sys
event = json.load(sys.stdin)
with open({target!r}, "a") as file:
    file.write(json.dumps([os.environ["TFODHELPER_EVENT"], sys.argv[1:], event]) + "\\n")
"""


@pytest.fixture
def script(tmp_path):
    """(path of a script that appends what it gets to a file, a function that reads the file)."""
    target = tmp_path / "heard.jsonl"
    path = write_script(tmp_path / "append it", APPENDS.format(python=sys.executable, target=str(target)))

    def read():
        return [json.loads(line) for line in target.read_text().splitlines()] if target.exists() else []

    return path, read


def write_script(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_a_command_gets_one_json_object_for_each_event(script, capsys):
    path, read = script
    with events.job("run", f"'{path}' 'two words' $HOME;rm"):
        events.note(folder="runs/é")
        events.emit(events.PHASE_STARTED, phase="train")
        events.note(round=3)
        events.emit(events.EVALUATION_DONE, step=5, metrics={"mAP": None})
        events.note(round=None)
        events.emit(events.FINISHED, result={})
    heard = read()
    assert [name for name, _, _ in heard] == ["phase_started", "evaluation_done", "finished"]
    assert all(argv == ["two words", "$HOME;rm"] for _, argv, _ in heard)  # no shell has seen them
    first, second, third = (event for _, _, event in heard)
    assert first.pop("time").endswith("+00:00")
    assert first == {"event": "phase_started", "verb": "run", "folder": "runs/é", "phase": "train"}
    assert (second["round"], second["step"], second["metrics"]) == (3, 5, {"mAP": None})
    assert "round" not in third
    assert capsys.readouterr() == ("", "")


def test_a_failure_is_told_with_its_words(script):
    path, read = script
    with pytest.raises(errors.DatasetError), events.job("run", f"'{path}'"):
        raise errors.DatasetError("no images", fix="add some")
    with pytest.raises(KeyboardInterrupt), events.job("run", f"'{path}'"):
        raise KeyboardInterrupt
    told = [(event["event"], event["error_type"], event["error"]) for _, _, event in read()]
    assert told == [
        ("failed", "DatasetError", "no images\n  fix: add some"),
        ("failed", "KeyboardInterrupt", "KeyboardInterrupt"),
    ]


def test_a_failing_command_is_a_warning(tmp_path, capfd):
    path = write_script(tmp_path / "fails", "#!/bin/sh\necho out\necho 'no such\nserver' >&2\nexit 3\n")
    with events.job("run", str(path)):
        events.emit(events.FINISHED)
    out, err = capfd.readouterr()
    assert out == "" and err == f"warning: --notify: {path}: exit status 3: no such server (event finished)\n"


def test_a_command_that_has_vanished_is_a_warning(tmp_path, capsys):
    path = write_script(tmp_path / "here", "#!/bin/sh\n")
    with events.job("run", str(path)):
        path.unlink()
        events.emit(events.FINISHED)
    assert "cannot be run (No such file or directory)" in capsys.readouterr().err


def test_a_hanging_command_is_stopped_with_what_it_started(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(events, "TIMEOUT_S", 0.5)
    marks = tmp_path / "pids"
    path = write_script(tmp_path / "hangs", f"#!/bin/sh\nsleep 600 & echo $$ $! > '{marks}'\nwait\n")
    with events.job("run", str(path)):
        events.emit(events.FINISHED)
    assert "did not end within 0.5 s and was stopped (event finished)" in capsys.readouterr().err
    assert not any(is_running(int(pid)) for pid in marks.read_text().split())


def is_running(pid):
    """Whether a process exists and is not merely waiting to be buried."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
            if pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except (ProcessLookupError, FileNotFoundError):
            return False
        time.sleep(0.05)
    return True


def test_a_command_that_does_not_read_gets_much_text(tmp_path, capsys):
    path = write_script(tmp_path / "deaf", "#!/bin/sh\nexit 0\n")
    with events.job("run", str(path)):
        events.emit(events.FINISHED, text="x" * 1_000_000)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("no-such-program --at all", "no such program"),
        ("'open", "cannot be split"),
        ("  ", "no such program"),
    ],
)
def test_a_command_that_cannot_be_run_is_an_error_before_the_job(command, words):
    with pytest.raises(errors.UsageError, match=words), events.job("run", command):
        pytest.fail("the job has begun")


def test_a_function_hears_the_same_and_its_faults_are_warnings(capsys):
    heard = []

    def hear(event):
        heard.append(event["event"])
        event["spoilt"] = True
        raise ValueError("no tracker")

    with events.job("train", on_event=hear):
        events.emit(events.PHASE_STARTED, phase="train")
        events.emit(events.FINISHED)
    assert heard == ["phase_started", "finished"]
    assert "warning: finished: the function on_event failed (ValueError: no tracker)" in capsys.readouterr().err
    events.emit(events.FINISHED)  # outside of a job, nobody hears
    assert len(heard) == 2


@pytest.fixture
def short_run(tmp_path, monkeypatch):
    """A run whose phases after the conversion do nothing, in a folder with images."""
    save_set(tmp_path / "photos", ["cat", "dog"], 12)
    monkeypatch.chdir(tmp_path)
    numbers = {"step": 1, "mAP": 0.5, "mAP@.50IOU": 0.75}
    monkeypatch.setattr(run_folder, "_config", lambda *rest: None)
    monkeypatch.setattr(run_folder, "_train", lambda *rest: None)
    monkeypatch.setattr(run_folder, "_export", lambda *rest: None)
    monkeypatch.setattr(run_folder, "_numbers", lambda result: {"best": numbers, "last": numbers})
    return ["run", "--data_dir=photos", "--model=ssd_mobilenet_v1", "--fine_tune_checkpoint=none", "--num_workers=1"]


def test_a_run_tells_of_its_phases_and_its_end(short_run, script, tmp_path):
    path, read = script
    assert main.main([*short_run, "--output_dir=out", f"--notify='{path}'"]) == 0
    told = [event for _, _, event in read()]
    phases = [event.get("phase") for event in told]
    assert phases == ["convert", "config", "train", "export", None]
    assert {(event["verb"], event["folder"]) for event in told} == {("run", "out")}
    assert told[-1]["event"] == "finished" and told[-1]["result"]["best"]["mAP"] == 0.5
    assert "notify" not in json.loads((tmp_path / "out" / "run.json").read_text())["settings"]  # may change
    assert main.main([*short_run, "--output_dir=bad", f"--notify='{path}'", "--label_map=none.pbtxt"]) == 1
    assert read()[-1][2]["event"] == "failed" and "none.pbtxt" in read()[-1][2]["error"]
    assert main.main([*short_run, "--output_dir=bad", "--notify=no-such-program"]) == 2
    assert not (tmp_path / "bad").exists()


def test_a_part_of_a_larger_job_tells_in_its_name(short_run):
    heard = []
    chosen = run_options.RunOptions(
        data_dir="photos", model="ssd_mobilenet_v1", fine_tune_checkpoint="none", num_workers=1, output_dir="out"
    )
    with events.job("active", on_event=heard.append):
        events.note(folder="w", round=1)
        run_folder.run(chosen, is_part=True)
    assert [event["phase"] for event in heard] == ["convert", "config", "train", "export"]
    assert all((event["verb"], event["folder"], event["round"]) == ("active", "w", 1) for event in heard)


def test_rounds_tell_how_they_end(monkeypatch, tmp_path):
    heard = []
    monkeypatch.setattr(rounds, "_run_rounds", lambda folder, number, **how: "waits")
    assert rounds.run_rounds(tmp_path, 2, on_event=heard.append, until=None) == "waits"
    assert [(event["event"], event["verb"], event["outcome"]) for event in heard] == [("finished", "active", "waits")]


def test_the_flag_is_where_trainings_begin():
    for kind in (run_options.RunOptions, TrainJobOptions, active_options.StepOptions, active_options.RunRoundsOptions):
        assert issubclass(kind, events.NotifyOptions)
    assert not hasattr(active_options.RoundTrainingOptions, "notify")  # not stored in workspaces


@pytest.mark.slow
def test_a_training_tells_of_its_evaluations(tmp_path, script):
    from tests.training import tiny
    from tfodhelper.config import pipeline as pipelines

    path, read = script
    pipelines.write_pipeline(tmp_path / "p.config", tiny.make_pipeline(tiny.make_data(tmp_path, 12)))
    heard = []
    chosen = TrainJobOptions(
        pipeline_config_path=tmp_path / "p.config",
        model_dir=tmp_path / "model",
        num_steps=2,
        eval_every=1,
        strategy="cpu",
        notify=f"'{path}'",
        on_event=heard.append,
    )
    result = jobs.train(chosen)
    names = ["phase_started", "evaluation_done", "evaluation_done", "finished"]
    assert [event["event"] for event in heard] == [name for name, _, _ in read()] == names
    assert [event for _, _, event in read()] == json.loads(json.dumps(heard))
    evaluation = heard[2]
    assert (evaluation["step"], evaluation["num_steps"]) == (2, 2)
    assert evaluation["metrics"] == result.history.records[-1]["metrics"]
    assert evaluation["best_step"] == result.history.best()["step"] and "Loss/total_loss" in evaluation["train"]
    assert heard[-1]["result"]["last_checkpoint"].endswith("ckpt-2") and heard[-1]["result"]["ended"] == "num_steps"
