"""write the page about a finished run again

    tfodhelper report runs/first

`run` writes it at its end. report.html is one file that fetches nothing: what the run was trained on, the curves of the
training, a table of classes with AP, precision, recall, F1 and the best threshold, curves over the score threshold,
confusion, errors by kind, the worst images with their boxes, the speed, the environment, the configuration, and the
command that repeats the run. The folder figures/ receives its pictures.
"""

from tfodhelper.cli import option_flags
from tfodhelper.reporting.options import ReportOptions


def define_flags(fv):
    """Defines the verb's flags."""
    option_flags.define_flags(fv, ReportOptions)


def main(fv, args):
    """Runs the verb."""
    options = option_flags.read_options(fv, ReportOptions, runs=tuple(args))
    from tfodhelper.reporting import write

    for folder in options.folders:
        write.write_report(folder)
