"""Runs mutated inputs through a parser and judges what happens.

A case is known by target, seed and number: the same three give the same bytes. It passes if the parser returns or
raises a `TfodhelperError` with a message, within the limits of time and memory. Time is that of the processor, so that
a busy machine fails nothing.
"""

import contextlib
import dataclasses
import io
import pathlib
import random
import re
import shutil
import tempfile
import time
import traceback
import typing
import warnings

from tests.mutation import mutators
from tfodhelper import errors

MOST_S = 2.0
MOST_MB = 300.0


@dataclasses.dataclass
class Summary:
    """What happened with the cases of one target.

    Attributes:
      name: of the target.
      num_cases, num_read, num_refused: how many were tried, read, and refused with an error in words.
      slowest_s, slowest: processor time of the slowest case, and its number.
      most_mb: the most memory that a case took, beyond what the process used before; 0 where it cannot be measured.
      kept_mb: how much more the process uses behind all cases than before them.
      faults: [(number of the case, text)] of those that did not pass.
    """

    name: str
    num_cases: int = 0
    num_read: int = 0
    num_refused: int = 0
    slowest_s: float = 0.0
    slowest: int = 0
    most_mb: float = 0.0
    kept_mb: float = 0.0
    faults: list = dataclasses.field(default_factory=list)


def make_case(target, seeds, seed, number):
    """The bytes of one case."""
    rng = random.Random(f"{seed}/{target.name}/{number}")
    return mutators.mutate(rng, rng.choice(seeds), target.mutators)


def run(target, seed, numbers, with_limits=True):
    """Tries cases.

    Args:
      target: a `base.Target`.
      seed: int.
      numbers: of the cases.
      with_limits: whether time and memory are judged; what a test on a busy machine must not do.

    Returns:
      A `Summary`.
    """
    summary, seeds = Summary(target.name), target.seeds()
    for data in seeds:  # whatever is imported or cached when it is first used is not the cost of a case
        outcome = _try(target, data)
        if not outcome.was_read:
            raise ValueError(f"{target.name}: an input that is not mutated must be read: {outcome.fault}")
    before = _reset_peak_mb()
    for number in numbers:
        outcome = _try(target, make_case(target, seeds, seed, number))
        summary.num_cases += 1
        summary.num_read += outcome.was_read
        summary.num_refused += not outcome.was_read and outcome.fault is None
        if outcome.seconds > summary.slowest_s:
            summary.slowest_s, summary.slowest = outcome.seconds, number
        summary.most_mb = max(summary.most_mb, outcome.megabytes)
        fault = outcome.fault or (_excess(outcome) if with_limits else None)
        if fault is not None:
            summary.faults.append((number, fault))
    summary.kept_mb = _reset_peak_mb() - before
    return summary


def _excess(outcome):
    """What a case has too much of, or None."""
    if outcome.seconds > MOST_S:
        return f"{outcome.seconds:.1f} s"
    return f"{outcome.megabytes:.0f} MB" if outcome.megabytes > MOST_MB else None


class _Outcome(typing.NamedTuple):
    """What happened with one input."""

    fault: str | None
    was_read: bool
    seconds: float
    megabytes: float


def _try(target, data):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mutation-"))
    before = _reset_peak_mb()
    start, fault, was_read = time.process_time(), None, False
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            target.parse(folder, data)
        was_read = True
    except errors.TfodhelperError as error:
        fault = None if str(error).strip() else f"{type(error).__name__} without a message"
    except Exception:
        fault = traceback.format_exc(limit=-3)
    outcome = _Outcome(fault, was_read, time.process_time() - start, _peak_mb() - before)
    shutil.rmtree(folder, ignore_errors=True)
    return outcome


_STATUS, _CLEAR = pathlib.Path("/proc/self/status"), pathlib.Path("/proc/self/clear_refs")


def _reset_peak_mb():
    """The memory that the process uses, which becomes its peak; 0 on systems that cannot say."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return 0.0
    return _peak_mb()


def _peak_mb():
    try:
        return float(re.search(r"VmHWM:\s*(\d+)", _STATUS.read_text())[1]) / 1024 if _CLEAR.exists() else 0.0
    except (OSError, TypeError):
        return 0.0
