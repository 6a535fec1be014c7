#!/usr/bin/env python3
"""Seconds and memory of a detector's step and evaluation, compared with a baseline measured in the same run.

    python scripts/benchmark_detector.py [--model=NAME] [--size=320] [--batch_size=2] [--against=PATH] [--profile]
        [--set=FIELD=VALUE ...]

A step is forward, losses and backward of a published configuration (Faster R-CNN ResNet-50 V1, or --model)
with a different input size, on images with 16 boxes each that are already in memory, and with their masks for a
detector of masks. Batch norm is frozen, as it is with small batches. The Object Detection API has the first
generation's networks in TensorFlow 1 alone: --set=model.faster_rcnn.feature_extractor.type=faster_rcnn_resnet50_keras
makes one of the second. An evaluation is forward, losses and detections of one image. The weights are random, so that
scores are near each other, which is the most work for the suppression.

The baseline is forward and backward of the ResNet-50 of tf_keras.applications on these images, and its forward on one
image. The floor is the convolutions and matrix products of our step or evaluation alone, each run by itself on numbers
of the same shapes: no arrangement of the rest can be faster. With --against, the folder `research` of a checkout of the
Object Detection API (its protos compiled, and what it imports installed or in PYTHONPATH) runs the same configuration
from the same weights; its losses are printed beside ours. All run in turn, a few steps at a time, each in its own
process, whose peak memory is printed with and without that of TensorFlow itself. Other users of the machine distort the
wall-clock time, so the processor time is printed too. The ratios are comparable between machines.

--profile adds the share of each kind of operation in one step and in one evaluation.
"""

import argparse
import collections
import glob
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

MODEL = "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8"
BOXES = 16  # per image
JOBS = ("step", "evaluation")


def main():
    """Runs the rounds and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODEL, help="a base file, see `tfodhelper zoo`")
    parser.add_argument("--num_steps", type=int, default=5, help="of each part in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=320, help="side of the model input in pixels")
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], help="change of the configuration, FIELD=VALUE")
    parser.add_argument("--against", help="folder research of a checkout of the Object Detection API")
    parser.add_argument("--profile", action="store_true", help="print where the time goes")
    parser.add_argument("--part", choices=tuple(MAKERS), help=argparse.SUPPRESS)
    parser.add_argument("--checkpoint", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        answer(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        if arguments.against:
            arguments.checkpoint = str(pathlib.Path(folder) / "reference")
        parts = {name: Part(name, arguments) for name in MAKERS if name != "reference" or arguments.against}
        for job in JOBS:
            report(job, [{name: part.ask(job) for name, part in parts.items()} for _ in range(arguments.rounds)])
        for job in JOBS if arguments.profile else ():
            print(f"\nwhere the {job} spends its time")
            print("\n".join(f"{share:6.1%}  {kind}" for kind, share in parts["ours"].ask("profile " + job)))
        for part in parts.values():
            part.close()


class Part:
    """A process that runs a part's jobs when it is asked to; it is ready when the constructor returns."""

    def __init__(self, name, arguments):
        kept = ("model", "num_steps", "size", "batch_size", "against", "checkpoint")
        options = [f"--{key}={value}" for key, value in vars(arguments).items() if key in kept and value]
        options += [f"--set={change}" for change in arguments.set]
        command = [sys.executable, __file__, f"--part={name}", *options]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ask("")

    def ask(self, question):
        """The answer to a line: see `answer`."""
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith("RESULT "):
                return json.loads(line.removeprefix("RESULT "))
        sys.exit(f"{' '.join(self._process.args)} failed")

    def close(self):
        """Ends the process."""
        self._process.communicate()


def report(job, rounds):
    """Prints one line per round, and the medians."""
    others = [part for part in rounds[0] if part != "ours"]
    print(f"\n{job:>10}  {'seconds':>8} {'CPU s':>8}" + "".join(f"  {part:>9} {'CPU s':>8}" for part in others), end="")
    print("  " + "  ".join(f"{'ratio to ' + part:>19}  {'CPU':>5}" for part in others))
    rows = []
    for measured in rounds:
        ours = measured["ours"]
        row = [measured[part][key] for part in ("ours", *others) for key in ("seconds", "cpu_s")]
        rows.append(row + [ours[key] / measured[part][key] for part in others for key in ("seconds", "cpu_s")])
    count = 2 * len(others)
    for name, row in [*enumerate(rows, start=1), ("median", [statistics.median(column) for column in zip(*rows)])]:
        times, ratios = row[:-count], row[-count:]
        print(f"{name:>10}" + "".join(f"  {a:8.3f} {b:8.3f}" for a, b in zip(times[::2], times[1::2])), end="")
        print("  " + "  ".join(f"{a:19.2f}  {b:5.2f}" for a, b in zip(ratios[::2], ratios[1::2])), flush=True)
    for part, last in rounds[-1].items():
        print(f"{part:>10}: loss {last['loss']:.5f}, peak {last['peak_mb']:.0f} MB, of it own {last['own_mb']:.0f} MB")


def answer(arguments):
    """Answers the lines of standard input: the times of a job, where it spends them, or that the process is ready."""
    from tfodhelper import tensorflow_setup

    tensorflow_setup.prepare_training() if arguments.part in ("ours", "floor") else tensorflow_setup.quiet_tensorflow()
    import tensorflow as tf

    batch, size = arguments.batch_size, arguments.size
    images = tf.random.stateless_uniform([batch, size, size, 3], [1, 2], 0.0, 255.0)
    before_mb = peak_mb()
    runs = dict(zip(JOBS, MAKERS[arguments.part](arguments, images)))
    for line in sys.stdin:
        purpose, _, job = line.strip().rpartition(" ")
        if not job:
            result = [float(run()) for run in runs.values()]  # makes the graphs
        elif purpose:
            result = profile(runs[job])
        else:
            result = measure(runs[job], arguments.num_steps)
            result |= {"peak_mb": peak_mb(), "own_mb": peak_mb() - before_mb}
        print("RESULT " + json.dumps(result), flush=True)


def measure(run, num_steps):
    """Median seconds and processor seconds of a job after a first run."""
    run()
    times = []
    for _ in range(num_steps):
        start, start_cpu = time.perf_counter(), time.process_time()
        loss = float(run())
        times.append((time.perf_counter() - start, time.process_time() - start_cpu))
    seconds, cpu_s = (statistics.median(column) for column in zip(*times))
    return {"seconds": seconds, "cpu_s": cpu_s, "loss": loss}


def peak_mb():
    """Highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def configure(arguments):
    """The configuration with the input size and frozen batch norm."""
    from tfodhelper.config import overrides, pipeline
    from tfodhelper.zoo import base_configs

    config = pipeline.read_pipeline(base_configs.base_pipeline_path(arguments.model))
    family = config.model.WhichOneof("model")
    frozen = "feature_extractor.batch_norm_trainable=false" if family == "faster_rcnn" else "freeze_batchnorm=true"
    resizer = f"image_resizer={{fixed_shape_resizer {{height: {arguments.size} width: {arguments.size}}}}}"
    changes = [f"model.{family}.{change}" for change in (frozen, resizer)]
    return overrides.apply_overrides(config, [*changes, *arguments.set])


def make_boxes(batch_size):
    """Normalized boxes [B, M, 4] and classes [B, M] of the images."""
    import tensorflow as tf

    corners = tf.random.stateless_uniform([batch_size, BOXES, 2], [3, 4], 0.0, 0.7)
    sizes = tf.random.stateless_uniform([batch_size, BOXES, 2], [5, 6], 0.05, 0.3)
    classes = tf.random.stateless_uniform([batch_size, BOXES], [7, 8], 0, 90, tf.int32)
    return tf.concat([corners, corners + sizes], axis=2), classes


def has_masks(config):
    """Whether the detector of a configuration predicts masks."""
    from tfodhelper import families

    return families.MASKS in families.family_of(config.model).outputs(config.model)


def make_masks(boxes, size):
    """uint8 [B, M, size, size]: ellipses that fill the boxes."""
    import numpy as np

    centers, radii = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
    places = (np.arange(size) + 0.5) / size
    y, x = (((places - centers[..., i : i + 1]) / radii[..., i : i + 1]) ** 2 for i in range(2))
    return (y[..., :, np.newaxis] + x[..., np.newaxis, :] <= 1).astype(np.uint8)


def make_ours(arguments, images, as_graphs=False):
    """Functions that run a step and an evaluation of the detector and return its loss, or return their graphs."""
    import tensorflow as tf

    from tfodhelper.checkpoints import restore
    from tfodhelper.fields import Groundtruth
    from tfodhelper.models import build

    config = configure(arguments)
    detector = build.build_detector(config.model, is_training=True)
    if arguments.checkpoint:
        restore.restore_trained(detector, arguments.checkpoint)
    boxes, classes = make_boxes(arguments.batch_size)
    groundtruth = {
        Groundtruth.BOXES: boxes,
        Groundtruth.CLASSES: classes,
        Groundtruth.WEIGHTS: tf.ones(classes.shape),
    }
    if has_masks(config):
        groundtruth[Groundtruth.MASKS] = tf.constant(make_masks(boxes.numpy(), arguments.size))
    true_shapes = tf.constant([images.shape[1:]] * arguments.batch_size)

    def predict(count, training):
        labels = {key: value[:count] for key, value in groundtruth.items()}
        inputs = detector.normalize(images[:count], true_shapes[:count])
        return labels, detector.predict_raw(inputs, true_shapes[:count], training=training, groundtruth=labels)

    def add_losses(predictions, labels, training):
        return tf.add_n(list(detector.losses(predictions, labels, training=training).values()))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            labels, predictions = predict(arguments.batch_size, training=True)
            loss = add_losses(predictions, labels, training=True)
        return loss, add_up(tape.gradient(loss, detector.trainable_variables))

    @tf.function
    def evaluate():
        labels, predictions = predict(1, training=False)
        detections = detector.postprocess(predictions, true_shapes[:1], score_threshold=0.0)
        return add_losses({**predictions, **detections}, labels, training=False), add_up(detections.values())

    if as_graphs:
        return tuple(lambda job=job: job.get_concrete_function().graph for job in (step, evaluate))
    return lambda: step()[0], lambda: evaluate()[0]


def add_up(tensors):
    """A number of each tensor, so that all of them are computed."""
    import tensorflow as tf

    return [tf.reduce_sum(tensor) for tensor in tensors if tensor is not None]


def make_reference(arguments, images):
    """The same of the Object Detection API, whose variables it writes to the checkpoint."""
    import numpy as np
    import od_api

    config = configure(arguments)
    boxes, classes = (np.array(each) for each in make_boxes(arguments.batch_size))
    masks = make_masks(boxes, arguments.size) if has_masks(config) else None
    batch = od_api.Batch(np.array(images), boxes, classes, masks)
    return od_api.make_jobs(arguments.against, config, batch, arguments.checkpoint)


def make_yardstick(arguments, images):
    """The same of the stock ResNet-50."""
    import tensorflow as tf
    import tf_keras

    model = tf_keras.applications.ResNet50(input_shape=images.shape[1:], include_top=False, weights=None)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(images / 255.0, training=False) ** 2)
        return loss, add_up(tape.gradient(loss, model.trainable_variables))

    @tf.function
    def evaluate():
        return tf.reduce_mean(model(images[:1] / 255.0, training=False) ** 2)

    return lambda: step()[0], evaluate


def make_floor(arguments, images):
    """The convolutions and matrix products of `make_ours` alone."""
    import tensorflow as tf

    # Else those of the same shapes would be computed once, and those of constants never.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    return tuple(repeat_products(graph) for graph in (job() for job in make_ours(arguments, images, as_graphs=True)))


def repeat_products(graph):
    """A function that runs the convolutions and matrix products of a graph, one after the other."""
    import tensorflow as tf

    needed = find_needed(graph)  # TensorFlow leaves out the others, such as the gradient of the image
    products = [each for each in graph.get_operations() if each in needed and PRODUCT.fullmatch(each.type)]
    products = [each for each in products if all(t.shape.is_fully_defined() for t in (*each.inputs, *each.outputs))]
    if not products:
        sys.exit("the graph has no convolution")
    specs = {(tuple(t.shape), t.dtype) for each in products for t in each.inputs if t.dtype.is_floating}
    numbers = {spec: tf.random.stateless_normal(spec[0], [1, 2], dtype=spec[1]) for spec in specs}

    @tf.function(autograph=False)
    def run():
        last = tf.constant(0.0)
        for each in products:
            with tf.control_dependencies([last]):
                arguments = {}
                for argument, tensor in zip(each.op_def.input_arg, each.inputs):
                    if tensor.dtype.is_floating:
                        arguments[argument.name] = tf.identity(numbers[tuple(tensor.shape), tensor.dtype])
                    else:  # the sizes of the result of a gradient
                        arguments[argument.name] = tf.constant(each.outputs[0].shape.as_list(), tensor.dtype)
                given = {a.name for a in each.op_def.attr} - {"T", "Ta", "Tb", "Tout"}
                values = {name: each.get_attr(name) for name in given}
                values = {name: v.decode() if isinstance(v, bytes) else v for name, v in values.items()}
                last = getattr(tf.raw_ops, each.type)(**arguments, **values)
        with tf.control_dependencies([last]):
            return tf.constant(0.0)

    return run


def find_needed(graph):
    """The operations on which the outputs of a function's graph depend."""
    needed, waiting = set(), [tensor.op for tensor in graph.outputs]
    while waiting:
        operation = waiting.pop()
        if operation not in needed:
            needed.add(operation)
            waiting += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
    return needed


PRODUCT = re.compile(r"(DepthwiseConv2dNative|Conv2D)(Backprop(Input|Filter))?|(Batch)?MatMul(V2|V3)?")
MAKERS = {  # the first writes the weights
    "reference": make_reference,
    "ours": make_ours,
    "floor": make_floor,
    "yardstick": make_yardstick,
}


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
