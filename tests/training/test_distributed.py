"""Several replicas: two logical devices of one process, and two processes."""

import json
import os
import socket
import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY
from tests.training import tiny
from tfodhelper.config import pipeline as pipelines

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distributed")
    pipeline = tiny.make_pipeline(tiny.make_data(folder))
    pipeline.train_config.num_steps = 4
    pipelines.write_pipeline(folder / "pipeline.config", pipeline)
    return folder / "pipeline.config"


def start(config, model_dir, strategy, num_cpus, **environment):
    command = [sys.executable, "-m", "tests.training.distributed_worker", config, model_dir, strategy, num_cpus]
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=REPOSITORY,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def check_folder(model_dir):
    with open(model_dir / "evaluations.jsonl", encoding="utf-8") as file:
        assert [json.loads(line)["step"] for line in file] == [2, 4]
    assert (model_dir / "ckpt-4.index").is_file()
    assert (model_dir / "last" / "ckpt-4.index").is_file()
    assert (model_dir / "best" / "checkpoint").is_file()


def test_mirrored_over_two_devices(config, tmp_path):
    output, _ = start(config, tmp_path, "mirrored", 2).communicate(timeout=400)
    assert "Mirrored, 2 replicas" in output and "FINISHED 4" in output, output
    assert "evaluation: images 5/5" in output
    check_folder(tmp_path)


def test_two_workers(config, tmp_path):
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    workers = [f"127.0.0.1:{port}" for port in ports]
    processes = []
    for index in range(2):
        cluster = json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})
        processes.append(start(config, tmp_path, "multi_worker", 1, TF_CONFIG=cluster))
    try:
        outputs = [process.communicate(timeout=400)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for output in outputs:
        assert "2 replicas" in output and "FINISHED 4" in output, output
        assert "evaluation: images 5/5" in output
    assert "best so far" in outputs[0] and "best so far" not in outputs[1]
    check_folder(tmp_path)
