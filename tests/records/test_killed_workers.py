"""Kills during parallel work: no worker survives, and a second run gives the result of an undisturbed one."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.dataset.scan.picture_set import save_set
from tests.records.conversions import contents
from tfodhelper import errors
from tfodhelper.dataset import manifest as manifests
from tfodhelper.outofcore import workers as processes
from tfodhelper.records import convert

_PATIENCE_S = 30.0

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")]

# Each worker writes its process id and then hangs in the middle of its work until it is killed.
_HANGING = """
import os, pathlib, sys, time
from tfodhelper.dataset.scan import discover, entry_store
from tfodhelper.records import convert, image_lists, writer
discover._MIN_FOR_PROCESSES = 2
def hang(task, *more):
    path = pathlib.Path(sys.argv[3], str(os.getpid()))
    path.write_text("")
    time.sleep(1000)
{name} = hang
convert.convert(convert.ConvertOptions(data_dir=sys.argv[1], output_dir=sys.argv[2], num_workers=2))
"""


def is_running(number):
    """Whether a process exists and is not a zombie."""
    try:
        state = pathlib.Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return state.rpartition(")")[2].split()[0] not in "ZX"


def wait_until(is_true):
    end = time.monotonic() + _PATIENCE_S
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["entry_store.make_entry", "writer._make_record", "image_lists._to_json"])
def test_no_worker_survives_a_killed_run_and_the_next_run_is_complete(tmp_path, name):
    data, pids = save_set(tmp_path / "data", ["cat", "dog"], 10), tmp_path / "pids"
    pids.mkdir()
    command = [sys.executable, "-c", _HANGING.format(name=name), str(data), str(tmp_path / "out"), str(pids)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    wait_until(lambda: list(pids.iterdir()))
    process.send_signal(signal.SIGKILL)
    process.wait()
    workers = [int(path.name) for path in pids.iterdir()]
    assert process.pid not in workers
    wait_until(lambda: not any(is_running(worker) for worker in workers))
    assert not (tmp_path / "out" / manifests.NAME).exists()
    options = {"data_dir": data, "num_workers": 1}
    convert.convert(convert.ConvertOptions(output_dir=tmp_path / "out", **options))
    convert.convert(convert.ConvertOptions(output_dir=tmp_path / "whole", **options))
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def _end_in_worker(task):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_a_clear_error():
    with pytest.raises(errors.StorageError, match="a worker process was killed"), processes.workers(2) as run:
        list(run(_end_in_worker, range(4)))
