"""Settings for all tests: a quiet TensorFlow, no network cache of the user, the fast tests first."""

import gc
import os
import pathlib

import hypothesis
import pytest

from tfodhelper import tensorflow_setup

tensorflow_setup.prepare_training()

hypothesis.settings.register_profile(
    "tfodhelper",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("tfodhelper")

_FIRST = ("", "annotations", "outofcore", "dataset", "formats", "protos", "families", "zoo", "config", "cli", "metrics")


def pytest_addoption(parser):
    """Adds --part, with which scripts/run_tests.py runs all tests in several processes, one after the other."""
    parser.addoption("--part", metavar="I/N", help="run every Nth file with tests, from the Ith")


def pytest_collection_modifyitems(config, items):
    """Puts the tests that need no TensorFlow first, the order within a folder stays; leaves out other parts."""
    root = pathlib.Path(__file__).parent

    def rank(item):
        folder = item.path.relative_to(root).parent
        name = folder.parts[0] if folder.parts else ""
        return _FIRST.index(name) if name in _FIRST else len(_FIRST)

    items.sort(key=rank)
    if config.getoption("part"):
        part, num_parts = map(int, config.getoption("part").split("/"))
        files = list(dict.fromkeys(item.path for item in items))
        mine = set(files[part - 1 :: num_parts])
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)  # else a worker begins a long file when the other is done
        config.hook.pytest_deselected(items=[item for item in items if item.path not in mine])
        items[:] = [item for item in items if item.path in mine]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Keeps tests away from the user's cache of downloaded models."""
    monkeypatch.setenv("TFODHELPER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True, scope="module")
def _little_to_collect():
    """Keeps Python's collector from going through all that TensorFlow has kept of former modules, again and again."""
    gc.collect()
    gc.freeze()
