#!/usr/bin/env python3
"""A table of the one-stage models that can be trained: size, speed and memory at their own input size.

    python scripts/one_stage_table.py [NAME ...] [--output=docs/one_stage.md] [--seconds=10]

Every model of the zoo with a base file in pipelines/ is built from it and measured in a process of its own: the forward
pass of one image, from pixels to detections, and a training step with a batch of one (forward, losses, backward,
update). Milliseconds are medians of the calls within `--seconds`, at least two, the first call left out. Before them a
yardstick is timed, the forward pass of the MobileNet of tf_keras.applications at 224 x 224; the columns with an x are
multiples of it and can be compared between machines, and between times of day. Peak memory is that of the whole process
so far, TensorFlow's own 0.4 GB included. mAP is the published one, with the published weights.
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import time

NUM_BOXES = 20
HEADER = (
    "model",
    "input",
    "M parameters",
    "forward ms",
    "forward x",
    "step ms",
    "step x",
    "peak GB",
    "step peak GB",
    "mAP",
)


def main():
    """Measures the models in turn and prints a Markdown table, which grows in the file as it is made."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="names of archives; all one-stage models when left out")
    parser.add_argument("--output", type=pathlib.Path, help="Markdown file to write; printed only when left out")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each part is measured")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.names[0], arguments.seconds)
        return
    lines = [_row(HEADER), _row(["---"] + ["---:"] * (len(HEADER) - 1))]
    print("\n".join(lines), flush=True)
    for model in one_stage_models():
        if arguments.names and model.name not in arguments.names:
            continue
        lines.append(_row(measure_model(model, arguments)))
        print(lines[-1], flush=True)
        if arguments.output:
            arguments.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


def one_stage_models():
    """The `ZooModel`s that can be trained and are made of one stage, in the order of the published lists."""
    from tfodhelper.config import pipeline
    from tfodhelper.zoo import base_configs, catalogue

    models = [model for model in catalogue.all_models() if model.trainable_here]
    return [
        model
        for model in models
        if pipeline.read_pipeline(base_configs.base_pipeline_path(model.name)).model.WhichOneof("model") == "ssd"
    ]


def measure_model(model, arguments):
    """The cells of one row; what a machine has no memory for is a dash."""
    parts = run_parts(model.name, arguments)
    facts, yardstick = parts.get("facts", {}), parts.get("yardstick", {}).get("seconds")
    forward, step = parts.get("forward"), parts.get("step")
    return (
        model.name,
        facts.get("input", "-"),
        f"{facts['parameters'] / 1e6:.1f}" if facts else "-",
        *_times(forward, yardstick),
        *_times(step, yardstick),
        *(f"{part['peak_gb']:.1f}" if part else "-" for part in (forward, step)),
        model.map or "-",
    )


def _times(part, yardstick):
    if part is None:
        return "-", "-"
    return f"{part['seconds'] * 1000:.0f}", f"{part['seconds'] / yardstick:.1f}"


def _row(cells):
    return "| " + " | ".join(cells) + " |"


def run_parts(name, arguments):
    """{part: what was measured}, from a process of its own, as far as that came."""
    command = [sys.executable, __file__, name, "--measure", f"--seconds={arguments.seconds}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{name}: exit status {done.returncode} {done.stderr.strip()[-300:]}", file=sys.stderr)
    lines = [line.partition("RESULT ")[2] for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    return {part: measured for line in lines for part, measured in json.loads(line).items()}


def measure(name, seconds):
    """Prints a line for each part as soon as it is measured."""
    detector, images, facts = build_model(name)
    parts = {
        "facts": lambda: facts,
        "yardstick": lambda: time_calls(make_yardstick(), min(seconds, 2.0)),
        "forward": lambda: time_calls(make_forward(detector, images), seconds),
        "step": lambda: time_calls(make_step(detector, images), seconds),
    }
    for part, run in parts.items():
        print("RESULT " + json.dumps({part: run()}), flush=True)


def build_model(name):
    """(detector, a batch of one image that fills its input, `input` and `parameters` for the table)."""
    from tfodhelper import tensorflow_setup

    tensorflow_setup.quiet_tensorflow()
    import tensorflow as tf

    from tfodhelper.config import pipeline
    from tfodhelper.models import build
    from tfodhelper.zoo import base_configs

    model = pipeline.read_pipeline(base_configs.base_pipeline_path(name)).model
    detector = build.build_detector(model, is_training=True)
    height, width = detector.resizer.height, detector.resizer.width
    images = tf.random.stateless_uniform([1, height, width, 3], seed=[1, 2], maxval=255.0)
    num_parameters = sum(variable.shape.num_elements() for variable in detector.variables)
    return detector, images, {"input": f"{height} x {width}", "parameters": num_parameters}


def make_yardstick():
    """The forward pass of the stock MobileNet."""
    import tensorflow as tf
    import tf_keras

    network = tf_keras.applications.MobileNet(weights=None)
    images = tf.random.stateless_uniform([1, 224, 224, 3], seed=[1, 2])
    return tf.function(lambda: network(images, training=False))


def make_forward(detector, images):
    """From pixels to detections, suppressing as evaluation and `predict` do with many classes."""
    import tensorflow as tf

    @tf.function
    def forward():
        inputs, shapes = detector.preprocess(images)
        return detector.postprocess(detector.predict_raw(inputs, shapes), shapes, score_threshold=0.0)

    return forward


def make_step(detector, images):
    """Forward, losses, backward and update for some boxes."""
    import tensorflow as tf
    import tf_keras

    from tfodhelper.fields import Groundtruth

    corners = tf.random.stateless_uniform([1, NUM_BOXES, 2], seed=[3, 4], maxval=0.7)
    groundtruth = {
        Groundtruth.BOXES: tf.concat([corners, corners + 0.3], axis=-1),
        Groundtruth.CLASSES: tf.zeros([1, NUM_BOXES], tf.int32),
        Groundtruth.WEIGHTS: tf.ones([1, NUM_BOXES]),
    }
    optimizer = tf_keras.optimizers.legacy.SGD(1e-4, momentum=0.9)
    variables = detector.trainable_variables

    @tf.function
    def step():
        inputs, shapes = detector.preprocess(images)
        with tf.GradientTape() as tape:
            predictions = detector.predict_raw(inputs, shapes, training=True, groundtruth=groundtruth)
            losses = list(detector.losses(predictions, groundtruth, training=True).values())
            total = tf.add_n(losses + detector.regularization_losses())
        gradients = tape.gradient(total, variables)
        optimizer.apply_gradients([pair for pair in zip(gradients, variables) if pair[0] is not None])
        return total

    return step


def time_calls(call, seconds):
    """`seconds` of a call, and `peak_gb` of the process after them."""
    import tensorflow as tf

    def timed():
        start = time.perf_counter()
        tf.nest.map_structure(lambda tensor: tensor.numpy(), call())
        return time.perf_counter() - start

    timed()  # builds the graph
    durations, end = [], time.perf_counter() + seconds
    while len(durations) < 2 or time.perf_counter() < end:
        durations.append(timed())
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return {"seconds": statistics.median(durations), "peak_gb": peak_gb}


if __name__ == "__main__":
    main()
