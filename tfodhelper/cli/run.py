"""all in one: convert, config, train with evaluation, export

    tfodhelper run --data_dir=FOLDER --model=ssd_mobilenet_v1

Turns images with LabelImg XML files into a trained, evaluated and exported detector. Without --data_dir, the images are
looked for in the current folder. Everything goes into one run folder, runs/MODEL unless --output_dir names another.
Nothing is ever overwritten; the same command resumes a run that was interrupted.
"""

from tfodhelper import run_folder, run_options
from tfodhelper.cli import flagging, option_flags


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, run_options.RunOptions)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    run_folder.run(option_flags.read_options(fv, run_options.RunOptions))
