"""train by a pipeline.config, with evaluation every few steps; resumes after an interruption

    tfodhelper train --pipeline_config_path=pipeline.config --model_dir=FOLDER

The model folder receives checkpoints (ckpt-N), the weights of the best and of the last evaluation (best, last), event
files for TensorBoard (train, eval), results.csv and results.png, and losses.jsonl, from which a resumed training knows
the losses before. The same command resumes from the newest checkpoint.

Before the first step, the boxes that would be left out are counted: their class is not in the label map, or their
corners are not fractions of the image. If none is left, it is an error, otherwise a warning.

If memory runs out, lower train_config.batch_size, then, for two-stage detectors,
model.faster_rcnn.second_stage_batch_size and model.faster_rcnn.first_stage_max_proposals, then the image_resizer. On a
CPU, Linux may end the process without a message (exit status 137); the remedy is the same.
"""

from tfodhelper import console, invocation, tensorflow_setup
from tfodhelper.cli import flagging, option_flags
from tfodhelper.training.options import TrainJobOptions


def define_flags(fv):
    """Defines the flags of this verb."""
    option_flags.define_flags(fv, TrainJobOptions)


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    options = option_flags.read_options(fv, TrainJobOptions)
    tensorflow_setup.prepare_training()
    from tfodhelper.training import jobs

    jobs.train(options)
    console.say_next(
        invocation.tensorboard_command(options.model_dir),
        invocation.format_command(
            "export",
            pipeline_config_path=options.pipeline_config_path,
            trained_checkpoint_dir=f"{options.model_dir}/best",
            output_directory="exported",
        ),
    )
