"""evaluate the checkpoints of a training on the validation set

    tfodhelper eval --pipeline_config_path=pipeline.config --model_dir=FOLDER [--checkpoint=PATH]

Takes the newest checkpoint of the model folder unless --checkpoint names another (a prefix such as
FOLDER/best/ckpt-600, or a folder). With --eval_timeout it waits for further checkpoints, as a second process beside a
training.
"""

from absl import flags

from tfodhelper import console
from tfodhelper.cli import flagging


def define_flags(fv):
    """Defines the flags of this verb."""
    flagging.define_path(fv, "model_dir", None, "Folder of the training; its eval folder gets the summaries.")
    flagging.define_pipeline_config_path(fv)
    flagging.define_path(fv, "checkpoint", None, "Checkpoint to evaluate, or a folder; else the newest of --model_dir.")
    flags.DEFINE_float(
        "eval_timeout", 0.0, "Seconds to wait for a further checkpoint; 0 evaluates once.", 0.0, flag_values=fv
    )
    flags.DEFINE_multi_string(
        "set", [], "Change one field, as in eval_config.batch_size=4; may be given several times.", flag_values=fv
    )
    flags.DEFINE_bool(
        "ignore_unsupported_fields",
        False,
        "Warn of unsupported fields and continue.",
        flag_values=fv,
    )
    flagging.define_strategy(fv)


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
    pipeline = overrides.apply_overrides(pipeline, fv.set)
    supported.check_supported(pipeline, ignore_unsupported_fields=fv.ignore_unsupported_fields)
    with console.process_log_in(fv.model_dir):
        for step, metrics in jobs.evaluate_model(
            pipeline, fv.model_dir, flagging.train_options(fv), fv.checkpoint, fv.eval_timeout
        ):
            jobs.say_evaluation(step, metrics)
    console.say_next(f"tensorboard --logdir={fv.model_dir}")
