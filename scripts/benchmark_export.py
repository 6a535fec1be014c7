#!/usr/bin/env python3
"""Seconds for writing and for loading the export of a model, compared with another state of this project.

    python scripts/benchmark_export.py --against=OTHER_CHECKOUT [--model=NAME] [--rounds=3]

The model has random weights. "export" is everything that the verb does once the weights are there, with reading the
SavedModel back; "load" is `tf.saved_model.load`; "first image" is the first call of serving_default. Writing and
loading have a process each, the two states take turns, and the seconds are those of the processor, without imports.
The table shows medians, and the size of saved_model.pb, which is the program without its weights.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


def main():
    """Runs the rounds and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", required=True, help="folder with another state of this project")
    parser.add_argument("--model", default="ssd_mobilenet_v1_coco_2018_01_28")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", choices=("write", "load"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        part = {"write": write, "load": load}[arguments.part]
        print("RESULT " + json.dumps(part(arguments.model, pathlib.Path(arguments.folder))))
        return
    rows = {"this": [], "other": []}
    for number in range(1, arguments.rounds + 1):
        for name, checkout in (("this", ROOT), ("other", pathlib.Path(arguments.against).resolve())):
            rows[name].append(measure(checkout, arguments.model))
            print(f"round {number}, {name}: {rows[name][-1]}", flush=True)
    print(f"{'':>14}  {'this':>8}  {'other':>8}  {'ratio':>6}")
    for key in rows["this"][0]:
        this, other = (statistics.median(row[key] for row in rows[name]) for name in ("this", "other"))
        print(f"{key:>14}  {this:8.2f}  {other:8.2f}  {this / other:6.2f}")


def measure(checkout, model):
    """{what: processor seconds, or MB} of a state of the project."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in ("write", "load"):
            command = [sys.executable, __file__, f"--part={part}", f"--folder={folder}", f"--model={model}"]
            environment = {**os.environ, "PYTHONPATH": str(checkout), "TF_CPP_MIN_LOG_LEVEL": "3"}
            done = subprocess.run(
                [*command, "--against=."], env=environment, cwd=checkout, capture_output=True, text=True
            )
            if done.returncode:
                sys.exit(f"{checkout}: {part} failed\n{done.stderr[-2000:]}")
            (line,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT "))
            figures |= json.loads(line.removeprefix("RESULT "))
    return figures


def write(model, folder):
    """Exports a new detector into the folder."""
    from tfodhelper import tensorflow_setup

    tensorflow_setup.prepare_training()
    from tfodhelper.config import pipeline as pipelines
    from tfodhelper.exporting import saved_model
    from tfodhelper.models import build
    from tfodhelper.zoo import base_configs

    pipeline = pipelines.read_pipeline(base_configs.base_pipeline_path(model))
    detector = build.build_detector(pipeline.model, is_training=False)
    start = time.process_time()
    saved_model.export_saved_model(detector, pipeline, folder / "export")
    size = (folder / "export" / "saved_model" / "saved_model.pb").stat().st_size
    return {"export, s": time.process_time() - start, "program, MB": size / 1e6}


def load(model, folder):
    """Loads it and detects in one image of noise."""
    del model
    import numpy as np
    import tensorflow as tf

    image = np.random.RandomState(0).randint(0, 256, [1, 300, 300, 3]).astype(np.uint8)
    start = time.process_time()
    detect = tf.saved_model.load(str(folder / "export" / "saved_model")).signatures["serving_default"]
    loaded = time.process_time()
    detect(tf.constant(image))
    return {"load, s": loaded - start, "first image, s": time.process_time() - loaded}


if __name__ == "__main__":
    main()
