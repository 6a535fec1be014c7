#!/usr/bin/env python3
"""Seconds and memory of one training step, compared with a baseline measured in the same run.

    python scripts/benchmark_step.py [--data_dir=CONVERTED] [--fine_tune_checkpoint=PATH] [--num_steps=60] [--rounds=3]

The step is everything that `tfodhelper train` does for one batch of 8 images: read, decode, augment (flip and
ssd_random_crop), forward, losses, backward, update, on SSD MobileNet V1 0.75 at 300 x 300 with frozen batch norm. The
baseline is forward and backward of the MobileNet of tf_keras.applications (alpha 0.75, 300 x 300, batch 8, batch norm
not training) on images that are already in memory: less work than a detector's step can be, and the same on every
machine. Both run in turn, each in its own process; the ratio is comparable between machines.
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

MODEL = "ssd_mobilenet_v1_0.75_depth"
BATCH_SIZE = 8
SIZE_PX = 300


def main():
    """Runs the rounds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", help="folder that `tfodhelper convert` wrote; drawn images when left out")
    parser.add_argument("--fine_tune_checkpoint", default="none", help="path, or none")
    parser.add_argument("--num_steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=("step", "yardstick"), help=argparse.SUPPRESS)
    parser.add_argument("--work_dir", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print("RESULT " + json.dumps({"step": measure_step, "yardstick": measure_yardstick}[arguments.part](arguments)))
        return
    with tempfile.TemporaryDirectory() as work_dir:
        if not arguments.data_dir:
            arguments.data_dir = draw_data(pathlib.Path(work_dir))
        rounds = [
            (run_part("step", arguments, work_dir), run_part("yardstick", arguments, work_dir))
            for _ in range(arguments.rounds)
        ]
    report(rounds)


def report(rounds):
    """Prints one line per round and the medians."""
    print(f"{'round':>6}  {'s/step':>8}  {'yardstick':>9}  {'ratio':>6}  {'peak MB':>8}")
    ratios = [step["seconds"] / yardstick["seconds"] for step, yardstick in rounds]
    for number, ((step, yardstick), ratio) in enumerate(zip(rounds, ratios), start=1):
        print(f"{number:>6}  {step['seconds']:8.3f}  {yardstick['seconds']:9.3f}  {ratio:6.2f}  {step['peak_mb']:8.0f}")
    print(
        f"median  {statistics.median(step['seconds'] for step, _ in rounds):8.3f}  "
        f"{statistics.median(yardstick['seconds'] for _, yardstick in rounds):9.3f}  {statistics.median(ratios):6.2f}  "
        f"{max(step['peak_mb'] for step, _ in rounds):8.0f}"
    )


def run_part(part, arguments, work_dir):
    """Measures one part in a process of its own."""
    command = [sys.executable, __file__, f"--part={part}", f"--data_dir={arguments.data_dir}"]
    command += [f"--fine_tune_checkpoint={arguments.fine_tune_checkpoint}", f"--num_steps={arguments.num_steps}"]
    command += [f"--work_dir={work_dir}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.rpartition("RESULT ")[2])


def draw_data(folder):
    """Draws 64 images of 640 x 480 pixels and converts them."""
    from tfodhelper.dataset import shapes
    from tfodhelper.records import convert

    shapes.draw_dataset(folder / "images", 64, seed=1, scene=shapes.Scene(sizes=((640, 480),)))
    return convert.convert(convert.ConvertOptions(data_dir=folder / "images", output_dir=folder / "data")).output_dir


def measure_step(arguments):
    """Trains as `tfodhelper train` does; the median over stretches of five steps, the first left out."""
    from tfodhelper import tensorflow_setup

    tensorflow_setup.prepare_training()
    from tfodhelper.config import generate
    from tfodhelper.training import jobs
    from tfodhelper.training.options import TrainOptions

    base = generate.find_base(MODEL)
    checkpoint = None if arguments.fine_tune_checkpoint == "none" else arguments.fine_tune_checkpoint
    changes = ["model.ssd.freeze_batchnorm=true", "eval_config.num_examples=1"]
    pipeline, _ = generate.generate_pipeline(
        base,
        arguments.data_dir,
        num_steps=arguments.num_steps,
        batch_size=BATCH_SIZE,
        learning_rate=0.001,
        fine_tune_checkpoint=checkpoint,
        overrides=changes,
    )
    options = TrainOptions(eval_every=arguments.num_steps, log_every=5, strategy="cpu")
    with tempfile.TemporaryDirectory(dir=arguments.work_dir) as model_dir:
        result = jobs.train_model(pipeline, model_dir, options)
    return {"seconds": result.seconds_per_step, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def measure_yardstick(arguments):
    """Forward and backward of the stock MobileNet, median of the steps after five."""
    from tfodhelper import tensorflow_setup

    tensorflow_setup.quiet_tensorflow()
    import tensorflow as tf
    import tf_keras

    model = tf_keras.applications.MobileNet(
        input_shape=(SIZE_PX, SIZE_PX, 3), alpha=0.75, include_top=False, weights=None
    )
    images = tf.random.stateless_uniform([BATCH_SIZE, SIZE_PX, SIZE_PX, 3], seed=[1, 2])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(images, training=False) ** 2)
        return [tf.reduce_sum(gradient) for gradient in tape.gradient(loss, model.trainable_variables)]

    seconds = []
    for _ in range(arguments.num_steps):
        start = time.perf_counter()
        step()[-1].numpy()
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds[5:])}


if __name__ == "__main__":
    main()
