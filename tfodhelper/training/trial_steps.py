"""One step of training each with 1, 2, 4, ... noise images; `training.batch_size` runs it in a process of its own.

It reads what to try from its standard input and writes lines of JSON: {"budget", "device", "replicas"}, then {"batch",
"peak"} for each batch, with the most memory that was occupied so far, in bytes.
"""

import contextlib
import json
import pathlib
import sys

from tfodhelper import machine_memory, tensorflow_setup


def main():
    """Tries steps until the next one would take more than the budget."""
    trial = json.load(sys.stdin)
    with contextlib.suppress(OSError):
        # If memory runs out, this process is the one that Linux ends.
        pathlib.Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    from tfodhelper.training import batch_size

    free = batch_size.free_bytes()
    tensorflow_setup.prepare_training()
    import tensorflow as tf

    if trial["options"]["strategy"] == "cpu":
        tf.config.set_visible_devices([], "GPU")
    gpus = tf.config.list_logical_devices("GPU")
    if gpus:
        free = _memory_of_gpu()
    is_mirrored = trial["options"]["strategy"] in ("auto", "mirrored")
    replicas = max(1, len(gpus)) if is_mirrored else 1
    budget = None if free is None or _peak(gpus) is None else batch_size.budget_of(free)
    _report(budget=budget, device=gpus[0].name if gpus else "the CPU", replicas=replicas)
    if budget is None:
        return
    take_step = _build_step(trial)
    batch, previous = 1, None
    while batch <= max(1, trial["most"] // replicas):
        with contextlib.suppress(tf.errors.ResourceExhaustedError):
            take_step(batch)
            peak = _peak(gpus)
            _report(batch=batch, peak=peak)
            # Twice the images take twice what the last doubling added.
            if previous is None or peak + 2 * (peak - previous) <= budget:
                batch, previous = 2 * batch, peak
                continue
        return


def _report(**facts):
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _peak(gpus):
    import tensorflow as tf

    return tf.config.experimental.get_memory_info("GPU:0")["peak"] if gpus else machine_memory.peak_of_process()


def _memory_of_gpu():
    """Bytes that TensorFlow may take of the first GPU."""
    from tensorflow.python.client import device_lib

    return next(device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU")


def _build_step(trial):
    """A function that takes one step with a number of images."""
    import tensorflow as tf
    from official.core import config_definitions

    from tfodhelper.config import pipeline as pipelines
    from tfodhelper.fields import Groundtruth, Inputs
    from tfodhelper.inputs import build as inputs_build
    from tfodhelper.training import optimizers, task

    pipeline = pipelines.parse_pipeline(trial["pipeline"])
    choice = task.choose_frozen(pipeline.train_config, trial["options"]["freeze"])
    precision = trial["options"]["precision"]
    tasks = task.DetectionTask(
        config_definitions.TaskConfig(), pipeline, task.StartingPoint(), choice=choice, precision=precision
    )
    model = tasks.build_model()
    optimizer, _ = optimizers.build_optimizer(pipeline.train_config.optimizer, averages=False)
    (height, width), rows = trial["size"], inputs_build.max_training_boxes(pipeline)

    def take_step(batch):
        features = {
            Inputs.IMAGE: tf.random.uniform([batch, height, width, 3], 0.0, 255.0),
            Inputs.TRUE_IMAGE_SHAPE: tf.tile([[height, width, 3]], [batch, 1]),
        }
        labels = {
            Groundtruth.BOXES: tf.tile([[[0.2, 0.2, 0.7, 0.7]]], [batch, rows, 1]),
            Groundtruth.CLASSES: tf.zeros([batch, rows], tf.int32),
            Groundtruth.WEIGHTS: tf.ones([batch, rows]),
            Groundtruth.NUM_BOXES: tf.fill([batch], rows),
        }
        step = tf.function(lambda features, labels: tasks.train_step((features, labels), model, optimizer))
        step(features, labels)

    return take_step


if __name__ == "__main__":
    main()
