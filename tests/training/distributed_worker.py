"""One process of a distributed training of the tiny model; run by test_distributed.

python -m tests.training.distributed_worker PIPELINE_CONFIG MODEL_DIR STRATEGY NUM_CPUS
"""

import sys

from tfodhelper import tensorflow_setup

tensorflow_setup.prepare_training()

import tensorflow as tf  # noqa: E402

from tfodhelper.config import pipeline as pipelines  # noqa: E402
from tfodhelper.training import jobs  # noqa: E402
from tfodhelper.training.options import TrainOptions  # noqa: E402


def main(config, model_dir, strategy, num_cpus):
    """Trains."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * int(num_cpus))
    options = TrainOptions(eval_every=2, log_every=1, strategy=strategy, seed=5)
    result = jobs.train_model(pipelines.read_pipeline(config), model_dir, options)
    print("FINISHED", result.step)


if __name__ == "__main__":
    main(*sys.argv[1:])
