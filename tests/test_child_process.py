"""Modules that run in a process of their own: what they answer, and how they end."""

import subprocess
import sys

import pytest

from tfodhelper import child_process


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a shell script in the place of Python; takes its lines."""

    def write(lines):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{lines}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return write


def test_lines_are_answers(program):
    program('echo "$@"\ncat')
    lines, ending = child_process.run_module("some.module", {"a": [1, None]})
    assert lines == ["-m tfodhelper.some.module", '{"a": [1, null]}'] and ending is None


def test_why_it_ended_is_told_with_what_it_had_answered(program):
    program("cat > /dev/null\necho before\nprintf 'first\\nlast \\033[31m\\n' >&2\nexit 3")
    lines, ending = child_process.run_module("some.module")
    assert lines == ["before"] and ending.startswith("its process ended with status 3: last ") and "\033" not in ending


def test_a_process_that_is_killed_says_nothing(program):
    program("cat > /dev/null\nkill -KILL $$")
    assert child_process.run_module("some.module") == ([], "its process ended with status -9: no message")


def test_a_process_that_takes_too_long_is_killed(program):
    program("exec sleep 60")
    with pytest.raises(subprocess.TimeoutExpired):
        child_process.run_module("some.module", timeout_s=0.2)


def test_the_package_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines, ending = child_process.run_module("version")
    assert lines == [] and ending is None
