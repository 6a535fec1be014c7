"""Verbs that are killed, stopped by a signal or refused by the disk at a step that changes a folder, and run again."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY
from tfodhelper.dataset import shapes

# Runs a command line and does something at one of the calls that change folders: argv is the number of the call (0 for
# none), what to do, and the command. Prints the number of calls.
DISTURBED = """
import errno, os, signal, sys
from tfodhelper.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background jobs do not have
at, what, count = int(sys.argv.pop(1)), sys.argv.pop(1), 0
process = os.getpid()
def disturb():
    if what == "full disk":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.kill(process, getattr(signal, what))
def counted(function):
    def call(*args, **kwargs):
        global count
        if os.getpid() == process:
            count += 1
            if count == at or what == "full disk" and 0 < at < count and function not in removing:
                disturb()
        return function(*args, **kwargs)
    return call
removing = os.unlink, os.rmdir  # which a full disk allows
for name in ("replace", "rename", "symlink", "link", "mkdir", "rmdir", "unlink", "fsync"):
    setattr(os, name, counted(getattr(os, name)))
status = main.main()
print("calls", count)
sys.exit(status)
"""
OUT = "--output_dir=out"
VERBS = {
    "import": ["import", "--from=csv", "--input=csv/train.csv", "--image_dir=images", "--images=copy", OUT],
    "export-annotations": ["export-annotations", "--to=yolo", "--data_dir=images", "--images=copy", OUT],
    "check": ["check", "--data_dir=images", "--fix", OUT],
    "convert": ["convert", "--data_dir=images", OUT, "--num_workers=1"],
    "update": ["convert", "--data_dir=images", "--output_dir=converted", "--update", "--num_workers=1"],
    "split": ["split", "--data_dir=images", OUT],
    "stats": ["stats", "--data_dir=images", OUT],
    "config": ["config", "--data_dir=converted", "--model=ssd_mobilenet_v1", "--fine_tune_checkpoint=none", OUT],
    "active-init": [
        *("active", "init", "--data_dir=images", "--pool_dir=pool", "--workspace=out", "--val_fraction=0.4"),
        *("--model=ssd_mobilenet_v1", "--oracle=labelimg"),
    ],
}
QUICK = ("import", "check")
EVERY = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in VERBS]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Pictures, a pool, boxes as CSV, and a conversion of some of the pictures."""
    folder = tmp_path_factory.mktemp("inputs")
    shapes.draw_dataset(folder / "images", 6, seed=3)
    shapes.draw_dataset(folder / "pool", 3, seed=4)
    for path in (folder / "pool").glob("*.xml"):
        path.unlink()
    hidden = folder / "shapes_00005.jpg"
    (folder / "images" / hidden.name).rename(hidden)
    run(folder, ["convert", "--data_dir=images", "--output_dir=converted", "--num_workers=1"])
    hidden.rename(folder / "images" / hidden.name)
    run(folder, ["export-annotations", "--to=csv", "--data_dir=images", "--images=none", "--output_dir=csv"])
    return folder


def run(folder, command, at=0, what="SIGKILL"):
    """Runs a command in a folder, with the folder temporary/ beside it; returns the ended process."""
    temporary = folder.parent / f"{folder.name}-temporary"
    temporary.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", DISTURBED, str(at), what, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )
    if at == 0:
        assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def start(inputs, tmp_path):
    """Returns a function that makes a folder with the inputs, always under the same path."""
    folder = tmp_path / "here"

    def make():
        subprocess.run(["rm", "-rf", folder], check=True)
        subprocess.run(["cp", "-a", inputs, folder], check=True)
        return folder

    return make


def content_of(folder):
    """{path: content} of all files, folders and links, also among the temporary files; logs without content."""
    content = {}
    for base in (folder, folder.parent / f"{folder.name}-temporary"):
        for path in base.rglob("*"):
            name = str(path.relative_to(folder.parent))
            if path.is_symlink():
                content[name] = os.readlink(path)
            elif path.is_dir() or path.name in ("process.log", ".lock"):
                content[name] = None
            else:
                content[name] = path.read_bytes()
    return content


def points(calls):
    """Some numbers of calls: the first and the last one, and between."""
    return sorted({1, 2, calls // 4, calls // 2, 3 * calls // 4, calls - 3, calls - 1, calls} - {0, -1, -2})


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("what", ["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "full disk"])
def test_the_same_command_ends_with_the_result_of_an_undisturbed_run(start, name, what):
    folder, command = start(), VERBS[name]
    calls = int(re.search(r"calls (\d+)", run(folder, command).stdout)[1])
    expected = content_of(folder)
    for at in points(calls) if what == "SIGKILL" else [calls // 2]:
        folder = start()
        disturbed = run(folder, command, at, what)
        if what == "full disk":
            assert disturbed.returncode == 1 and "the disk is full" in disturbed.stderr, disturbed.stderr
        elif what == "SIGKILL":
            assert disturbed.returncode == -signal.SIGKILL
        else:
            assert disturbed.returncode == 128 + getattr(signal, what), disturbed.stderr
            assert "the same command resumes" in disturbed.stderr
        if what != "SIGKILL":
            assert not list((folder.parent / "here-temporary").iterdir())
        again = run(folder, command, -1)
        is_finished = name == "active-init" and "is already a workspace" in again.stderr
        assert again.returncode == 0 or is_finished, again.stderr
        assert content_of(folder) == expected, f"call {at} of {calls}"


def test_a_finished_command_says_so_and_changes_nothing(start):
    folder = start()
    run(folder, VERBS["import"])
    times = {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}
    assert "left as it is" in run(folder, VERBS["import"]).stdout
    assert {path: path.lstat().st_mtime_ns for path in folder.rglob("*") if path != folder} == times
    record = json.loads((folder / "out" / ".command.json").read_text())
    assert record["verb"] == "import" and record["settings"]["images"] == "copy"
