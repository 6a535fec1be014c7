"""One step of training as a process of its own: `training_worker FOLDER FILE THREADS` writes a `parity.TrainingStep`.

Batch norm in training sums in the order of oneDNN, if that is in use, and of the number of threads. So the process sets
both as they were where the numbers of the `shared_case.Case` were made.
"""

import pathlib
import sys

import tensorflow as tf

from tests.models import shared_case


def main(folder, path, threads):
    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(1)
    shared_case.Case(pathlib.Path(folder)).take_step().save(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
