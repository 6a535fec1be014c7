"""Work in a process of its own, which gives back its memory, or is killed for lack of it, without harm to this one."""

import json
import os
import pathlib
import subprocess
import sys

from tfodhelper import plain_text


def run_module(module, request=None, timeout_s=None):
    """Runs a module of this package, which reads a request from its standard input and answers line by line.

    Args:
      module: dotted name below the package.
      request: what becomes JSON.
      timeout_s: after how many seconds it is killed, or None.

    Returns:
      (lines of its standard output; why it ended, in one line, if its exit status is not 0, else None).

    Raises:
      subprocess.TimeoutExpired: it took longer.
    """
    paths = [str(pathlib.Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", f"tfodhelper.{module}"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        try:
            output, messages = process.communicate(json.dumps(request), timeout_s)
        except BaseException:
            process.kill()
            raise
    if not process.returncode:
        return output.splitlines(), None
    last = (messages.strip().splitlines() or ["no message"])[-1]
    return output.splitlines(), f"its process ended with status {process.returncode}: {plain_text.one_line(last)}"
