"""Runs the tests in five parts, each in processes of its own, and sums up what pytest says at the end of each.

    python scripts/run_tests.py [ARGUMENTS OF PYTEST]

TensorFlow keeps graphs and kernels for as long as a process lives: in one go, or in three, two workers would need
more than 20 GB. If files or folders are named, or tests are only listed, there is one part.
"""

import collections
import datetime
import pathlib
import re
import subprocess
import sys
import time

NUM_PARTS = 5
# In the order of tests/conftest.py: xdist's own, files with most tests first, leaves the longest files to the end.
WORKERS = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
TAIL_BYTES = 4000
NO_TESTS = 5  # exit status of pytest where nothing is selected
COUNTED = ("failed", "passed", "skipped", "xfailed", "xpassed", "warnings", "errors")


def run(arguments):
    """Runs pytest; its output is passed on. Returns (exit status, {outcome: count} of its closing line)."""
    command = [sys.executable, "-m", "pytest", *WORKERS, *arguments]
    tail = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        for piece in iter(process.stdout.read1, b""):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            tail = (tail + piece)[-TAIL_BYTES:]
    lines = tail.decode("utf-8", "replace").splitlines()
    return process.returncode, next(filter(None, map(read_counts, reversed(lines))), {})


def read_counts(line):
    """{outcome: count} if a line is the closing line of pytest, else {}."""
    if not re.search(r" in \d+\.\d+s\b", line):
        return {}
    pairs = re.findall(r"(\d+) (failed|passed|skipped|xfailed|xpassed|warnings?|errors?)\b", line)
    return {name if name.endswith("ed") else name.rstrip("s") + "s": int(count) for count, name in pairs}


def closing_line(counts, seconds):
    """As pytest writes it."""
    parts = [f"{counts[name]} {name}" for name in COUNTED if counts[name]]
    return f"{', '.join(parts) or 'no tests ran'} in {seconds:.2f}s ({datetime.timedelta(seconds=int(seconds))})"


def main():
    """Runs all parts, whatever fails; the exit status is that of the first part that failed."""
    arguments, start = sys.argv[1:], time.monotonic()
    is_selection = any(
        not each.startswith("-") and pathlib.Path(each.partition("::")[0]).exists() for each in arguments
    )
    if is_selection or "--collect-only" in arguments or "-x" in arguments:
        sys.exit(subprocess.run([sys.executable, "-m", "pytest", *WORKERS, *arguments], check=False).returncode)
    total, statuses = collections.Counter(), []
    for part in range(1, NUM_PARTS + 1):
        print(f"part {part} of {NUM_PARTS}", flush=True)
        status, counts = run([f"--part={part}/{NUM_PARTS}", *arguments])
        statuses.append(status)
        total.update(counts)
    failed = [status for status in statuses if status not in (0, NO_TESTS)]
    print(closing_line(total, time.monotonic() - start))
    sys.exit(failed[0] if failed else min(statuses))


if __name__ == "__main__":
    main()
