"""Tells others how a long job is doing: a command of the user, or a function in Python, at a few moments of the job.

An event is a plain dict, one JSON object for a command:

    {"event": "evaluation_done", "time": "2026-01-31T12:00:00+00:00", "verb": "run", "folder": "runs/first", ...}

A listener that fails costs a warning and never the job.
"""

import contextlib
import contextvars
import dataclasses
import datetime
import json
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from tfodhelper import console, errors, options

PHASE_STARTED, EVALUATION_DONE, FINISHED, FAILED = "phase_started", "evaluation_done", "finished", "failed"
VARIABLE = "TFODHELPER_EVENT"  # in the environment of a command: the name of the event
TIMEOUT_S = 10.0
_SHOWN = 300  # characters of what a failing command says
_JOB: contextvars.ContextVar["_Job | None"] = contextvars.ContextVar("job", default=None)

Hook = Callable[[Mapping[str, Any]], object]


@dataclasses.dataclass(frozen=True, kw_only=True)
class NotifyOptions(options.Options):
    """Who is told how a job is doing.

    Attributes:
      on_event: a function that is called with each event, a dict as `notify` gets it; what it raises is a warning.
    """

    title = "Notification"

    notify: str | None = options.option(
        None,
        "Command that is run when a phase starts, after an evaluation, and when the job is finished or has failed; it "
        "gets one JSON object on its standard input. It is split like a shell command, but run without a shell.",
        may_change=True,
    )
    on_event: Hook | None = None


class _Job:
    """A job that is under way: what all its events have in common, and who hears them."""

    def __init__(self, verb, hooks):
        self.common, self.hooks = {"verb": verb}, hooks

    def emit(self, event, **more):
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        value = {"event": event, "time": now, **self.common, **more}
        for hook in self.hooks:
            try:
                hook(dict(value))
            except Exception as error:
                console.warn(f"{event}: the function on_event failed ({type(error).__name__}: {error})")


@contextlib.contextmanager
def job(verb, notify=None, on_event=None):
    """Announces a job: events inside the block reach its listeners; one that fails is announced as failed.

    Args:
      verb: of the command line.
      notify, on_event: see `NotifyOptions`.

    Raises:
      UsageError: the command cannot be run.
    """
    hooks = [_Command(notify)] if notify is not None else []
    hooks += [on_event] if on_event is not None else []
    announced = _Job(verb, hooks)
    token = _JOB.set(announced)
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        announced.emit(FAILED, error_type=type(error).__name__, error=str(error) or type(error).__name__)
        raise
    finally:
        _JOB.reset(token)


def note(**facts):
    """Adds facts, such as the folder, to all further events of the job; None removes one."""
    current = _JOB.get()
    if current is not None:
        current.common = {name: value for name, value in {**current.common, **facts}.items() if value is not None}


def emit(event, **more):
    """Tells the listeners of the job under way, if there is one.

    Args:
      event: PHASE_STARTED, EVALUATION_DONE or FINISHED.
      **more: plain values.
    """
    current = _JOB.get()
    if current is not None:
        current.emit(event, **more)


class _Command:
    """A command of the user, which gets events on its standard input."""

    def __init__(self, text):
        self._argv = _split(text)

    def __call__(self, value):
        problem = self._run(json.dumps(value, ensure_ascii=True), value["event"])
        if problem:
            console.warn(f"--notify: {shlex.join(self._argv)}: {problem} (event {value['event']})")

    def _run(self, text, event):
        """Runs the command; returns what went wrong, or None."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
            given.write(text.encode() + b"\n")
            given.seek(0)
            try:
                process = subprocess.Popen(
                    self._argv,
                    stdin=given,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    env={**os.environ, VARIABLE: event},
                    start_new_session=True,
                )
            except OSError as error:
                return f"cannot be run ({error.strerror or error})"
            try:
                status = process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                return f"did not end within {TIMEOUT_S:g} s and was stopped"
            finally:
                _stop(process)
            said.seek(0)
            words = " ".join(said.read().decode("utf-8", "replace").split())[-_SHOWN:]
        return f"exit status {status}" + (f": {words}" if words else "") if status else None


def _split(text):
    """The arguments of a command, whose program exists."""
    try:
        argv = shlex.split(text)
    except ValueError as error:
        raise errors.UsageError(
            f"--notify={text}: cannot be split into words ({error})", fix="close the quotation marks"
        ) from None
    if not argv or shutil.which(argv[0]) is None:
        raise errors.UsageError(
            "--notify: there is no such program",
            expected="a program on the PATH or a path, and its arguments; pipes and other signs of a shell need "
            "sh -c '...'",
            received=argv[0] if argv else text,
            fix="check the spelling, and make a script executable with chmod +x",
        )
    return argv


def _stop(process):
    """Ends a command that has not ended, with the processes that it started."""
    if process.poll() is not None:
        return
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
