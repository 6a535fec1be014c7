"""Shows how far lower precision moves losses: of untrained networks, and over a training.

    python scripts/compare_precision.py [--learning_rates=0.001,0.01]

First the total loss of one step of every kind of network, untrained and of small size, with two small images; then 100
steps of a quarter of SSD MobileNet V1 at 96 x 96 from scratch, on drawn images, the same weights and images for each
precision. All figures are changes against float32. Both are what the tests take: tests/models/test_precision.py and
tests/training/test_precision_losses.py.
"""

import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from tfodhelper import console, tensorflow_setup  # noqa: E402

KINDS = ("bfloat16", "float16")


def main():
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learning_rates", default="0.001,0.01")
    rates = parser.parse_args().learning_rates.split(",")
    tensorflow_setup.quiet_tensorflow()
    print(console.format_table(("network, untrained", *KINDS), compare_networks(), numbers=(1, 2)))
    header = ("learning rate", "precision", "mean of all steps", "most of ten steps")
    print(console.format_table(header, compare_trainings(rates), numbers=(2, 3)))


def compare_networks():
    """Rows: the network, and the change of its loss for each precision."""
    import tensorflow as tf

    from tests.models import test_precision

    def total(name, kind):
        return float(tf.add_n(list(test_precision.step(name, kind)[2].values())))

    for name in sorted({*test_precision.first_of_each_network(), *test_precision.NAMES}):
        exact = total(name, "float32")
        yield name, *(f"{total(name, kind) / exact - 1:.2%}" for kind in KINDS)


def compare_trainings(rates):
    """Rows: learning rate, precision, the change of the mean loss, and the largest of the means of ten steps."""
    import numpy as np

    from tests.training import test_precision_losses, tiny

    with tempfile.TemporaryDirectory() as folder:
        data = tiny.make_data(pathlib.Path(folder))
        for rate in rates:
            pipeline = tiny.make_pipeline(data, tiny._OPTIMIZER.replace("0.01", rate))
            exact = test_precision_losses.train(pipeline, "float32")
            for kind in KINDS:
                losses = test_precision_losses.train(pipeline, kind)
                ours, others = (values.reshape(-1, 10).mean(axis=1) for values in (losses, exact))
                yield rate, kind, f"{losses.mean() / exact.mean() - 1:.2%}", f"{np.abs(ours / others - 1).max():.2%}"


if __name__ == "__main__":
    main()
