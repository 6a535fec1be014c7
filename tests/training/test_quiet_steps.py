"""What TensorFlow's C++ library writes about the graph of a step is left out; what comes later is not."""

import os

import pytest

from tfodhelper.training import trainer


def test_only_the_first_call_is_quiet(capfd):
    def step(text):
        os.write(2, text.encode())
        return text

    quiet = trainer.quiet_at_first(step)
    assert quiet("first") == "first" and quiet("second") == "second"
    assert capfd.readouterr().err == "second"


def test_an_error_of_the_first_call_arrives(capfd):
    def step():
        raise OSError("no more images")

    with pytest.raises(OSError, match="no more images"):
        trainer.quiet_at_first(step)()
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"
