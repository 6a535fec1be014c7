"""What a process of the command line sets up and takes down around a verb."""

import os
import pathlib
import signal
import tempfile

import pytest

from tfodhelper import own_files, terminal
from tfodhelper.cli import surroundings


@pytest.fixture(autouse=True)
def _streams_of_pytest(monkeypatch):
    monkeypatch.setattr(terminal, "prepare", lambda: None)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_is_an_interruption_with_its_number_and_the_second_one_ends_the_process(name):
    number = getattr(signal, name)
    with pytest.raises(surroundings.Stopped) as caught, surroundings.prepared():
        try:
            os.kill(os.getpid(), number)
        finally:
            assert signal.getsignal(number) == signal.SIG_DFL
    assert caught.value.number == number and isinstance(caught.value, KeyboardInterrupt)
    assert signal.getsignal(number) == signal.SIG_DFL


def test_an_ignored_signal_stays_ignored():
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with surroundings.prepared():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, former)


def test_temporary_files_have_a_folder_of_their_own_that_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with surroundings.prepared():
        folder = pathlib.Path(tempfile.mkdtemp()).parent
        assert folder.parent == tmp_path and os.environ["TMPDIR"] == str(folder)
    assert os.environ["TMPDIR"] == str(tmp_path) and tempfile.tempdir is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("at", ["made", "removed"])
def test_a_signal_while_the_folder_is_made_or_removed_leaves_nothing(tmp_path, monkeypatch, number, at):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    owner, name = {"made": (own_files.TemporaryFolder, "__init__"), "removed": (own_files, "_remove_own")}[at]
    original, calls = getattr(owner, name), []

    def interrupted(*args):
        os.kill(os.getpid(), number)
        calls.append(original(*args))

    monkeypatch.setattr(owner, name, interrupted)
    with pytest.raises(KeyboardInterrupt), surroundings.prepared():
        assert at == "removed"
    assert calls and not list(tmp_path.iterdir())
    assert os.environ["TMPDIR"] == str(tmp_path)


def test_a_verb_that_needs_no_temporary_files_runs_without_a_folder_for_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: (_ for _ in ()).throw(PermissionError()))
    with surroundings.prepared():
        assert os.environ["TMPDIR"] == str(tmp_path / "missing")
