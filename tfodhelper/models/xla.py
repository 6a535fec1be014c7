"""Whether a detector is built for XLA, which compiles static shapes, and does not know all operations."""

import contextlib
import contextvars

import tensorflow as tf

_IS_COMPILED = contextvars.ContextVar("is_compiled", default=False)


@contextlib.contextmanager
def compiled(is_compiled=True):
    """Within this context, detectors are built for XLA, or as the strategy says if the argument is false."""
    token = _IS_COMPILED.set(is_compiled)
    try:
        yield
    finally:
        _IS_COMPILED.reset(token)


def is_target():
    """Whether what is built now will be compiled by XLA: within `compiled`, or for TPUs."""
    return _IS_COMPILED.get() or isinstance(tf.distribute.get_strategy(), tf.distribute.TPUStrategy)
