"""A new option of the training is one line in one file: proven on a copy of the program with that line."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY
from tests.test_former_settings import INIT_FLAGS, RUN, RUN_FLAGS

LINE = '    warm_up: int | None = options.option(None, "Steps of a gentle start.", least=1)\n'
PLACE = "    seed: int = options.seed_option()\n"  # any other place in `TrainOptions` would do

SETTINGS = """
import dataclasses, json, pathlib
from tfodhelper import run_folder, run_options
from tfodhelper.active_learning import workspace
from tfodhelper.cli import active_flags, active_init, active_round, flagging, option_flags, run

def parse(verb, argv):
    fv = flagging.make_flag_values(verb)
    flagging.parse(fv, argv)
    return fv

fv = parse(run, [*RUN_FLAGS, "--warm_up=7"])
options = option_flags.read_options(fv, run_options.RunOptions)
pathlib.Path("run").mkdir()
pathlib.Path("run/run.json").write_text(json.dumps({"settings": RUN, "phases": {}, "finished": False}))
without = option_flags.read_options(parse(run, [*RUN_FLAGS, "--output_dir=run"]), run_options.RunOptions)
settings = active_flags.read_settings(parse(active_init, [*INIT_FLAGS, "--warm_up=7"]))
of_runs = {field.name for field in dataclasses.fields(run_options.RunOptions)}  # --adopted_share is of rounds alone
training = {name: value for name, value in settings["training"].items() if name in of_runs}
print(json.dumps({
    "run": run_options.settings_of(options)["warm_up"],
    "resumed": str(run_options.choose_folder(without, run_options.settings_of(without))),
    "init": settings["training"]["warm_up"],
    "round": active_flags.read_changes(parse(active_round, ["--workspace=w", "--warm_up=8"])),
    "training of a round": run_options.RunOptions(data_dir="x", **training).warm_up,
}))
"""

LOOP = """
import json, os, pathlib
from tfodhelper import run_folder, run_options, tensorflow_setup
from tfodhelper.cli import flagging, main, option_flags, run
tensorflow_setup.quiet_tensorflow()
from tfodhelper.config import pipeline
from tfodhelper.training import job_inputs, jobs, loop

class Session:
    def __init__(self, pipeline, label_map, model_dir, options, *rest):
        self.options = options
    def train(self):
        seen.append([type(self.options).__name__, self.options.warm_up, self.options.checkpoint_every])
        return loop.TrainResult(1, "", "", None, None)

seen = []
loop.Session = Session
job_inputs.find_starting_point = job_inputs.read_matching_label_map = jobs.keep_sampling = lambda *rest: None
job_inputs.check_records = job_inputs.check_eval_records = lambda *rest, **more: None
config = pathlib.Path("pipelines").resolve() / "ssd_mobilenet_v1_coco_2018_01_28.config"
flags = ["--warm_up=7", "--checkpoint_every=5"]
paths = [f"--pipeline_config_path={config}", "--model_dir=m", "--fine_tune_checkpoint=none"]
status = main.main(["train", *paths, *flags])
fv = flagging.make_flag_values(run)
flagging.parse(fv, [*RUN_FLAGS, *flags])
options = option_flags.read_options(fv, run_options.RunOptions)
run_folder._train(options, pathlib.Path("r"), pipeline.read_pipeline(config))
print(json.dumps([status, seen]))
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A folder with the program and one more line."""
    folder = tmp_path_factory.mktemp("program")
    for name in ("tfodhelper", "pipelines", "labelmaps"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "tfodhelper" / "training" / "options.py"
    text = path.read_text(encoding="utf-8")
    assert text.count(PLACE) == 1
    path.write_text(text.replace(PLACE, LINE + PLACE), encoding="utf-8")
    return folder


def run_python(program, code, *argv):
    """Standard output of Python code that imports the copy."""
    names = f"RUN, RUN_FLAGS, INIT_FLAGS = {RUN!r}, {RUN_FLAGS!r}, {INIT_FLAGS!r}\n"
    command = [sys.executable, *(argv or ["-c", f"import sys; sys.path[0] = {str(program)!r}\n{names}{code}"])]
    done = subprocess.run(command, cwd=program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("verb", ["train", "run", "active init", "active round", "active run"])
def test_the_option_is_a_flag_of_every_verb_that_trains(program, verb):
    text = run_python(program, None, "-m", "tfodhelper", *verb.split(), "--help")
    assert "  --warm_up=N                     Steps of a gentle start.\n" in text


def test_its_range_is_checked(program):
    command = [sys.executable, "-m", "tfodhelper", "train", "--warm_up=0"]
    done = subprocess.run(command, cwd=program, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == ("error: --warm_up=0: invalid value\n  expected: a whole number, at least 1\n  received: 0\n")


def test_other_verbs_and_the_program_itself_do_not_know_it(program):
    assert "--warm_up" not in run_python(program, None, "-m", "tfodhelper", "convert", "--help")
    assert "warm_up" not in pathlib.Path(REPOSITORY / "tfodhelper" / "training" / "options.py").read_text("utf-8")


def test_it_is_stored_and_runs_from_before_it_are_resumed(program):
    assert json.loads(run_python(program, SETTINGS)) == {
        "run": 7,
        "resumed": "run",
        "init": 7,
        "round": {"training": {"warm_up": 8}},
        "training of a round": 7,
    }


def test_it_reaches_the_training_loop(program):
    """Through `train`, and through `run`, which is also what a round does."""
    status, seen = json.loads(run_python(program, LOOP).splitlines()[-1])
    assert (status, seen) == (0, [["TrainOptions", 7, 5]] * 2)
