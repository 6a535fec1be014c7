#!/usr/bin/env python3
"""Images per second of the pool prediction, compared with a loop over single images through the same SavedModel.

    python scripts/benchmark_pool.py --saved_model_dir=EXPORT --image_dir=IMAGES [--num_images=1000] [--rounds=3]

The loop is what a simple program does with a SavedModel: read a file, decode it, call `serving_default` with one image,
get the arrays. The pool prediction is everything that `active predict` does: each call has a core of its own, and
detections, doubts and features are written in parts. With --verb=round it is that of `active round`, whose process has
trained before, with all cores for each operation. Both see the same files in the same order, in turn, each in its own
process; loading the model and the first calls are not counted. The images of a folder are repeated until there are
enough; use many of them on a machine with other work.

--memory_at=1000,10000 runs only the pool prediction, on that many images, and compares its memory use.
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PARTS = ("loop", "pool")
WARM_UP = 24  # images


def main():
    """Runs the rounds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--saved_model_dir", required=True)
    parser.add_argument(
        "--image_dir", required=True, help="folder, searched with its subfolders; several separated by commas"
    )
    parser.add_argument("--num_images", type=int, default=1000)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--score_threshold", type=float, default=0.05)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--verb", choices=("predict", "round"), default="predict")
    parser.add_argument("--memory_at", help="numbers of images with commas: measure memory instead")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        print("RESULT " + json.dumps(measure(arguments)))
    elif arguments.memory_at:
        compare_memory(arguments)
    else:
        compare_speed(arguments)


def compare_speed(arguments):
    """Prints images per second of each part in each round, and the medians of their ratios."""
    print(f"{'round':>6}  {'loop':>7}  {'pool':>7}  {'pool/loop':>9}  images/s")
    rounds = []
    for number in range(1, arguments.rounds + 1):
        rates = {part: run_part(part, arguments)["rate"] for part in PARTS}
        rounds.append(rates)
        print_rates(number, rates)
    print_rates("median", {part: statistics.median(rates[part] for rates in rounds) for part in PARTS})
    print(f"median of the ratios: {statistics.median(rates['pool'] / rates['loop'] for rates in rounds):.2f}")


def print_rates(name, rates):
    """Prints one line of the table."""
    print(f"{name:>6}  {rates['loop']:7.1f}  {rates['pool']:7.1f}  {rates['pool'] / rates['loop']:9.2f}", flush=True)


def compare_memory(arguments):
    """Prints the memory of the pool prediction over pools of different sizes."""
    print(f"{'images':>7}  {'images/s':>8}  {'peak MB':>8}  {'at a quarter':>12}  {'at the end':>10}")
    for count in arguments.memory_at.split(","):
        arguments.num_images = int(count)
        seen = run_part("pool", arguments)
        memory = f"{seen['peak_mb']:8.0f}  {seen['quarter_mb']:12.0f}  {seen['end_mb']:10.0f}"
        print(f"{count:>7}  {seen['rate']:8.1f}  {memory}", flush=True)


def run_part(part, arguments):
    """Runs this script for one part in a process of its own; returns what it measured."""
    command = [sys.executable, __file__, f"--part={part}"]
    for name in ("saved_model_dir", "image_dir", "num_images", "batch_size", "score_threshold", "verb"):
        command.append(f"--{name}={getattr(arguments, name)}")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.split("RESULT ")[1])


def measure(arguments):
    """Measures one part in this process."""
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
    from tfodhelper import tensorflow_setup

    tensorflow_setup.quiet_tensorflow()
    if arguments.verb == "round":
        tensorflow_setup.give_sessions_own_threads()
    paths = find_images(arguments)
    if arguments.part == "loop":
        return {"rate": measure_loop(arguments.saved_model_dir, paths)}
    return measure_pool(arguments, paths)


def find_images(arguments):
    """Paths of as many images as asked for."""
    from tfodhelper.prediction import sources

    paths = [str(source.path) for source in sources.find_images(arguments.image_dir.split(","), print)]
    return [paths[number % len(paths)] for number in range(arguments.num_images)]


def measure_loop(saved_model_dir, paths):
    """Images per second of one call after the other."""
    import tensorflow as tf

    from tfodhelper.prediction import saved_models

    model = tf.saved_model.load(str(saved_models.find_saved_model(saved_model_dir)))
    detect = model.signatures["serving_default"]
    ((name, _),) = detect.structured_input_signature[1].items()

    def predict(path):
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return {key: value.numpy() for key, value in detect(**{name: image[tf.newaxis]}).items()}

    for path in paths[:WARM_UP]:
        predict(path)
    start = time.monotonic()
    for path in paths:
        predict(path)
    return len(paths) / (time.monotonic() - start)


def measure_pool(arguments, paths):
    """Images per second and memory of `predict_pool`."""
    from tfodhelper.active_learning.pool import pool_predictor
    from tfodhelper.active_learning.structures import PoolImage
    from tfodhelper.prediction import servable

    if arguments.verb == "predict":
        servable.run_each_call_on_one_core()

    class WarmModel(pool_predictor.PoolModel):
        """Loads, and predicts a few images, before the clock starts."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            for _ in self.predict([PoolImage(path, path) for path in paths[:WARM_UP]]):
                pass

    pool_predictor.PoolModel = WarmModel
    with tempfile.TemporaryDirectory() as folder, Watch() as watch:
        report = pool_predictor.predict_pool(
            [PoolImage(f"{number:07d}", path) for number, path in enumerate(paths)],
            arguments.saved_model_dir,
            folder,
            batch_size=arguments.batch_size,
            score_threshold=arguments.score_threshold,
        )
    return {
        "rate": report.num_predicted / report.seconds,
        "unreadable": report.num_unreadable,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "quarter_mb": watch.seen[len(watch.seen) // 4],
        "end_mb": watch.seen[-1],
    }


class Watch:
    """Notes the memory of this process twice a second."""

    def __init__(self):
        import psutil

        self._process, self._over, self.seen = psutil.Process(), threading.Event(), []

    def __enter__(self):
        self._thread = threading.Thread(target=self._note)
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._over.set()
        self._thread.join()

    def _note(self):
        while True:
            self.seen.append(self._process.memory_info().rss / (1 << 20))
            if self._over.wait(0.5):
                return


if __name__ == "__main__":
    main()
