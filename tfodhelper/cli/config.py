"""write the pipeline.config of a model for a converted data set

    tfodhelper convert --data_dir=FOLDER --output_dir=data
    tfodhelper config --model=ssd_mobilenet_v1 --data_dir=data --output_dir=training

Fills in what follows from the data: number of classes, paths, number of evaluation images; and says what it chose:
batch size with the learning rate scaled to it, steps with the schedule scaled to them, the checkpoint to start from.
--set changes any field, for instance --set train_config.batch_size=4, and has the last word.
"""

import pathlib

from tfodhelper import console, errors, storage
from tfodhelper.cli import flagging


def define_flags(fv):
    """Defines the flags of this verb."""
    flagging.define_model_flags(fv)
    flagging.define_path(fv, "data_dir", None, "Folder that `tfodhelper convert` has written.")
    flagging.define_output_dir(fv, "Folder for the pipeline.config; that of the data when left out.")
    flagging.define_pipeline_config_path(fv, "A pipeline.config of your own to start from, instead of the model's.")


def main(fv, args):
    """Runs the verb."""
    flagging.refuse_arguments(args)
    flagging.require(fv, "data_dir")
    from tfodhelper.config import generate, supported
    from tfodhelper.config import pipeline as pipelines

    base = generate.find_base(fv.model, fv.pipeline_config_path)
    generate.check_overrides(base, fv.set)
    facts = generate.read_data_facts(fv.data_dir)
    checkpoint = generate.find_fine_tune_checkpoint(base, fv.fine_tune_checkpoint, fv.cache_dir)
    pipeline, notes = generate.generate_pipeline(
        base,
        facts,
        num_steps=fv.num_steps,
        batch_size=fv.batch_size,
        learning_rate=fv.learning_rate,
        fine_tune_checkpoint=checkpoint,
        overrides=fv.set,
    )
    for note in notes:
        console.say(note)
    supported.check_supported(pipeline, ignore_unsupported_fields=fv.ignore_unsupported_fields)
    path = storage.make_folder(fv.output_dir or fv.data_dir) / "pipeline.config"
    _write(path, pipelines.format_pipeline(pipeline))
    console.say_next(f"tfodhelper train --pipeline_config_path={path} --model_dir={path.parent / 'checkpoints'}")


def _write(path, text):
    """Writes the file; one that is there already is never overwritten by another text."""
    if path.exists():
        if pathlib.Path(path).read_text(encoding="utf-8", errors="replace") != text:
            raise errors.StorageError(
                f"{path}: is there already, with other content",
                fix="name another folder with --output_dir, or remove the file",
            )
        console.say(f"{path}: is there already, the same")
        return
    storage.write_text(path, text)
    console.say(f"written: {path}")
