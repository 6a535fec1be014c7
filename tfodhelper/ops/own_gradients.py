"""Operations with gradients of our own, where a graph may be differentiated; TensorFlow's where it only predicts.

Tracing, writing and loading a graph take several times as long with a function for the gradient of each operation, and
nothing uses them in an export or an evaluation.
"""

import contextlib
import functools
import threading

import tensorflow as tf

_thread = threading.local()


@contextlib.contextmanager
def left_out():
    """What this thread traces inside the block has TensorFlow's gradients."""
    before = getattr(_thread, "are_left_out", False)
    _thread.are_left_out = True
    try:
        yield
    finally:
        _thread.are_left_out = before


def with_own_gradient(plain):
    """Decorates a function as `tf.custom_gradient` wants it; its gradient is left out where `left_out` says so.

    Args:
      plain: the same operation with TensorFlow's gradient, a function of the same arguments.
    """

    def decorate(function):
        differentiated = tf.custom_gradient(function)

        @functools.wraps(function)
        def call(*arguments):
            return (plain if getattr(_thread, "are_left_out", False) else differentiated)(*arguments)

        return call

    return decorate
