"""evaluate the checkpoints of a training on the validation set

    tfodhelper eval --model_dir=FOLDER [--pipeline_config_path=pipeline.config] [--checkpoint=PATH]

Evaluates the newest checkpoint of the model folder unless --checkpoint names another (a prefix such as
FOLDER/best/ckpt-600, or a folder). With --eval_timeout it waits for further checkpoints, as a second process next to a
training.

With --tiles, the checkpoint is exported to a temporary folder, and the objects in the validation images are found as
`predict` with the same flags finds them. Losses, which only whole images have, are then not computed.
"""

from tfodhelper import console, invocation, run_layout, tensorflow_setup
from tfodhelper.cli import flagging, option_flags
from tfodhelper.training.options import EvalOptions


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, EvalOptions)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, EvalOptions)
    tensorflow_setup.prepare_training()
    from tfodhelper import tile_evaluation
    from tfodhelper.training import jobs

    evaluate = jobs.evaluate if options.tiles is None else tile_evaluation.evaluate
    for step, metrics in evaluate(options):
        jobs.say_evaluation(step, metrics)
    console.say_next(invocation.tensorboard_command(run_layout.to_training(options.model_dir)))
