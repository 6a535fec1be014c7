"""--batch_size=auto: what the trial reports decides, in numbers by hand; and a real trial."""

import sys

import pytest

from tests.training import tiny
from tfodhelper import errors, machine_memory
from tfodhelper.config import configuration
from tfodhelper.config.options import ConfigOptions, WriteConfigOptions
from tfodhelper.training import batch_size
from tfodhelper.training.options import TrainOptions

SIZE = (300, 300)


def device(budget=6_000_000_000, replicas=1):
    return {"budget": budget, "device": "the CPU", "replicas": replicas}


def steps(*peaks_gb):
    return [{"batch": 2**i, "peak": int(peak * 1e9)} for i, peak in enumerate(peaks_gb)]


def test_the_last_batch_within_the_budget_is_taken():
    number, text = batch_size._choose([device(), *steps(1.0, 1.5, 3.0, 5.9, 11.0)], None, SIZE)
    assert number == 8
    assert text == "batch size: 8, a step takes 5.9 GB, at most 0.6 of the 10.0 GB that are free on the CPU"
    assert batch_size._choose([device(replicas=4), *steps(1.0, 1.5)], None, SIZE)[0] == 8


def test_a_process_that_was_killed_leaves_the_batch_before():
    assert batch_size._choose([device(), *steps(1.0, 2.0)], "its process ended with status -9", SIZE)[0] == 2


def test_one_image_that_does_not_fit_is_an_error():
    with pytest.raises(errors.TrainingError, match="one image of 300 x 300 pixels does not fit") as caught:
        batch_size._choose([device(), *steps(7.0)], None, SIZE)
    assert caught.value.received == "7.0 GB" and caught.value.expected.startswith("at most 6.0 GB")
    with pytest.raises(errors.TrainingError, match="no step of training could be tried.*ended with status 1: boom"):
        batch_size._choose([], "its process ended with status 1: boom", SIZE)
    with pytest.raises(errors.UsageError, match="does not say how much memory is free"):
        batch_size._choose([device(budget=None)], None, SIZE)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("batch"), 12)


@pytest.mark.slow
def test_a_real_trial_takes_the_largest_power_of_two_up_to_the_number_of_images(data, capsys):
    """At 96 pixels the memory of any machine is enough, so that the images bound it."""
    assert batch_size.find_batch_size(tiny.make_pipeline(data), 3, TrainOptions(strategy="cpu")) == 2
    printed = capsys.readouterr().out
    assert "trying steps with up to 3 images of 96 x 96 pixels" in printed
    assert "batch size: 2, a step takes " in printed


def test_strategies_over_several_machines_are_refused(data):
    with pytest.raises(errors.UsageError, match="--strategy=tpu"):
        batch_size.find_batch_size(tiny.make_pipeline(data), 3, TrainOptions(strategy="tpu"))


def test_the_learning_rate_is_scaled_as_for_a_given_number_and_a_file_keeps_it(data, tmp_path):
    chosen = {"model": "ssd_mobilenet_v1", "fine_tune_checkpoint": "none", "data_dir": data.output_dir}
    calls = []

    def measure(pipeline, num_images):
        calls.append((pipeline.train_config.batch_size, num_images))
        return 16

    automatic = WriteConfigOptions(**chosen, batch_size="auto", output_dir=tmp_path / "auto")
    first = configuration.write_config(automatic, measure).read_text(encoding="utf-8")
    given = WriteConfigOptions(**chosen, batch_size=16, output_dir=tmp_path / "given")
    assert configuration.write_config(given).read_text(encoding="utf-8") == first
    assert "batch_size: 16" in first and calls == [(1, data.num_train)]
    assert configuration.write_config(automatic, measure).read_text(encoding="utf-8") == first
    assert len(calls) == 1


def test_a_number_in_the_changes_leaves_no_room_for_it():
    chosen = ConfigOptions(
        model="ssd_mobilenet_v1",
        fine_tune_checkpoint="none",
        batch_size="auto",
        overrides=("train_config.batch_size=4",),
    )
    with pytest.raises(errors.UsageError, match="no effect with --set train_config.batch_size"):
        configuration.check_start(chosen)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_machine_and_process():
    free, whole = machine_memory.free_memory()
    assert 0 < free <= whole
    before = machine_memory.peak_of_process()
    block = bytearray(64 << 20)
    assert machine_memory.peak_of_process() >= before and len(block) == 64 << 20
