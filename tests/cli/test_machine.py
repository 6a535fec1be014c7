"""Commands in odd surroundings: streams that are closed or cannot show a letter, few descriptors, small limits."""

import errno
import os
import resource
import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY
from tfodhelper import console, storage
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.cli import main
from tfodhelper.dataset import shapes
from tfodhelper.outofcore import workers

NAME = "Bär 漢 €"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Pictures with XML; the class of one has letters that few encodings have."""
    folder = tmp_path_factory.mktemp("images")
    paths = shapes.draw_dataset(folder, 8, seed=3)
    for path in paths[:4]:
        annotation = labelimg.read_labelimg(path.with_suffix(".xml"))
        odd = Annotation(annotation.filename, annotation.width, annotation.height, (Box(NAME, 5, 5, 90, 90),))
        labelimg.write_labelimg(path.with_suffix(".xml"), odd)
    return folder


def run(shell, folder, limit=None, **environment):
    """Runs a line of a shell, in which `tfodhelper` is the program; `limit` is (resource, number)."""
    text = shell.replace("tfodhelper", f"{sys.executable} -m tfodhelper", 1)
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {text}"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment,
        preexec_fn=(lambda: resource.setrlimit(limit[0], (limit[1], limit[1]))) if limit else None,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


CONVERT = "tfodhelper convert --output_dir=out --num_workers=1 --data_dir="


@pytest.mark.parametrize("redirect", [">&-", ">&- 2>&-", ">/dev/full", "| head -n 1", "<&- | true"])
def test_a_job_does_not_need_anybody_who_reads_what_it_prints(images, tmp_path, redirect):
    done = run(f"{CONVERT}{images} {redirect}", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    assert (tmp_path / "out" / "manifest.json").is_file()
    assert "convert: end" in (tmp_path / "out" / "process.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_letters_that_the_output_does_not_have_are_escaped(images, tmp_path, encoding):
    done = run(f"{CONVERT}{images}", tmp_path, PYTHONIOENCODING=encoding, PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    shown = {"latin-1": "B\ufffdr \\u6f22 \\u20ac", "ascii": "B\\xe4r \\u6f22 \\u20ac", "utf-8": NAME}[encoding]
    assert shown in done.stdout
    assert NAME in (tmp_path / "out" / "label_map.pbtxt").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["convert --num_workers=2", "stats", "check --fix", "export-annotations --to=coco"])
@pytest.mark.parametrize("limit", [6, 9, 14, 20])
def test_few_descriptors_are_enough_or_are_explained(images, tmp_path, verb, limit):
    done = run(f"tfodhelper {verb} --output_dir=out --data_dir={images}", tmp_path, (resource.RLIMIT_NOFILE, limit))
    if done.returncode:
        assert done.returncode == 1 and "open files" in done.stderr and "ulimit -n" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["convert --num_workers=1", "export-annotations --to=coco --images=copy", "split"])
def test_a_file_that_may_not_grow_is_explained_and_leaves_nothing(images, tmp_path, verb):
    command = f"tfodhelper {verb} --output_dir=out --data_dir={images}"
    done = run(command, tmp_path, (resource.RLIMIT_FSIZE, 40))
    assert done.returncode == 1 and "larger than the system allows" in done.stderr, done.stderr
    assert not list(tmp_path.rglob("*.tmp"))
    assert run(command, tmp_path).returncode == 0
    assert not list(tmp_path.rglob("*.tmp")) + list(tmp_path.rglob("*.partial"))


def test_without_a_home_nothing_is_missed(images, tmp_path):
    done = run(f"env -u HOME {CONVERT}{images}", tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSYS, "no semaphores"), ImportError("no sem_open"), PermissionError()]
)
def test_without_shared_memory_the_work_is_done_in_this_process(monkeypatch, capsys, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", refuse)
    with workers.kept_workers(), workers.workers(3) as run_tasks:
        assert list(run_tasks(abs, [-1, -2])) == [1, 2]
        workers.start_kept(3)
    assert "--num_workers=1" in capsys.readouterr().err


REFUSED = [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.EIO, errno.EROFS, errno.ENOMEM, errno.ENOLCK]


@pytest.mark.parametrize("number", REFUSED, ids=errno.errorcode.get)
def test_what_the_machine_refuses_is_not_a_fault_of_the_program(number):
    explained = main.explain(OSError(number, os.strerror(number), "data/train.record"))
    assert explained.exit_status == 1 and str(explained).startswith("data/train.record: ")
    assert main.explain(OSError(errno.EINVAL, "Invalid argument")) is None
    assert "not enough memory" in str(main.explain(MemoryError("cannot allocate 3 GiB")))


def test_the_words_of_another_library_are_recognized():
    text = "run/ckpt-2.data-00000-of-00001.tempstate1; No space left on device [Op:SaveV2]"
    assert "free some space" in str(storage.explain_refusal_in(f"first line\n{text}"))
    text = (
        "{{function_node __wrapped__FlushSummaryWriter_device_/job:localhost}} eval/events.v2; No space left on device"
    )
    assert str(storage.explain_refusal_in(text)).startswith("eval/events.v2; No space left on device")
    assert storage.explain_refusal_in("shapes do not match") is None
    assert storage.explain_refusal_in("OOM when allocating tensor with shape[8,512,512,64]") is None


def test_a_full_disk_loses_the_log_and_not_the_job(monkeypatch, tmp_path, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with console.process_log(tmp_path / "process.log"):
        monkeypatch.setattr("tfodhelper.own_files.open_careful", full)
        console.say("one")
        console.say("two")
    shown = capsys.readouterr()
    assert shown.out == "one\ntwo\n" and shown.err.count("the log cannot be written") == 1
