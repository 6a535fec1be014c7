"""One step of training in one thread: `one_thread_worker FOLDER FILE` writes the numbers of a `shared_case.Case`."""

import pathlib
import sys

import tensorflow as tf

from tests.models import shared_case


def main(folder, path):
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    shared_case.Case(pathlib.Path(folder)).take_step().save(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
