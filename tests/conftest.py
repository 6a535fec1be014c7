"""Settings for all tests: a quiet TensorFlow, no network cache of the user, the fast tests first."""

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


def pytest_collection_modifyitems(config, items):
    """Puts the tests that need no TensorFlow first; the order within a folder stays."""
    root = pathlib.Path(__file__).parent

    def rank(item):
        folder = item.path.relative_to(root).parent
        name = folder.parts[0] if folder.parts else ""
        return _FIRST.index(name) if name in _FIRST else len(_FIRST)

    items.sort(key=rank)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    """Keeps tests away from the user's cache of downloaded models."""
    monkeypatch.setenv("TFODHELPER_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
