#!/usr/bin/env python3
"""Seconds and memory of a two-stage detector's step, compared with a baseline measured in the same run.

    python scripts/benchmark_faster_rcnn.py [--num_steps=12] [--rounds=3] [--size=320] [--batch_size=2] [--profile]

The step is forward, losses and backward of Faster R-CNN ResNet-50 V1 (the 640 x 640 configuration of the TF2 zoo with
a different input size) on images with 16 boxes each that are already in memory. Batch norm is frozen, as it is with
small batches. The baseline is forward and backward of the ResNet-50 of tf_keras.applications on the same images: its
first three blocks are the detector's first stage. Both run in turn, each in its own process, whose peak memory is
printed with and without that of TensorFlow itself. The ratio of the times is comparable between machines.

--profile adds the share of each kind of operation in one step.
"""

import argparse
import collections
import glob
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

MODEL = "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8"
BOXES = 16  # per image


def main():
    """Runs the rounds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num_steps", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=320, help="side of the model input in pixels")
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="print where the time of a step goes")
    parser.add_argument("--part", choices=("step", "yardstick"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print("RESULT " + json.dumps(measure(arguments)))
        return
    rounds = [(run_part("step", arguments), run_part("yardstick", arguments)) for _ in range(arguments.rounds)]
    report(rounds)
    for kind, share in rounds[-1][0].get("profile", []):
        print(f"{share:6.1%}  {kind}")


def report(rounds):
    """Prints one line per round and the medians."""
    print(f"{'round':>6}  {'s/step':>8}  {'yardstick':>9}  {'ratio':>6}  {'peak MB':>8}  {'of it own':>9}")
    ratios = [step["seconds"] / yardstick["seconds"] for step, yardstick in rounds]
    for number, ((step, yardstick), ratio) in enumerate(zip(rounds, ratios), start=1):
        print_line(number, step["seconds"], yardstick["seconds"], ratio, step["peak_mb"], step["own_mb"])
    print_line(
        "median",
        statistics.median(step["seconds"] for step, _ in rounds),
        statistics.median(yardstick["seconds"] for _, yardstick in rounds),
        statistics.median(ratios),
        max(step["peak_mb"] for step, _ in rounds),
        max(step["own_mb"] for step, _ in rounds),
    )


def print_line(name, seconds, yardstick, ratio, peak_mb, own_mb):
    """One line of the table."""
    print(f"{name:>6}  {seconds:8.3f}  {yardstick:9.3f}  {ratio:6.2f}  {peak_mb:8.0f}  {own_mb:9.0f}")


def run_part(part, arguments):
    """Measures one part in a process of its own."""
    command = [sys.executable, __file__, f"--part={part}", f"--num_steps={arguments.num_steps}"]
    command += [f"--size={arguments.size}", f"--batch_size={arguments.batch_size}"]
    command += ["--profile"] if arguments.profile else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.rpartition("RESULT ")[2])


def measure(arguments):
    """Median seconds of the steps after the first two, and the highest resident memory of this process."""
    from tfodhelper import tensorflow_setup

    tensorflow_setup.quiet_tensorflow()
    import tensorflow as tf

    make_step = {"step": make_detector_step, "yardstick": make_yardstick_step}[arguments.part]
    images = tf.random.stateless_uniform([arguments.batch_size, arguments.size, arguments.size, 3], [1, 2], 0.0, 255.0)
    before_mb = peak_mb()
    step = make_step(images)
    seconds = []
    for _ in range(arguments.num_steps):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    result = {"seconds": statistics.median(seconds[2:]), "peak_mb": peak_mb(), "own_mb": peak_mb() - before_mb}
    if arguments.profile and arguments.part == "step":
        result["profile"] = profile(step)
    return result


def peak_mb():
    """Highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_detector_step(images):
    """A function that runs forward, losses and backward of the detector."""
    import tensorflow as tf

    from tfodhelper.config import overrides, pipeline
    from tfodhelper.fields import Groundtruth
    from tfodhelper.models import build
    from tfodhelper.zoo import base_configs

    batch_size, size = images.shape[0], images.shape[1]
    config = overrides.apply_overrides(
        pipeline.read_pipeline(base_configs.base_pipeline_path(MODEL)),
        [
            f"model.faster_rcnn.image_resizer={{fixed_shape_resizer {{height: {size} width: {size}}}}}",
            "model.faster_rcnn.feature_extractor.batch_norm_trainable=false",
        ],
    )
    detector = build.build_detector(config.model, is_training=True)
    corners = tf.random.stateless_uniform([batch_size, BOXES, 2], [3, 4], 0.0, 0.7)
    sizes = tf.random.stateless_uniform([batch_size, BOXES, 2], [5, 6], 0.05, 0.3)
    groundtruth = {
        Groundtruth.BOXES: tf.concat([corners, corners + sizes], axis=2),
        Groundtruth.CLASSES: tf.random.stateless_uniform([batch_size, BOXES], [7, 8], 0, 90, tf.int32),
        Groundtruth.WEIGHTS: tf.ones([batch_size, BOXES]),
    }
    true_shapes = tf.constant([[size, size, 3]] * batch_size)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            inputs = detector.normalize(images, true_shapes)
            predictions = detector.predict_raw(inputs, true_shapes, training=True, groundtruth=groundtruth)
            loss = tf.add_n(list(detector.losses(predictions, groundtruth, training=True).values()))
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(loss, detector.trainable_variables)]

    return lambda: step()[-1].numpy()


def make_yardstick_step(images):
    """A function that runs forward and backward of the stock ResNet-50."""
    import tensorflow as tf
    import tf_keras

    model = tf_keras.applications.ResNet50(input_shape=images.shape[1:], include_top=False, weights=None)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(images / 255.0, training=False) ** 2)
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(loss, model.trainable_variables)]

    return lambda: step()[-1].numpy()


def profile(step, most=12):
    """[(kind of operation, share of the time of all)] of one step, the largest first."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        step()
        tf.profiler.experimental.stop()
        (path,) = glob.glob(os.path.join(folder, "**", "*.xplane.pb"), recursive=True)
        with open(path, "rb") as file:
            space = xplane_pb2.XSpace.FromString(file.read())
    picoseconds = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name, _, kind = plane.event_metadata[event.metadata_id].name.partition(":")
                if name and kind and ":" not in kind and "__inference" not in kind:  # others hold several operations
                    picoseconds[kind] += event.duration_ps
    total = sum(picoseconds.values())
    return [(kind, duration / total) for kind, duration in picoseconds.most_common(most)]


if __name__ == "__main__":
    main()
