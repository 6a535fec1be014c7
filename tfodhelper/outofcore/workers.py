"""Worker processes for work on many files, and none where starting them would cost more than they save.

Tasks and results are pickled, so functions are defined at the top of a module, and tasks and results are kept small. A
worker never outlives the process that started it, however that process ends.
"""

import collections
import concurrent.futures
import contextlib
import ctypes
import gc
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
import types

from tfodhelper import console, errors

_AHEAD = 2  # tasks that wait for each worker; more would only fill memory
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl
_LOOK_EVERY_S = 1.0
_KEPT = []  # {number of processes: pool} of the open blocks of `kept_workers`
_MAIN_LOCK = threading.Lock()  # held while the main module is hidden
_RARE_COLLECTIONS = (200_000, 50, 100)  # new objects, and collections of them, between looks for cyclic garbage


def count_processors():
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def workers(num_workers=0):
    """Opens worker processes for a block.

    Args:
      num_workers: 0 for one per processor; with 1 all work is done in this process.

    Yields:
      A function `run(function, tasks)` that yields the results in the order of the tasks.

    Raises:
      StorageError: a worker was killed, for example because the system ran out of memory.
    """
    number = num_workers or count_processors()
    if number < 2:
        yield map
        return
    with contextlib.ExitStack() as stack:
        if not _KEPT:
            stack.enter_context(kept_workers())
        pool = _KEPT[-1].get(number) or _start(number)
        if pool is None:
            yield map
            return
        try:
            yield lambda function, tasks: _run(pool, function, tasks, number * _AHEAD)
        except concurrent.futures.process.BrokenProcessPool as error:
            raise errors.StorageError(
                "a worker process was killed",
                expected="enough memory for as many processes as there are processors",
                fix="start again with --num_workers=1; finished files are kept",
            ) from error


@contextlib.contextmanager
def kept_workers():
    """Lets all blocks of `workers` inside share processes, which then start while there is little memory to copy."""
    _KEPT.append({})
    try:
        yield
    finally:
        for pool in _KEPT.pop().values():
            pool.shutdown(wait=True, cancel_futures=True)


def start_kept(num_workers=0):
    """Starts the processes of an open block of `kept_workers` before they are needed."""
    number = num_workers or count_processors()
    if _KEPT and number > 1 and number not in _KEPT[-1]:
        pool = _start(number)
        if pool is not None:
            pool.submit(count_processors)


def _start(number):
    """Starts processes in the innermost block of `kept_workers`; None on a system that cannot have any."""
    try:
        pool = concurrent.futures.ProcessPoolExecutor(number, _context(), _begin, (os.getpid(),))
    except (ImportError, NotImplementedError, OSError) as error:  # without /dev/shm there are no semaphores
        console.warn(f"worker processes cannot be started ({error}); continuing as with --num_workers=1")
        return None
    _KEPT[-1][number] = pool
    return pool


def _run(pool, function, tasks, ahead):
    """Yields the results in order, with a bounded number of tasks in progress."""
    tasks = iter(tasks)
    waiting = collections.deque(pool.submit(function, task) for task in itertools.islice(tasks, ahead))
    while waiting:
        result = waiting.popleft().result()
        waiting.extend(pool.submit(function, task) for task in itertools.islice(tasks, 1))
        yield result


def _context():
    """Forking is fast; but once TensorFlow's threads run, it could leave a lock held forever."""
    can_fork = sys.platform.startswith("linux") and "tensorflow" not in sys.modules
    return multiprocessing.get_context("fork") if can_fork else _SpawnContext()


class _SpawnProcess(multiprocessing.context.SpawnProcess):
    """A new process that does not run the main script again, as Python would let it.

    Nothing that workers need is in it: their functions are this program's. So a user's script needs no guard
    `if __name__ == "__main__"`.
    """

    def start(self):
        with _MAIN_LOCK:
            main = sys.modules["__main__"]
            sys.modules["__main__"] = types.ModuleType("__main__")
            try:
                super().start()
            finally:
                sys.modules["__main__"] = main


class _SpawnContext(multiprocessing.context.SpawnContext):
    Process = _SpawnProcess


def _begin(parent):
    """Leaves signals to the parent process, and ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # which is how a pool ends its processes
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    gc.set_threshold(*_RARE_COLLECTIONS)
    gc.freeze()  # a collection would touch all objects of the parent, and so copy its memory
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent):
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os._exit(1)


@contextlib.contextmanager
def rare_collections():
    """Lets Python look for cyclic garbage rarely: the block makes millions of small values without cycles."""
    before = gc.get_threshold()
    gc.set_threshold(*_RARE_COLLECTIONS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def chunks(items, size):
    """Consecutive lists of at most `size` items."""
    items = iter(items)
    while piece := list(itertools.islice(items, size)):
        yield piece
