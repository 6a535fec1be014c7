"""write the pipeline.config of a model for a converted data set

    tfodhelper convert --data_dir=FOLDER --output_dir=data
    tfodhelper config --model=ssd_mobilenet_v1 --data_dir=data --output_dir=training

Fills in what follows from the data: number of classes, paths, number of evaluation images. It says what it chose: the
batch size with the learning rate scaled to it, the number of steps with the schedule scaled to them, and the checkpoint
to start from. --set changes any field, such as --set train_config.batch_size=4, and takes precedence.
"""

from tfodhelper import console, invocation
from tfodhelper.cli import flagging, option_flags
from tfodhelper.config.options import WriteConfigOptions


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, WriteConfigOptions)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, WriteConfigOptions)
    from tfodhelper.config import configuration
    from tfodhelper.training import batch_size

    path = configuration.write_config(options, batch_size.find_batch_size)
    flags = {"pipeline_config_path": path, "model_dir": path.parent / "checkpoints"}
    console.say_next(invocation.format_command("train", **flags))
