"""The entry points are plain sh, can be executed, and are in the README."""

import collections
import os
import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY

ENTRIES = ("scripts/demo", "scripts/demo_masks", "scripts/demo_two_stage", "scripts/test", ".ci/run")


@pytest.mark.parametrize("name", [*ENTRIES, "scripts/environment.sh"])
def test_scripts_parse(name):
    subprocess.run(["sh", "-n", name], cwd=REPOSITORY, check=True)


@pytest.mark.parametrize("name", ENTRIES)
def test_entry_points_can_be_executed(name):
    assert os.access(REPOSITORY / name, os.X_OK)


@pytest.mark.parametrize("name", ["scripts/demo", "scripts/test"])
def test_the_readme_names_the_commands(name):
    assert f"\n{name}\n" in (REPOSITORY / "README.md").read_text(encoding="utf-8")


def source(text, **environment):
    """Runs sh lines after sourcing the script that sets up the environment."""
    lines = f". scripts/environment.sh\n{text}\n"
    environment = {**os.environ, **environment}
    return subprocess.run(["sh", "-euc", lines], cwd=REPOSITORY, env=environment, capture_output=True, text=True)


def test_an_interpreter_that_is_given_is_taken_as_it_is():
    done = source('set_up; echo "$PYTHON"', TFODHELPER_PYTHON="/some/python")
    assert done.stdout == "/some/python\n"


def test_packages_are_looked_for_without_importing_them(tmp_path):
    assert source(f'has_packages "{sys.executable}"').returncode == 0
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    assert source(f'has_packages "{bare}"').returncode != 0


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("text")
    done = source(f'venv="{tmp_path}"; make_environment')
    assert done.returncode == 1
    assert "is not a virtual environment" in done.stderr
    assert (tmp_path / "thesis.txt").exists()


def test_draw_shapes_writes_images_with_xml(tmp_path):
    command = [sys.executable, "scripts/draw_shapes.py", f"--output_dir={tmp_path}", "--num_images=2", "--seed=1"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout == f"2 images with XML in {tmp_path}\n"
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".jpg", ".jpg", ".xml", ".xml"]


def test_closing_lines_of_parts_are_summed_up():
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    try:
        import run_tests
    finally:
        sys.path.pop(0)
    lines = [
        "1 failed, 590 passed, 3 skipped, 130 deselected, 1 warning in 37.37s",
        "===== 4 passed, 2 errors in 609.16s (0:10:09) =====",
    ]
    total = collections.Counter()
    for line in lines:
        total.update(run_tests.read_counts(line))
    assert (
        run_tests.closing_line(total, 646.5)
        == "1 failed, 594 passed, 3 skipped, 1 warnings, 2 errors in 646.50s (0:10:46)"
    )
    assert run_tests.read_counts("== convert: end, 0.2 s") == {}
