"""all in one: convert, config, train with evaluation, export

    tfodhelper run --data_dir=FOLDER --model=ssd_mobilenet_v1

Turns images with LabelImg XML files into a trained, evaluated and exported detector. Everything goes into one run
folder, runs/MODEL unless --output_dir names another. Nothing is ever overwritten; the same command goes on with a run
that was interrupted.
"""

from tfodhelper import errors
from tfodhelper.cli import flagging


def define_flags(fv):
    """Defines the flags of this verb."""
    flagging.define_data_flags(fv)
    flagging.define_check_flags(fv)
    flagging.define_num_shards(fv)
    flagging.define_reading(fv, "full")
    flagging.define_model_flags(fv)
    flagging.define_pipeline_config_path(fv, "A pipeline.config of your own to start from, instead of the model's.")
    flagging.define_training_flags(fv)
    flagging.define_seed(fv)
    flagging.define_output_dir(fv, "The run folder; runs/MODEL, or the next free name, when left out.")


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    if fv.model is None and fv.pipeline_config_path is None:
        raise errors.UsageError(
            "no model is named",
            expected="--model=NAME, or --pipeline_config_path=FILE",
            fix="tfodhelper zoo lists the models",
        )
    from tfodhelper import run_folder

    run_folder.run(
        run_folder.RunOptions(
            data=flagging.data_options(fv),
            model=fv.model,
            pipeline_config_path=fv.pipeline_config_path,
            num_steps=fv.num_steps,
            batch_size=fv.batch_size,
            learning_rate=fv.learning_rate,
            fine_tune_checkpoint=fv.fine_tune_checkpoint,
            overrides=tuple(fv.set),
            eval_every=fv.eval_every,
            checkpoint_every=fv.checkpoint_every,
            seed=fv.seed,
            sampling=fv.sampling,
            negatives=fv.negatives,
            strategy=fv.strategy,
            tpu_address=fv.tpu_address,
            cache_dir=fv.cache_dir,
            ignore_unsupported_fields=fv.ignore_unsupported_fields,
            output_dir=fv.output_dir,
        )
    )
