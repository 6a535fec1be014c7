#!/usr/bin/env python3
"""Seconds and memory of one training step, compared with a baseline measured in the same run.

    python scripts/benchmark_step.py [--data_dir=CONVERTED] [--fine_tune_checkpoint=PATH] [--num_steps=60] [--rounds=3]
                                     [--against=PATH]

The step is everything that `tfodhelper train` does for one batch of 8 images: read, decode, augment (flip and
ssd_random_crop), forward, losses, backward, update, on SSD MobileNet V1 at 300 x 300 with frozen batch norm. The
baseline is forward and backward of the MobileNet of tf_keras.applications (300 x 300, batch 8, batch norm
not training) on images that are already in memory: less work than a detector's step can be, and the same on every
machine. With --against, the folder `research` of a checkout of the Object Detection API (its protos compiled, and what
it imports installed or in PYTHONPATH) does the same from the same records: its own input pipeline and training step.
All run in turn, each in its own process. Other users of the machine distort the wall-clock time, so the processor time
is printed too; the ratios are comparable between machines. `benchmark_detector.py` shows the floor of a step.
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

# Not the narrower one: the Object Detection API's second generation has other widths there than its checkpoints.
MODEL = "ssd_mobilenet_v1_coco"
BATCH_SIZE = 8
SIZE_PX = 300
STRETCH = 5  # steps between two looks at the clock


def main():
    """Runs the rounds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", help="folder that `tfodhelper convert` wrote; drawn images when left out")
    parser.add_argument("--fine_tune_checkpoint", default="none", help="path, or none")
    parser.add_argument("--num_steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", default="", help="folder research of a checkout of the Object Detection API")
    parser.add_argument("--part", choices=tuple(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--work_dir", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print("RESULT " + json.dumps(PARTS[arguments.part](arguments)))
        return
    names = [name for name in PARTS if name != "reference" or arguments.against]
    with tempfile.TemporaryDirectory() as work_dir:
        if not arguments.data_dir:
            arguments.data_dir = draw_data(pathlib.Path(work_dir))
        report([{name: run_part(name, arguments, work_dir) for name in names} for _ in range(arguments.rounds)])


def report(rounds):
    """Prints one line per round and the medians."""
    others = [name for name in rounds[0] if name != "step"]
    heads = [f"{name:>9} {'CPU s':>8}" for name in ("s/step", *others)]
    heads += [f"ratio to {name:>9} {'CPU':>5}" for name in others]
    print(f"{'round':>6}  " + "  ".join(heads))
    rows = []
    for measured in rounds:
        row = [measured[name][key] for name in ("step", *others) for key in ("seconds", "cpu_s")]
        rows.append(
            row + [measured["step"][key] / measured[name][key] for name in others for key in ("seconds", "cpu_s")]
        )
    count = 2 * (1 + len(others))
    for name, row in [*enumerate(rows, start=1), ("median", [statistics.median(column) for column in zip(*rows)])]:
        times, ratios = row[:count], row[count:]
        cells = [f"{a:9.3f} {b:8.3f}" for a, b in zip(times[::2], times[1::2])]
        cells += [f"{a:18.2f} {b:5.2f}" for a, b in zip(ratios[::2], ratios[1::2])]
        print(f"{name:>6}  " + "  ".join(cells))
    peaks = {name: max(measured[name]["peak_mb"] for measured in rounds) for name in rounds[0]}
    print("peak MB: " + ", ".join(f"{name} {peak:.0f}" for name, peak in peaks.items()))


def run_part(part, arguments, work_dir):
    """Measures one part in a process of its own."""
    command = [sys.executable, __file__, f"--part={part}", f"--data_dir={arguments.data_dir}"]
    command += [f"--fine_tune_checkpoint={arguments.fine_tune_checkpoint}", f"--num_steps={arguments.num_steps}"]
    command += [f"--work_dir={work_dir}", f"--against={arguments.against}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.rpartition("RESULT ")[2])


def draw_data(folder):
    """Draws 64 images of 640 x 480 pixels and converts them."""
    from tfodhelper.dataset import shapes
    from tfodhelper.records import convert

    shapes.draw_dataset(folder / "images", 64, seed=1, scene=shapes.Scene(sizes=((640, 480),)))
    return convert.convert(convert.ConvertOptions(data_dir=folder / "images", output_dir=folder / "data")).output_dir


def make_pipeline(arguments):
    """The configuration of both trainings."""
    from tfodhelper.config import generate

    checkpoint = None if arguments.fine_tune_checkpoint == "none" else arguments.fine_tune_checkpoint
    pipeline, _ = generate.generate_pipeline(
        generate.find_base(MODEL),
        arguments.data_dir,
        num_steps=arguments.num_steps,
        batch_size=BATCH_SIZE,
        learning_rate=0.001,
        fine_tune_checkpoint=checkpoint,
        overrides=["model.ssd.freeze_batchnorm=true", "eval_config.num_examples=1"],
    )
    return pipeline


class Clock:
    """Takes times after every few steps, and knows the median time of one."""

    def __init__(self):
        self._marks = []

    def mark(self, step):
        """Notes that this many steps are done."""
        self._marks.append((step, time.perf_counter(), time.process_time()))

    def result(self):
        """Median seconds and processor seconds of a step, the first stretch left out; the peak memory."""
        stretches = list(zip(self._marks[1:-1], self._marks[2:]))
        seconds, cpu_s = ([(b[i] - a[i]) / (b[0] - a[0]) for a, b in stretches] for i in (1, 2))
        return {
            "seconds": statistics.median(seconds),
            "cpu_s": statistics.median(cpu_s),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def measure_step(arguments):
    """Trains as `tfodhelper train` does."""
    from tfodhelper import tensorflow_setup

    tensorflow_setup.prepare_training()
    from tfodhelper.training import jobs, trainer
    from tfodhelper.training.options import TrainOptions

    clock, end_of_stretch = Clock(), trainer.DetectionTrainer.train_loop_end

    def mark(self):
        logs = end_of_stretch(self)
        clock.mark(int(self.global_step))
        return logs

    trainer.DetectionTrainer.train_loop_end = mark
    options = TrainOptions(eval_every=arguments.num_steps, log_every=STRETCH, strategy="cpu")
    with tempfile.TemporaryDirectory(dir=arguments.work_dir) as model_dir:
        jobs.train_model(make_pipeline(arguments), model_dir, options)
    return clock.result()


def measure_reference(arguments):
    """Trains as the loop of the Object Detection API does, on one device: its dataset, its step in a graph."""
    from tfodhelper import tensorflow_setup

    tensorflow_setup.quiet_tensorflow()
    import od_api
    import tensorflow as tf
    from google.protobuf import text_format

    text = text_format.MessageToString(make_pipeline(arguments))
    od_api.find_in(arguments.against)
    from object_detection import inputs, model_lib_v2
    from object_detection.builders import model_builder, optimizer_builder
    from object_detection.protos import pipeline_pb2

    config = text_format.Parse(text, pipeline_pb2.TrainEvalPipelineConfig())
    model = model_builder.build(config.model, True)
    dataset = inputs.train_input(config.train_config, config.train_input_reader, config.model, model=model).repeat()
    global_step = tf.Variable(0, dtype=tf.int64)
    optimizer, _ = optimizer_builder.build(config.train_config.optimizer, global_step=global_step)
    options = config.train_config

    @tf.function
    def train(iterator):
        total = 0.0
        for _ in tf.range(STRETCH):
            features, labels = next(iterator)
            losses = model_lib_v2.eager_train_step(
                model,
                features,
                labels,
                options.unpad_groundtruth_tensors,
                optimizer,
                global_step,
                add_regularization_loss=options.add_regularization_loss,
                clip_gradients_value=options.gradient_clipping_by_norm or None,
            )
            global_step.assign_add(1)
            total = losses["Loss/total_loss"]
        return total

    iterator, clock = iter(dataset), Clock()
    # Its variables cannot be made within a loop of a graph.
    model_lib_v2._ensure_model_is_built(model, dataset, options.unpad_groundtruth_tensors)
    for step in range(STRETCH, arguments.num_steps + 1, STRETCH):
        train(iterator).numpy()
        clock.mark(step)
    return clock.result()


def measure_yardstick(arguments):
    """Forward and backward of the stock MobileNet."""
    from tfodhelper import tensorflow_setup

    tensorflow_setup.quiet_tensorflow()
    import tensorflow as tf
    import tf_keras

    model = tf_keras.applications.MobileNet(input_shape=(SIZE_PX, SIZE_PX, 3), include_top=False, weights=None)
    images = tf.random.stateless_uniform([BATCH_SIZE, SIZE_PX, SIZE_PX, 3], seed=[1, 2])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(images, training=False) ** 2)
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(loss, model.trainable_variables)]

    clock = Clock()
    for number in range(1, arguments.num_steps + 1):
        step()[-1].numpy()
        if number % STRETCH == 0:
            clock.mark(number)
    return clock.result()


PARTS = {"step": measure_step, "reference": measure_reference, "yardstick": measure_yardstick}

if __name__ == "__main__":
    main()
