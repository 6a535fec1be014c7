"""A small version of `scripts/mutate_inputs.py`, with fixed seeds and without limits of time and memory."""

import importlib.util

import pytest

from tests.mutation import base, harness, mutators, targets

NUM_CASES = 150


@pytest.mark.parametrize("target", targets.TARGETS, ids=lambda target: target.name)
def test_mutated_inputs_are_read_or_refused_in_words(target):
    if not all(map(importlib.util.find_spec, target.needs)):
        pytest.skip(f"needs {', '.join(target.needs)}")
    summary = harness.run(target, 0, range(NUM_CASES), with_limits=False)
    assert summary.faults == []
    assert summary.num_refused > 0 or target.name in (
        "tflite metadata",
        "tflite interface",
        "checkpoint state",
        "--set",
        "notes of a scan",  # are read again instead
        "pictures of objects",  # their images are left out instead
        "pictures of classes",
    )


def fail(folder, data):
    """A parser with a fault."""
    if data != b"good":
        raise KeyError("x")


def test_a_fault_is_found_and_can_be_repeated():
    target = base.Target("faulty", fail, lambda: [b"good"], mutators.BYTES)
    summary = harness.run(target, 3, range(5))
    assert [number for number, _ in summary.faults] == [0, 1, 2, 3, 4] and "KeyError" in summary.faults[0][1]
    assert harness.run(target, 3, [2]).faults[0][1] == summary.faults[2][1]
    assert harness.make_case(target, [b"good"], 3, 2) == harness.make_case(target, [b"good"], 3, 2)


def test_an_input_that_is_not_mutated_must_be_read():
    with pytest.raises(ValueError, match="must be read"):
        harness.run(base.Target("faulty", fail, lambda: [b"bad"], mutators.BYTES), 3, [])


def grow(folder, data):
    """A parser that takes much memory."""
    if data != b"good":
        bytearray(900 << 20)[::4096] = bytes(900 << 8)


def test_memory_is_measured():
    target = base.Target("large", grow, lambda: [b"good"], mutators.BYTES)
    summary = harness.run(target, 3, range(2))
    assert not harness._reset_peak_mb() or "MB" in summary.faults[0][1]
