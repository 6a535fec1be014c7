"""Commands in messages are what the user has to type."""

import re
import shlex
import subprocess
import sys

import pytest

from tests.dataset.scan.picture_set import save_set
from tests.shared_data import REPOSITORY
from tfodhelper import console, invocation
from tfodhelper.cli import main


def test_a_command_can_be_typed_whatever_its_paths_contain():
    command = invocation.format_command("check", "my photos", data_dir="a b", label_map=None, fix=True, max_shown=3)
    assert command == "tfodhelper check --data_dir='a b' --fix --max_shown=3 'my photos'"
    assert shlex.split(command)[2:] == ["--data_dir=a b", "--fix", "--max_shown=3", "my photos"]
    assert invocation.tensorboard_command("x y") == "tensorboard --logdir='x y'"


def test_no_command_is_put_together_from_paths_by_hand():
    """Paths with spaces would fall apart."""
    by_hand = re.compile(r"f\"(tfodhelper|tensorboard) [^\"]*--\w+=\{")
    paths = (REPOSITORY / "tfodhelper").rglob("*.py")
    found_lines = [line for path in paths for line in path.read_text("utf-8").splitlines() if by_hand.search(line)]
    expected = ["shlex.quote(str(folder))", "--model={name}"]  # the name of a model of the zoo has no spaces
    assert [line for line in found_lines if not any(part in line for part in expected)] == []


@pytest.fixture
def typed(monkeypatch):
    """A function that pretends a command line was typed."""

    def type_(orig_argv, argv=("tfodhelper",)):
        monkeypatch.setattr(sys, "orig_argv", list(orig_argv))
        monkeypatch.setattr(sys, "argv", list(argv))
        invocation.program.cache_clear()

    yield type_
    monkeypatch.undo()
    invocation.program.cache_clear()


@pytest.mark.parametrize(
    ("orig_argv", "argv", "program"),
    [
        (["python", "-m", "tfodhelper", "check"], ["/x/tfodhelper/__main__.py"], "python -m tfodhelper"),
        (["my python", "-X", "-m", "tfodhelper"], ["/x/__main__.py"], "'my python' -X -m tfodhelper"),
        (["/v/bin/python", "/v/bin/tfodhelper", "check"], ["/v/bin/tfodhelper"], "/v/bin/tfodhelper"),
        (["python", "script.py", "-m", "tfodhelper"], ["script.py"], "tfodhelper"),
        (["python", "-m", "pytest", "-q"], ["/x/pytest/__main__.py"], "tfodhelper"),
    ],
)
def test_what_the_user_typed(typed, orig_argv, argv, program):
    typed(orig_argv, argv)
    assert invocation.program() == program


def test_a_script_that_the_shell_found_is_called_by_its_name(typed, monkeypatch):
    monkeypatch.setattr(invocation.shutil, "which", lambda name: f"/v/bin/{name}")
    typed(["/v/bin/python", "/v/bin/tfodhelper", "check"], ["/v/bin/tfodhelper", "check"])
    assert invocation.program() == "tfodhelper"


def test_next_commands_warnings_and_errors_name_the_program_as_it_was_called(typed, capsys):
    typed(["py", "-m", "tfodhelper", "zoo"])
    console.say_next("tfodhelper check --data_dir=x", "tensorboard --logdir=x")
    console.warn("run `tfodhelper convert`; tfodhelper stays a name")
    assert main.main(["chek"]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[-2:] == ["  py -m tfodhelper check --data_dir=x", "  tensorboard --logdir=x"]
    assert "run `py -m tfodhelper convert`; tfodhelper stays a name" in said.err
    assert main.main(["zzzzzz"]) == 2
    assert "`py -m tfodhelper --help` says" in capsys.readouterr().err


def test_the_next_command_of_a_module_that_was_run(tmp_path):
    data, out = save_set(tmp_path / "data", ["cat"]), tmp_path / "out"
    command = [sys.executable, "-m", "tfodhelper", "split", f"--data_dir={data}", f"--output_dir={out}"]
    done = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    assert f"  {sys.executable} -m tfodhelper convert --train_list" in done.stdout
