import configparser
import json
import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY
from tfodhelper.cli import doctor

GOOD = {"errors": {}, "keras": "tf_keras", "devices": [["CPU", "/physical_device:CPU:0", ""]], "cuda": True}


@pytest.fixture
def answer(monkeypatch):
    """Lets the test choose what TensorFlow says; no process is started."""
    found = json.loads(json.dumps(GOOD))
    monkeypatch.setattr(doctor, "run_probe", lambda: found)
    monkeypatch.setattr(doctor, "has_nvidia_driver", lambda: False)
    monkeypatch.setattr(doctor, "free_memory", lambda: (8.0, 16.0))
    return found


def test_the_requirements_are_those_of_the_package():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    wanted = tuple(config["options"]["install_requires"].split())
    assert wanted == doctor.REQUIREMENTS
    assert config["options.extras_require"]["gpu"].split() == [doctor.GPU_REQUIREMENT]
    assert config["options"]["python_requires"] == ">=" + ".".join(map(str, doctor.MIN_PYTHON))


@pytest.mark.parametrize(
    ("version", "wanted", "expected"),
    [
        ("2.20.0", ">=2.20,<2.21", True),
        ("2.20", ">=2.20.0,<2.21", True),
        ("2.20.1rc1", ">=2.20,<2.21", True),
        ("2.21.0", ">=2.20,<2.21", False),
        ("2.19.1", ">=2.20,<2.21", False),
        ("2.9", ">=2.20,<2.21", False),
        ("10.0", ">=10,<14", True),
        ("3", ">=1.26,<3", False),
        ("3.0.0", ">=1.26,<3", False),
    ],
)
def test_is_in_range(version, wanted, expected):
    assert doctor.is_in_range(version, wanted) is expected


def test_parts_of_a_requirement():
    assert doctor.name_of("tensorflow[and-cuda]>=2.20,<2.21") == "tensorflow"
    assert doctor.wanted_of("tensorflow[and-cuda]>=2.20,<2.21") == ">=2.20,<2.21"


def test_a_whole_machine_has_nothing_missing(answer, tmp_path, capsys):
    assert doctor.report(tmp_path / "not" / "yet" / "there") == 0
    text = capsys.readouterr().out
    assert "Nothing is missing." in text
    assert "Keras in use: tf_keras 2.20" in text
    assert "Device: CPU only" in text
    assert "Memory: 8.0 GB free of 16.0 GB" in text
    assert f"at {tmp_path}\n" in text


def test_a_missing_package_is_named_with_the_command_that_mends_it(answer, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(doctor, "REQUIREMENTS", ("lxml>=4.9,<7", "no-such-package>=1.0,<2", "numpy>=90,<91"))
    assert doctor.report(tmp_path) == 1
    text = capsys.readouterr().out
    assert "missing: no-such-package; outside the range: numpy" in text
    assert f'{sys.executable} -m pip install "no-such-package>=1.0,<2" "numpy>=90,<91"' in text


def test_a_package_that_cannot_be_imported_is_installed_anew(answer, tmp_path, capsys):
    answer["errors"]["official.core.base_task"] = "ImportError: libGL.so.1"
    assert doctor.report(tmp_path) == 1
    text = capsys.readouterr().out
    assert "official.core.base_task cannot be imported: ImportError: libGL.so.1" in text
    assert '"tf-models-official>=2.20,<2.21"' in text


def test_what_follows_from_a_missing_tensorflow_is_not_said_twice():
    rows = [("tensorflow>=2.20,<2.21", None, "missing"), ("pycocotools>=2.0.7,<3", "2.0.11", "")]
    found = {"errors": {"tensorflow": "ModuleNotFoundError", "orbit": "ModuleNotFoundError"}}
    assert doctor.find_probe_problems(found, rows) == []
    found["errors"]["pycocotools.mask"] = "ImportError: broken"
    assert len(doctor.find_probe_problems(found, rows)) == 1


def test_a_gpu_that_tensorflow_does_not_see(answer, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(doctor, "has_nvidia_driver", lambda: True)
    assert doctor.report(tmp_path) == 1
    assert f'install "{doctor.GPU_REQUIREMENT}"' in capsys.readouterr().out
    answer["devices"].append(["GPU", "/physical_device:GPU:0", "NVIDIA L4"])
    assert doctor.report(tmp_path) == 0
    assert "Device: GPU GPU:0 NVIDIA L4" in capsys.readouterr().out.replace("physical_device:", "")


def test_little_memory_is_told(answer, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(doctor, "free_memory", lambda: (1.5, 4.0))
    assert doctor.report(tmp_path) == 1
    assert "1.5 GB of memory are free" in capsys.readouterr().out


def test_little_disk_is_told(answer, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(doctor, "MIN_DISK_GB", 1e9)
    assert doctor.report(tmp_path) == 1
    assert "choose another disk" in capsys.readouterr().out


def test_a_tensorflow_that_kills_its_process_is_an_answer(monkeypatch, tmp_path):
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho Illegal instruction >&2\nkill -ILL $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert doctor.run_probe() == {
        "errors": {"tensorflow": "its process ended with status -4: Illegal instruction"},
    }


def test_doctor_works_without_any_package():
    """`python -S` leaves site-packages out: not even absl is available."""
    code = "import sys; from tfodhelper.cli import doctor, main; doctor.run_probe = lambda: {'errors': {}}"
    code += "; sys.exit(main.main(['doctor']))"
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env={"PATH": ""})
    assert done.returncode == 1, done.stderr
    assert "tensorflow" in done.stdout.split("missing:", 1)[1]
    assert "pip install" in done.stdout


def test_the_real_probe_answers():
    found = doctor.run_probe()
    assert found["errors"] == {}
    assert found["keras"] == "tf_keras"
    assert found["devices"]
