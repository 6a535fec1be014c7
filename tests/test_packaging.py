"""The contents of setup.cfg, and a wheel that is built from it and used away from the checkout."""

import configparser
import fnmatch
import pathlib
import re
import subprocess
import sys
import zipfile

import pytest

from tests.shared_data import REPOSITORY

FOLDERS = {"tfodhelper": "tfodhelper", "pipelines": "tfodhelper.pipelines", "labelmaps": "tfodhelper.labelmaps"}


@pytest.fixture(scope="module")
def setup_cfg():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    return config


def source_files():
    """Files that have to be in a wheel, as (package, path below the checkout); except caches and hidden files."""
    for top, package in FOLDERS.items():
        for path in sorted((REPOSITORY / top).rglob("*")):
            path = path.relative_to(REPOSITORY)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
            if (REPOSITORY / path).is_file() and not hidden and path.suffix != ".pyc":
                yield ".".join([package, *path.parts[1:-1]]), path


def test_every_package_is_listed(setup_cfg):
    assert sorted(setup_cfg["options"]["packages"].split()) == sorted({package for package, _ in source_files()})


def test_every_data_file_is_listed(setup_cfg):
    patterns = {
        package: [pattern.strip() for pattern in text.split(",")]
        for package, text in setup_cfg["options.package_data"].items()
    }
    missing = [
        str(path)
        for package, path in source_files()
        if path.suffix != ".py" and not any(fnmatch.fnmatch(path.name, p) for p in patterns.get(package, []))
    ]
    assert missing == []


def test_constraints_pin_every_requirement_within_its_range(setup_cfg):
    from tfodhelper.cli import doctor

    pins = {}
    for line in (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([\w.-]+)==([\w.]+)", line):
            pins.setdefault(_canonical(match[1]), []).append(match[2])
    wanted = setup_cfg["options"]["install_requires"].split()
    wanted += setup_cfg["options.extras_require"]["dev"].split()
    for requirement in wanted:
        versions = pins.get(_canonical(doctor.name_of(requirement)))
        assert versions, f"{requirement} has no pin"
        for version in versions:
            assert doctor.is_in_range(version, doctor.wanted_of(requirement)), f"{requirement}: {version}"


def _canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the unpacked wheel, built from a copy of the sources so that the checkout stays clean."""
    pytest.importorskip("setuptools")
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    files = [pathlib.Path(name) for name in ("setup.cfg", "pyproject.toml", "LICENSE", "README.md")]
    for path in [*files, *(path for _, path in source_files())]:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes((REPOSITORY / path).read_bytes())
    code = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(built)], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = built.glob("tfodhelper-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(built / "site")
    return built / "site"


def run_installed(installed, folder, code, *argv):
    """Runs lines of Python with the wheel: neither the checkout nor TensorFlow can be imported."""
    start = "import sys\nfor name in ('tensorflow', 'tf_keras', 'official'):\n    sys.modules[name] = None\n"
    start += f"sys.path[:] = [{str(installed)!r}, *(path for path in sys.path if path != {str(REPOSITORY)!r})]\n"
    start += "import tfodhelper\nassert tfodhelper.__file__.startswith(sys.path[0]), tfodhelper.__file__\n"
    command = [sys.executable, "-c", start + code, *argv]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_wheel_holds_every_file(installed):
    inside = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    for package, path in source_files():
        assert f"{package.replace('.', '/')}/{path.name}" in inside


def test_the_wheel_has_its_licence_and_its_command(installed):
    (info,) = installed.glob("*.dist-info")
    assert "Apache License" in next(info.rglob("LICENSE")).read_text(encoding="utf-8")
    assert "tfodhelper = tfodhelper.cli.main:main" in (info / "entry_points.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("argv", [["--help"], ["zoo"], ["config", "--help"]])
def test_the_wheel_answers_away_from_the_checkout(installed, tmp_path, argv):
    done = run_installed(installed, tmp_path, "from tfodhelper.cli import main\nsys.exit(main.main())", *argv)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_wheel_finds_what_travels_in_it(installed, tmp_path):
    code = """
from tfodhelper.config import pipeline
from tfodhelper.zoo import base_configs
for name in base_configs.base_names():
    pipeline.read_pipeline(base_configs.base_pipeline_path(name))
print(base_configs.label_map_path("mscoco"))
"""
    done = run_installed(installed, tmp_path, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))


def test_the_wheel_writes_a_page(installed, tmp_path):
    code = """
from tfodhelper.render import html
values = dict(title="a < b", places=[], links=[], tiles=[], kinds=[], suspects=None, sections=[])
html.write_page("page.html", "check.html", **values)
"""
    done = run_installed(installed, tmp_path, code)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<h1>a &lt; b</h1>" in text and "prefers-color-scheme" in text


def test_tensorboard_can_start():
    """It imports pkg_resources, which newer versions of setuptools do not have."""
    done = subprocess.run(
        [sys.executable, "-m", "tensorboard.main", "--version_tb"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
