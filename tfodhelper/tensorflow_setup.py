"""Settings that must be in the environment before TensorFlow is imported."""

import contextlib
import logging
import os
import platform
import sys
import threading
import warnings

_SILENCE = threading.Lock()
_X86 = ("x86_64", "amd64")


def quiet_tensorflow():
    """Chooses the Keras that the Model Garden needs and keeps TensorFlow's own messages down to errors.

    Verbs that use TensorFlow call this before their first import of it. A level that the user set in the environment
    stays; `TF_USE_LEGACY_KERAS` is set in any case, since the Model Garden's layers are those of tf_keras.
    """
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    logger = logging.getLogger("tensorflow")
    logger.setLevel(logging.ERROR)
    if hasattr(sys, "ps1") and "tensorflow" not in sys.modules:
        logger.addFilter(_restore_level)
    with contextlib.suppress(ImportError):
        from absl import logging as absl_logging

        absl_logging.set_verbosity(absl_logging.ERROR)
    for module in ("tensorflow", "tf_keras", "official", "orbit", "tensorflow_hub", "keras", "google"):
        warnings.filterwarnings("ignore", module=rf"{module}(\.|$)")


def _restore_level(record):
    """A filter of the first message: in notebooks, TensorFlow sets its level to INFO when it is imported."""
    logger = logging.getLogger("tensorflow")
    logger.removeFilter(_restore_level)
    logger.setLevel(logging.ERROR)
    return record.levelno >= logging.ERROR


def prepare_training():
    """As `quiet_tensorflow`, for processes that train or evaluate: on x86, TensorFlow computes with oneDNN.

    It does so by itself on processors with instructions for neural networks (AVX-512 VNNI). Elsewhere a step of
    training takes about half the time with it, while single images are predicted more slowly. A value of
    TF_ENABLE_ONEDNN_OPTS that the user set stays. Where a process has imported TensorFlow before, nothing changes.
    """
    if platform.machine().lower() in _X86:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    quiet_tensorflow()


def give_sessions_own_threads():
    """Lets a session compute with as many threads as it asks for, in a process whose other work has all cores.

    Else the first work that TensorFlow does in a process decides for all that follows. A process that trains and then
    predicts many images calls this before its first import of TensorFlow; see `prediction.single_thread`.
    """
    os.environ.setdefault("TF_OVERRIDE_GLOBAL_THREADPOOL", "1")


@contextlib.contextmanager
def stderr_is_silent():
    """Silences what TensorFlow's C++ library writes: notes of optimizers and converters, which no setting turns off."""
    with _SILENCE:  # of two threads, the second would otherwise take the silence for what to restore
        try:
            kept = os.dup(2)
        except OSError:  # there is no stderr
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
