"""exported models side by side: precision, speed, memory, size

    tfodhelper benchmark runs/first tflite/detector_int8.tflite --data_dir=runs/first

Models are SavedModels, exports, runs (their best export), archives of the zoo, and .tflite files. Each is
measured in a process of its own: mAP on the labelled images, milliseconds per image, one image per call, the most
memory that the process occupied, the size of the model, and the time until it is loaded. Close other programs first.

--output_dir receives benchmark.html, benchmark.csv and benchmark.json.
"""

from tfodhelper.benchmarking.options import BenchmarkOptions
from tfodhelper.cli import option_flags


def define_flags(fv):
    """Defines the verb's flags."""
    option_flags.define_flags(fv, BenchmarkOptions)


def main(fv, args):
    """Runs the verb."""
    options = option_flags.read_options(fv, BenchmarkOptions, models=tuple(args))
    from tfodhelper.benchmarking import compare_models

    compare_models.benchmark(options)
