import errno
import importlib
import subprocess
import sys
import types

import pytest

import tfodhelper
from tests.shared_data import REPOSITORY
from tfodhelper import errors
from tfodhelper.cli import active, main

# Stands before the command line in a process of its own: importing one of these raises ImportError.
WITHOUT_TENSORFLOW = """
import sys
for name in ("tensorflow", "tf_keras", "keras", "official", "orbit", "matplotlib"):
    sys.modules[name] = None
from tfodhelper.cli import main
sys.exit(main.main(sys.argv[1:]))
"""


def run_without_tensorflow(*argv):
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW, *argv]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


@pytest.fixture
def verb(monkeypatch):
    """A verb "probe" whose main can be set by the test."""
    module = types.ModuleType("tests.cli.probe_verb", "Try something.\n\nMore about it.")
    module.define_flags = lambda fv: None
    module.main = lambda fv, args: None
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(main.VERBS, "probe", (module.__name__, "try something"))
    return module


def raising(error):
    def raise_it(fv, args):
        raise error

    return raise_it


def test_help_names_every_verb(capsys):
    assert main.main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in ("run", "convert", "config", "zoo", "train", "eval", "export", "predict", "check", "active", "doctor"):
        assert f"\n  {name} " in text
    assert list(main.VERBS)[:9] == ["run", "convert", "config", "zoo", "train", "eval", "export", "predict", "check"]
    assert list(main.VERBS)[-1] == "doctor"


def test_without_a_verb_the_help_is_shown_and_the_status_says_so(capsys):
    assert main.main([]) == 2
    assert "Verbs:" in capsys.readouterr().out


def test_version(capsys):
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"tfodhelper {tfodhelper.__version__}\n"


LEAVES = {name: module for name, (module, _) in main.VERBS.items() if name != "active"}
LEAVES |= {f"active {name}": module for name, (module, _) in active.VERBS.items()}


@pytest.mark.parametrize("name", LEAVES)
def test_every_verb_has_a_summary_flags_and_a_main(name):
    module = importlib.import_module(LEAVES[name])
    assert module.__doc__.strip()
    assert callable(module.define_flags)
    assert callable(module.main)


@pytest.mark.parametrize("name", LEAVES)
def test_help_of_every_verb_needs_no_tensorflow(name):
    done = run_without_tensorflow(*name.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"tfodhelper {name}: ")
    assert ":\n  --" in done.stdout


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["zoo"], ["zoo", "ssd_mobilenet_v1"], ["help", "zoo"]])
def test_these_answer_without_tensorflow(argv):
    done = run_without_tensorflow(*argv)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("name", LEAVES)
def test_help_of_a_verb_imports_neither_numpy_nor_readers_of_files(name):
    code = f"main.main({[*name.split(), '--help']}); print(*sys.modules)"
    code = WITHOUT_TENSORFLOW.replace("sys.exit(main.main(sys.argv[1:]))", code)
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"numpy", "lxml", "PIL", "google.protobuf", "pandas"}


def test_help_of_the_program_imports_next_to_nothing():
    code = WITHOUT_TENSORFLOW.replace("sys.exit(main.main(sys.argv[1:]))", "main.main(['--help']); print(*sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & {"absl.flags", "numpy", "lxml", "PIL", "google.protobuf"}


def test_python_m_runs_the_same_program():
    command = [sys.executable, "-m", "tfodhelper", "--version"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"tfodhelper {tfodhelper.__version__}\n")


def test_an_unknown_verb_is_told_with_the_nearest_one(capsys):
    assert main.main(["exprot"]) == 2
    assert "did you mean export?" in capsys.readouterr().err


def test_a_flag_before_the_verb_is_explained(capsys):
    assert main.main(["--seed=1", "convert"]) == 2
    assert "tfodhelper VERB --flags" in capsys.readouterr().err


def test_the_status_of_a_verb_is_the_status_of_the_program(verb):
    assert main.main(["probe"]) == 0
    verb.main = lambda fv, args: 3
    assert main.main(["probe"]) == 3


def test_help_is_asked_anywhere_before_a_double_dash(verb, capsys):
    verb.main = lambda fv, args: 4
    assert main.main(["probe", "file", "-h"]) == 0
    assert "More about it." in capsys.readouterr().out
    assert main.main(["probe", "--", "-h"]) == 4


def test_an_error_of_the_user_is_printed_without_a_traceback(verb, capsys):
    verb.main = raising(errors.DatasetError("a.xml: broken", expected="XML", fix="correct it"))
    assert main.main(["probe"]) == 1
    assert capsys.readouterr().err == "error: a.xml: broken\n  expected: XML\n  fix: correct it\n"


def test_a_fault_of_the_program_is_printed_with_its_traceback(verb, capsys):
    verb.main = raising(KeyError("depth"))
    assert main.main(["probe"]) == 70
    text = capsys.readouterr().err
    assert "Traceback" in text
    assert "KeyError: 'depth'" in text
    assert "fault of tfodhelper" in text


def test_an_interruption_says_how_to_go_on(verb, capsys):
    verb.main = raising(KeyboardInterrupt())
    assert main.main(["probe"]) == 130
    assert "same command" in capsys.readouterr().err


def test_a_full_disk_is_no_fault_of_the_program(verb, capsys):
    verb.main = raising(OSError(errno.ENOSPC, "No space left on device", "data/train.record"))
    assert main.main(["probe"]) == 1
    assert "error: data/train.record: the disk is full" in capsys.readouterr().err


def test_another_error_of_the_operating_system_is_a_fault(verb, capsys):
    verb.main = raising(OSError(errno.EBADF, "Bad file descriptor"))
    assert main.main(["probe"]) == 70


def test_a_missing_package_points_to_doctor(verb, capsys):
    verb.main = raising(ModuleNotFoundError("No module named 'orbit'", name="orbit"))
    assert main.main(["probe"]) == 1
    text = capsys.readouterr().err
    assert "'orbit' is not installed" in text
    assert "tfodhelper doctor" in text


def test_a_missing_module_of_our_own_is_a_fault(verb):
    verb.main = raising(ModuleNotFoundError("No module named 'tfodhelper.x'", name="tfodhelper.x"))
    assert main.main(["probe"]) == 70


def test_output_into_a_closed_pipe_ends_quietly():
    code = "import sys\nfrom tfodhelper.cli import main\nsys.stdin.readline()\nsys.exit(main.main(['--help']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    with process:
        process.stdin.write(b"go\n")
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("flag", ["--data_dir=caf\udce9", "-data_dir=caf\udce9"])
def test_a_flag_that_is_not_text_is_refused_in_words(flag, verb, capfd):
    assert main.main(["probe", flag]) == 2
    error = capfd.readouterr().err
    assert r"caf\xe9: the path is not valid UTF-8" in error
    assert "ln -s" in error


def test_a_current_folder_that_is_not_text_is_refused_in_words(tmp_path, monkeypatch, verb, capfd):
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert main.main(["probe"]) == 2
    assert r"caf\xe9: the path is not valid UTF-8" in capfd.readouterr().err
