"""How many steps of a training fit into --time, with a clock that is set by hand."""

import contextlib
import dataclasses
import functools
import json

import numpy as np
import pytest

from tests.training import tiny
from tfodhelper import console, errors, run_folder, run_options, terminal
from tfodhelper.config import configuration, generate
from tfodhelper.config import options as config_options
from tfodhelper.config import pipeline as pipelines
from tfodhelper.dataset import shapes
from tfodhelper.training import jobs, schedules, time_budget, trial
from tfodhelper.training.options import TrainJobOptions, TrainOptions


class Clock:
    """A clock that only the work moves: 0.5 s for a step and 2 s for an evaluation, 20 s and 9 s for tracing."""

    def __init__(self, step=0.5, evaluation=2.0):
        self.now, self.step, self.evaluation = 100.0, step, evaluation
        self.steps, self.evaluations = [], 0

    def __call__(self):
        return self.now

    @contextlib.contextmanager
    def open_trial(self, *arguments):
        """What `trial.open_trial` gives, without a network."""
        self.now += 10.0  # building

        def train(steps):
            self.now += steps * self.step + (0 if self.steps else 20.0)
            self.steps.append(steps)

        def evaluate():
            self.now += self.evaluation + (0 if self.evaluations else 9.0)
            self.evaluations += 1

        yield train, evaluate
        self.now += 1.0


def test_steps_and_evaluations_are_measured_without_what_happens_once():
    clock = Clock()
    measured = time_budget.measure(clock.open_trial, 120, clock)
    # 2 steps with the tracing, then 8 stretches of 5 steps, 2.5 s each, in 20 s; 2 evaluations of 24 of 120 images
    assert clock.steps == [2] + 8 * [5] and clock.evaluations == 2
    assert measured == time_budget.Measured(
        step=0.5, evaluation=10.0, setup=10 + 20 + 2 * 0.5 + 9, elapsed=10 + 20 + 1 + 20 + 2 * 2 + 9 + 1
    )


@pytest.mark.parametrize(("step", "stretches"), [(60.0, 2), (0.001, 10)])
def test_the_number_of_measured_steps_has_bounds(step, stretches):
    clock = Clock(step)
    assert time_budget.measure(clock.open_trial, 24, clock).step == pytest.approx(step)
    assert clock.steps == [2] + stretches * [5]


def tenth(num_steps):
    return TrainOptions().eval_interval(num_steps)


def test_the_steps_fill_the_time_with_their_evaluations():
    """0.97 h are 3492 s; less 100 s for setup and trial and 10 evaluations of 20 s: 3192 s for 6384 steps of 0.5 s.

    6384 steps have 11 evaluations (every 638), the last of which costs 40 steps: the most with 10 are 6380 and with 11
    6344; a tenth of 6380 is 638.
    """
    measured = time_budget.Measured(step=0.5, evaluation=20.0, setup=60.0, elapsed=40.0)
    chosen = time_budget.fit(1.0, measured, tenth)
    assert chosen.num_steps in range(6340, 6381)
    assert chosen.estimated_seconds <= 3492
    evaluations = -(-chosen.num_steps // tenth(chosen.num_steps))
    assert chosen.estimated_seconds == pytest.approx(100 + chosen.num_steps * 0.5 + evaluations * 20)
    # with evaluations every 100 steps, 100 steps cost 70 s, of 3392 s
    every = time_budget.fit(1.0, measured, functools.partial(TrainOptions(eval_every=100).eval_interval))
    assert every.num_steps == 4800 + 24  # 3392 - 48 * 70 = 32 s: one more evaluation and 12 s, 24 steps


def test_too_little_time_is_said_and_the_least_number_of_steps_done(capsys):
    measured = time_budget.Measured(step=1.0, evaluation=10.0, setup=10.0, elapsed=10.0)
    chosen = time_budget.fit(0.01, measured, tenth)
    assert chosen.num_steps == time_budget.LEAST_STEPS == 100
    time_budget.warn_of_least(chosen)
    assert "--time=0.01: not even 100 steps fit" in capsys.readouterr().err
    assert chosen.estimated_seconds == 10 + 10 + 100 + 10 * 10
    time_budget.warn_of_least(time_budget.fit(1, measured, tenth))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("hours", [0.5, 1, 3, 12])
def test_more_time_is_more_steps_within_it(hours):
    measured = time_budget.Measured(step=0.21, evaluation=31.0, setup=33.0, elapsed=61.0)
    chosen, longer = (time_budget.fit(h, measured, tenth) for h in (hours, hours * 1.1))
    assert longer.num_steps > chosen.num_steps
    assert 0.9 * hours * 3600 < chosen.estimated_seconds <= 0.97 * hours * 3600


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def clock(monkeypatch):
    hand = Clock()
    monkeypatch.setattr(trial, "open_trial", hand.open_trial)
    return hand


OPTIONS = TrainOptions(time=0.5, strategy="cpu")


def test_the_number_is_kept_and_not_measured_again(data, tmp_path, clock, capsys):
    pipeline = tiny.make_pipeline(data)
    chosen = jobs.fit_to_time(pipeline, tmp_path, OPTIONS, clock)
    assert json.loads((tmp_path / "time.json").read_text())["num_steps"] == chosen.num_steps
    said = capsys.readouterr().out
    assert "--time=0.5: 0.5 s for a step and 2.0 s for an evaluation, as measured; " in said
    assert f"{chosen.num_steps} steps with 1" in said and " evaluations take about 29 min" in said
    clock.step = 50.0  # a slower machine
    assert jobs.fit_to_time(pipeline, tmp_path, OPTIONS, clock) == chosen
    assert capsys.readouterr().out == ""
    # before the first checkpoint, another time is measured again; then it is an error
    (tmp_path / "ckpt-3.index").touch()
    (tmp_path / "ckpt-3.data-00000-of-00001").touch()
    for hours, expected, received in ((1.0, "--time=0.5", "--time=1"), (None, "--time=0.5", "without --time")):
        with pytest.raises(errors.UsageError, match="was chosen for another time") as caught:
            jobs.fit_to_time(pipeline, tmp_path, dataclasses.replace(OPTIONS, time=hours), clock)
        assert (caught.value.expected, caught.value.received) == (expected, received)
    (tmp_path / "time.json").unlink()
    with pytest.raises(errors.UsageError, match="was chosen for another time") as caught:
        jobs.fit_to_time(pipeline, tmp_path, OPTIONS, clock)
    assert caught.value.expected == "without --time"
    assert jobs.fit_to_time(pipeline, tmp_path, dataclasses.replace(OPTIONS, time=None), clock) is None


@pytest.mark.parametrize(
    ("kind", "changes", "match"),
    [
        (TrainJobOptions, {"num_steps": 5}, "--num_steps cannot be combined with --time"),
        (TrainJobOptions, {"overrides": ("train_config.num_steps=5",)}, "--set train_config.num_steps cannot be"),
        (TrainJobOptions, {"strategy": "multi_worker"}, "--time cannot be combined with --strategy=multi_worker"),
        (run_options.RunOptions, {"num_steps": 5}, "--num_steps cannot be combined with --time"),
    ],
)
def test_what_cannot_be_combined_is_an_error(kind, changes, match):
    folders = {"model_dir": "m", "pipeline_config_path": "p"} if kind is TrainJobOptions else {}
    with pytest.raises(errors.UsageError, match=match):
        kind(time=1.0, **folders, **changes).check_end()
    kind(time=1.0, **folders).check_end()


@pytest.mark.parametrize(
    "model",
    [
        "ssd_mobilenet_v2_320x320_coco17_tpu-8",
        "ssd_mobilenet_v1_coco_2018_01_28",
        "faster_rcnn_resnet50_coco_2018_01_28",
    ],
)
def test_the_schedule_is_the_one_of_that_number_of_steps_from_the_first_step_on(data, tmp_path, clock, model):
    """Cosine, exponential and manual steps: the rates of all steps, and everything else in the configuration."""
    start = configuration.Start(generate.find_base(model), None)
    chosen = config_options.ConfigOptions(model=model, fine_tune_checkpoint="none")
    nominal = configuration.make_pipeline(chosen, start, data.output_dir, None)
    num_steps = jobs.fit_to_time(nominal, tmp_path, OPTIONS, clock).num_steps
    assert num_steps != nominal.train_config.num_steps

    options = run_options.RunOptions(model=model, fine_tune_checkpoint="none", data_dir="d", time=0.5)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "time.json").rename(tmp_path / "checkpoints" / "time.json")
    in_time = run_folder._config(options, tmp_path, start, data.output_dir)
    counted = configuration.make_pipeline(
        dataclasses.replace(chosen, num_steps=num_steps), start, data.output_dir, None
    )
    assert in_time == counted
    np.testing.assert_array_equal(rates_of(in_time, num_steps), rates_of(counted, num_steps))
    assert in_time.train_config.optimizer != nominal.train_config.optimizer


def rates_of(pipeline, num_steps, stride=None):
    optimizer = pipeline.train_config.optimizer
    learning_rate = getattr(optimizer, optimizer.WhichOneof("optimizer")).learning_rate
    schedule = schedules.build_schedule(learning_rate)
    return np.array([float(schedule(step)) for step in range(0, num_steps + 1, stride or num_steps // 150)])


def test_train_scales_the_schedule_of_its_file(data):
    optimizer = """momentum_optimizer { learning_rate { cosine_decay_learning_rate {
        learning_rate_base: 0.1 total_steps: 1000 warmup_learning_rate: 0.01 warmup_steps: 100 } } }"""
    pipeline = tiny.make_pipeline(data, optimizer)
    pipeline.train_config.num_steps = 1000
    scaled, notes = time_budget.rescale(pipeline, 3000)
    cosine = scaled.train_config.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    assert (scaled.train_config.num_steps, cosine.total_steps, cosine.warmup_steps) == (3000, 3000, 300)
    assert pipeline.train_config.num_steps == 1000 and len(notes) == 2
    # the rates are those of the file, three times as slowly
    before, after = rates_of(pipeline, 1000, stride=10), rates_of(scaled, 3000, stride=30)
    np.testing.assert_allclose(before, after, rtol=1e-5, atol=1e-8)


def test_nothing_is_printed_or_logged_inside_a_muted_block(tmp_path, capsys):
    with console.process_log(tmp_path / "log"):
        with terminal.muted():
            console.say("quiet")
            console.warn("quiet")
            with console.Progress("quiet", 3) as progress:
                progress.advance(3)
        console.say("loud")
    assert capsys.readouterr() == ("loud\n", "")
    assert "quiet" not in (tmp_path / "log").read_text() and "loud" in (tmp_path / "log").read_text()


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    shapes.draw_dataset(folder / "images", 20, seed=4)
    template = tiny.make_pipeline(tiny.make_data(folder / "other", 12))
    pipelines.write_pipeline(folder / "tiny.config", template)
    return run_options.RunOptions(
        data_dir=str(folder / "images"),
        pipeline_config_path=str(folder / "tiny.config"),
        batch_size=4,
        fine_tune_checkpoint="none",
        strategy="cpu",
        output_dir=str(folder / "out"),
        eval_every=7,
        time=0.001,
    )


@pytest.mark.slow
def test_a_run_with_too_little_time_does_the_least_and_is_resumed_with_the_same_number(job, capsys, monkeypatch):
    """With a real trial: what it prints and what it leaves behind is nothing."""
    monkeypatch.setattr(time_budget, "LEAST_STEPS", 7)
    folder = run_folder.run(job)
    said = capsys.readouterr()
    assert "not even 7 steps fit" in said.err
    assert said.out.count("strategy: OneDevice") == 1 and "--time=0.001: this start took" in said.out
    state = json.loads((folder / "run.json").read_text())
    assert state["result"]["last"]["step"] == 7 and state["settings"]["time"] == 0.001
    pipeline = pipelines.read_pipeline(folder / "pipeline.config")
    assert pipeline.train_config.num_steps == 7
    assert not [path for path in (folder / "checkpoints").iterdir() if path.is_dir() and path.name.startswith(".")]
    assert "Loss/total_loss" in (folder / "checkpoints" / "results.csv").read_text()
    # killed before the export, and resumed on a machine on which more steps would fit
    state["finished"] = False
    del state["result"], state["phases"]["export"], state["phases"]["train"]
    (folder / "run.json").write_text(json.dumps(state))
    monkeypatch.setattr(trial, "open_trial", lambda *rest: pytest.fail("measured again"))
    assert run_folder.run(job) == folder
    assert pipelines.read_pipeline(folder / "pipeline.config") == pipeline
    with pytest.raises(errors.UsageError, match="other settings"):
        run_folder.run(dataclasses.replace(job, time=2.0))
