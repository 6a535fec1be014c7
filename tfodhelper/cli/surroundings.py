"""What a process of the command line sets up around a verb: streams, signals, a folder for temporary files."""

import contextlib
import os
import signal
import tempfile

from tfodhelper import errors, own_files, terminal

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Stopped(KeyboardInterrupt):
    """The process was told to end by a signal.

    Args:
      number: of the signal.
    """

    def __init__(self, number):
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def prepared():
    """Sets up the process for a block; only for a process that runs nothing else."""
    terminal.prepare()
    with _stopped_by_signals(), _own_temporary_files():
        yield


@contextlib.contextmanager
def _stopped_by_signals():
    """Lets the signals that end a process do so as Ctrl-C does, so that nothing temporary is left behind.

    A signal that is ignored, as SIGHUP under nohup, remains so. The second one ends the process at once.
    """
    former = {}

    def stop(number, frame):
        signal.signal(number, signal.SIG_DFL)
        raise Stopped(number)

    for number in _SIGNALS:
        if signal.getsignal(number) == signal.SIG_DFL:
            former[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _own_temporary_files():
    """Lets this process, its workers and the libraries they use write temporary files to one folder.

    TensorFlow leaves files there when it is killed. The folder is removed at the end; that of a killed process by the
    next start.
    """
    folder, former, variable = None, tempfile.tempdir, os.environ.get("TMPDIR")
    try:
        with _signals_wait(), contextlib.suppress(OSError, errors.StorageError):  # who needs a folder says so
            folder = own_files.TemporaryFolder()
            tempfile.tempdir = os.environ["TMPDIR"] = folder.path
        yield
    finally:
        with _signals_wait():
            tempfile.tempdir = former
            if variable is None:
                os.environ.pop("TMPDIR", None)
            else:
                os.environ["TMPDIR"] = variable
            if folder is not None:
                folder.remove()


@contextlib.contextmanager
def _signals_wait():
    """Lets the signals that end the process do so at the end of a short block, which is not left half done."""
    waiting, former = [], {}
    for number in (*_SIGNALS, signal.SIGINT):
        if callable(signal.getsignal(number)):
            former[number] = signal.signal(number, lambda number, frame: waiting.append(number))
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])
