"""Tests of `training/strategy.py`; distributed trainings are in `test_distributed.py`."""

import pytest
import tensorflow as tf

from tfodhelper import errors
from tfodhelper.training import strategy, trainer

WORKERS = '"cluster": {"worker": ["a:1", "b:1"]}'


@pytest.mark.parametrize(
    ("text", "is_chief"),
    [
        ("{" + WORKERS + ', "task": {"type": "worker", "index": 0}}', True),
        ("{" + WORKERS + ', "task": {"type": "worker", "index": 1}}', False),
        ("{" + WORKERS + ', "task": {"type": "worker", "index": "1"}}', False),
        ('{"cluster": {"chief": ["c:1"]}, "task": {"type": "worker", "index": 0}}', False),
        ('{"cluster": {"chief": ["c:1"]}, "task": {"type": "chief", "index": 0}}', True),
    ],
)
def test_the_first_worker_is_the_chief_unless_there_is_one(monkeypatch, text, is_chief):
    monkeypatch.setenv("TF_CONFIG", text)
    assert strategy.is_chief_process("multi_worker") is is_chief
    assert strategy.is_chief_process("cpu")


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "[" * 100_000, '{"task": 3}', '{"task": {"index": "x"}}', '{"cluster": {"worker": 1}, "task": []}'],
)
def test_an_invalid_cluster_is_an_error_in_words(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    for function in (strategy.is_chief_process, strategy.build_strategy):
        with pytest.raises(errors.UsageError, match="TF_CONFIG is invalid") as caught:
            function("multi_worker")
        assert '"worker": ["HOST:PORT"' in str(caught.value)


def test_the_processor_reads_the_dataset_as_it_is_and_other_devices_get_their_parts():
    dataset = tf.data.Dataset.range(4)
    made = object.__new__(trainer.DetectionTrainer)
    for kind, is_host in ((strategy.build_strategy("cpu"), True), (tf.distribute.MirroredStrategy(["CPU:0"]), False)):
        assert strategy.is_host(kind) is is_host
        made._strategy = kind
        given = made.distribute_dataset(lambda params, input_context=None: dataset.batch(params), 2)
        assert isinstance(given, tf.distribute.DistributedDataset) is not is_host
        assert [batch.numpy().tolist() for batch in given] == [[0, 1], [2, 3]]
