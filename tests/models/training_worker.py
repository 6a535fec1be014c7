"""Steps of training in a process of its own: `training_worker THREADS`, asked line by line.

A line is JSON: folder of a `shared_case.Case`, prefix of its checkpoint, the file that gets its `TrainingStep`, and
whether `training_step.batch_norm_after_convolutions` holds; the answer is a line `done`. Batch norm in training sums in
the order of oneDNN, if that is in use, and of the number of threads. So a process sets both as they were where the
numbers were made.
"""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

from tests.shared_data import REPOSITORY


class Worker:
    """Takes steps in another process.

    Args:
      uses_onednn: "1" or "0".
      threads: number of threads, as text.
      log: path of a file that gets what the process writes to its standard error.
    """

    def __init__(self, uses_onednn, threads, log):
        self._log = pathlib.Path(log)
        with open(log, "wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.models.training_worker", threads],
                cwd=REPOSITORY,
                env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": uses_onednn},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )

    def take_step(self, folder, prefix, path, is_norm_after):
        """Writes the step of a case; see the module."""
        self._process.stdin.write(json.dumps([str(folder), prefix, str(path), is_norm_after]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer == "done\n", self._log.read_text(errors="replace")[-2000:]

    def close(self):
        """Ends the process."""
        self._process.communicate()


def main(threads):
    """Answers until there are no more lines."""
    import tensorflow as tf

    from tests.models import shared_case, training_step

    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for line in sys.stdin:
        folder, prefix, path, is_norm_after = json.loads(line)
        order = training_step.batch_norm_after_convolutions() if is_norm_after else contextlib.nullcontext()
        with order:
            shared_case.Case(pathlib.Path(folder)).take_step(prefix).save(path)
        print("done", flush=True)
    os._exit(0)  # TensorFlow's own end takes seconds


if __name__ == "__main__":
    main(*sys.argv[1:])
