"""train by a pipeline.config, with evaluation every few steps; goes on after an interruption

    tfodhelper train --pipeline_config_path=pipeline.config --model_dir=FOLDER

The model folder gets checkpoints (ckpt-N), the weights of the best and of the last evaluation (best, last), event files
for TensorBoard (train, eval), results.csv and results.png. Starting the same command again goes on from the newest
checkpoint.

When memory runs out, lower train_config.batch_size, then, of two-stage detectors,
model.faster_rcnn.second_stage_batch_size and model.faster_rcnn.first_stage_max_proposals, then the image_resizer. On a
CPU Linux may end the process without a word (exit status 137): the same is to be done.
"""

from absl import flags

from tfodhelper import console, errors
from tfodhelper.cli import flagging


def define_flags(fv):
    """Defines the flags of this verb."""
    flagging.define_path(fv, "model_dir", None, "Folder of checkpoints and event files.")
    flagging.define_pipeline_config_path(fv)
    flags.DEFINE_integer("num_steps", None, "Steps of training; else as the configuration says.", 1, flag_values=fv)
    flagging.define_path(
        fv, "fine_tune_checkpoint", None, "A path to a checkpoint, or none; else as the configuration says."
    )
    flags.DEFINE_multi_string(
        "set", [], "Change one field, as in train_config.batch_size=4; may be given several times.", flag_values=fv
    )
    flags.DEFINE_bool(
        "ignore_unsupported_fields",
        False,
        "Warn of unsupported fields and continue.",
        flag_values=fv,
    )
    flagging.define_training_flags(fv)
    flagging.define_seed(fv)


def main(fv, args):
    """Runs the verb."""
    from tfodhelper import tensorflow_setup

    flagging.refuse_arguments(args)
    flagging.require(fv, "model_dir", "pipeline_config_path")
    tensorflow_setup.quiet_tensorflow()
    from tfodhelper.config import overrides, supported
    from tfodhelper.config import pipeline as pipelines
    from tfodhelper.training import jobs

    pipeline = pipelines.read_pipeline(fv.pipeline_config_path)
    if fv.num_steps:
        pipeline.train_config.num_steps = fv.num_steps
    if fv.fine_tune_checkpoint == "zoo":
        raise errors.UsageError("--fine_tune_checkpoint=zoo belongs to the verbs config and run, which know the model")
    if fv.fine_tune_checkpoint:
        pipeline.train_config.fine_tune_checkpoint = (
            "" if fv.fine_tune_checkpoint == "none" else fv.fine_tune_checkpoint
        )
    pipeline = overrides.apply_overrides(pipeline, fv.set)
    supported.check_supported(pipeline, ignore_unsupported_fields=fv.ignore_unsupported_fields)
    with console.process_log_in(fv.model_dir), console.phase("train"):
        result = jobs.train_model(pipeline, fv.model_dir, flagging.train_options(fv, pipeline.train_config.num_steps))
    console.say_next(
        f"tensorboard --logdir={fv.model_dir}",
        f"tfodhelper export --pipeline_config_path={fv.pipeline_config_path} "
        f"--trained_checkpoint_dir={fv.model_dir}/best --output_directory=exported",
    )
    return 0 if result.step else 1
