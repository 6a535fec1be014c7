"""What the user reads: tables, progress, phases with their durations, and what to type next.

Nothing that is printed or logged here steers the terminal, whatever names and messages contain (see `plain_text`).
"""

import contextlib
import datetime
import os
import pathlib
import time

from tfodhelper import invocation, own_files, plain_text, terminal

REWRITE = "\r\x1b[2K"  # begins the line again
_LOG_FILES, _LOST_LOG_FILES = set(), set()


def say(text=""):
    """Prints a line and adds it with the time to every open process log."""
    text = invocation.as_typed(str(text))
    terminal.write(plain_text.visible(text) + "\n")
    note(text)


def note(text):
    """Adds lines to the open process logs without printing them; nothing inside `terminal.muted`."""
    if terminal.is_muted():
        return
    stamp = datetime.datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    lines = [f"{stamp} {line}\n" if line else "\n" for line in plain_text.visible(text).splitlines()]
    for path in _LOG_FILES - _LOST_LOG_FILES:
        _append(path, "".join(lines))


def _append(path, text):
    """Appends to a process log. A log that cannot be written (any more) is said once and does not stop the work."""
    try:
        descriptor = own_files.open_careful(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with open(descriptor, "a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        _LOST_LOG_FILES.add(path)
        warn(f"{path}: the log cannot be written: {error.strerror or error}")


def warn(text):
    """Prints a warning to standard error and to the process logs."""
    text = invocation.as_typed(str(text))
    terminal.write(plain_text.visible(f"warning: {text}") + "\n", terminal.ERR)
    note(f"warning: {text}")


@contextlib.contextmanager
def process_log(path):
    """Copies everything that is printed inside the block to a log file; the file is only ever appended to.

    Raises:
      StorageError: under its name is a link, or something else that is not a file.
    """
    path = pathlib.Path(path).absolute()
    if path in _LOG_FILES:
        yield path
        return
    _append(path, "")
    _LOG_FILES.add(path)
    try:
        yield path
    finally:
        _LOG_FILES.remove(path)
        _LOST_LOG_FILES.discard(path)


@contextlib.contextmanager
def phase(name):
    """Prints when a phase starts, when it ends and how long it took; a failure is printed too."""
    start = time.monotonic()
    say(f"== {name}: start")
    try:
        yield
    except BaseException as error:
        say(f"== {name}: stopped after {format_seconds(time.monotonic() - start)} ({type(error).__name__})")
        raise
    say(f"== {name}: end, {format_seconds(time.monotonic() - start)}")


def format_seconds(seconds):
    """3.2 s, 4 min 05 s, 2 h 07 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(round(seconds)), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def format_table(header, rows, numbers=()):
    """A plain table with aligned columns.

    Args:
      header: column names.
      rows: sequences of cells, as long as the header.
      numbers: indices of the columns that are aligned to the right.
    """
    cells = [[plain_text.one_line(cell) for cell in row] for row in [header, *rows]]
    widths = [max(plain_text.width(row[i]) for row in cells) for i in range(len(header))]

    def line(row):
        padded = (plain_text.pad(cell, width, i in numbers) for i, (cell, width) in enumerate(zip(row, widths)))
        return "  ".join(padded).rstrip()

    return "\n".join([line(cells[0]), "  ".join("-" * w for w in widths), *(line(row) for row in cells[1:])])


def say_next(*commands):
    """Prints at the end of a command what to type next; commands begin with "tfodhelper", see `invocation`."""
    if commands:
        say("")
        say("Next:")
        for command in commands:
            say(f"  {invocation.command_as_typed(command)}")


class Progress:
    """One line that is updated on a terminal; elsewhere a plain line now and then.

    Args:
      name: what is being done.
      total: number of units, or None if it is not known.
      every_s: seconds between plain lines when the output is not a terminal.
    """

    def __init__(self, name, total=None, every_s=10.0):
        self._name, self._total, self._every_s = name, total, every_s
        self._done, self._start, self._last = 0, time.monotonic(), 0.0
        self._tty = terminal.is_terminal()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.show(final=True)

    def advance(self, count=1, text=""):
        """Counts units as done, and shows the state if it is time to."""
        self._done += count
        now = time.monotonic()
        is_due = now - self._last >= (0.1 if self._tty else self._every_s)
        if is_due and (self._tty or now - self._start >= self._every_s):
            self._last = now
            self.show(text)

    def show(self, text="", final=False):
        """Shows the current state."""
        elapsed = time.monotonic() - self._start
        rate = self._done / elapsed if elapsed > 0 else 0.0
        parts = [f"{self._name} {self._done}" + (f"/{self._total}" if self._total is not None else "")]
        if rate:
            parts.append(f"{rate:.1f}/s")
            if self._total is not None and not final:
                parts.append(f"ETA {format_seconds(max(self._total - self._done, 0) / rate)}")
        parts += [text] if text else []
        line = plain_text.one_line(", ".join(parts))
        if self._tty:
            terminal.write(REWRITE + line + ("\n" if final else ""))
            if final:
                note(line)
        else:
            say(line)
