"""finished runs side by side: figures, curves, classes, and what differs in their settings

    tfodhelper compare runs/first runs/second --output_dir=comparison

Prints the figures of the best checkpoints, the AP50 of each class with the difference between the last and the first
run, and all settings and fields of the configuration in which the runs differ.

--output_dir receives
  comparison.html   all of it on one page, with the curves of all runs
  curves.png        losses and average precision of all runs
  figures.csv, classes.csv, differences.csv, comparison.json
                    the same for other programs
"""

from tfodhelper.cli import option_flags
from tfodhelper.reporting.options import CompareOptions


def define_flags(fv):
    """Defines the verb's flags."""
    option_flags.define_flags(fv, CompareOptions)


def main(fv, args):
    """Runs the verb."""
    options = option_flags.read_options(fv, CompareOptions, runs=tuple(args))
    from tfodhelper.reporting import compare

    compare.compare(options)
