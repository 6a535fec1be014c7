"""Fixtures of the tests with a real Chromium."""

from tests.labelling.chromium import driver, start  # noqa: F401
