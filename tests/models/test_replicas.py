"""Two replicas give the losses and gradients of one device with the same global batch."""

import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY

pytestmark = pytest.mark.slow


def test_two_devices_are_as_one():
    process = subprocess.run(
        [sys.executable, "-m", "tests.models.replicas_worker", "Faster R-CNN, frozen, padded"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    words = process.stdout.split()
    assert words[0] == "LOSS" and float(words[1]) < 1e-4 and float(words[3]) < 1e-4, process.stdout
