"""Standard output and error. A job does not stop because nobody can read it any more, or because of a letter."""

import contextlib
import os
import sys

OUT, ERR = "stdout", "stderr"

_unreadable = set()  # names of streams that nothing can be written to any more
_is_muted = False


@contextlib.contextmanager
def muted():
    """Drops everything that is written inside the block."""
    global _is_muted
    before, _is_muted = _is_muted, True
    try:
        yield
    finally:
        _is_muted = before


def is_muted():
    """Whether what is written now is dropped."""
    return _is_muted


def write(text, to=OUT):
    """Writes text to standard output or standard error at once.

    Characters that the stream's encoding does not have are escaped. When the stream is closed, its reader has ended or
    its disk is full, this and all later text is dropped: results are in files, and so is the process log.

    Args:
      text: with its line breaks.
      to: OUT or ERR.
    """
    stream = getattr(sys, to)
    if _is_muted or stream is None or (to, id(stream)) in _unreadable:
        return
    try:
        stream.write(_fit(text, stream))
        stream.flush()
    except (OSError, ValueError):
        _unreadable.add((to, id(stream)))
        _redirect_to_nowhere(stream)


def _fit(text, stream):
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:  # not an encoding that Python knows
        pass
    return text


def _redirect_to_nowhere(stream):
    """What is left in the stream's buffer would otherwise be an error again when the process ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass  # a stream that is closed, or not of the system


def is_terminal():
    """Whether standard output is a terminal."""
    try:
        return sys.stdout is not None and sys.stdout.isatty()
    except ValueError:  # closed
        return False


def prepare():
    """Makes sure that a process has its three standard streams, whatever it was started with.

    A file that is opened later would otherwise get the number of a missing one, and with it what C++ libraries print.
    """
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            os.close(descriptor)
            break
        os.set_inheritable(descriptor, True)
    for name, mode in (("stdin", "r"), (OUT, "w"), (ERR, "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
