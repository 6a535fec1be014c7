"""Makes a complete pipeline.config from `ConfigOptions` and a converted folder."""

import dataclasses
import pathlib

from tfodhelper import console, errors, families, storage
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.config import checks, generate, overrides
from tfodhelper.config import pipeline as pipelines
from tfodhelper.config.options import AUTO, ZOO
from tfodhelper.zoo import cache


@dataclasses.dataclass(frozen=True)
class Start:
    """The starting point of a configuration.

    Attributes:
      base: a `generate.Base`.
      checkpoint: prefix of the checkpoint that training starts from, or None.
    """

    base: generate.Base
    checkpoint: str | None


def find_start(chosen):
    """Finds the base and the checkpoint, which is downloaded if necessary, and checks the changes of fields.

    Args:
      chosen: a `ConfigOptions`.

    Returns:
      A `Start`.

    Raises:
      UsageError, ZooError, ConfigError, CheckpointError: a model, field or checkpoint does not exist.
    """
    base = _find_base(chosen)
    return Start(base, generate.find_fine_tune_checkpoint(base, chosen.fine_tune_checkpoint, chosen.cache_dir))


def check_start(chosen):
    """Checks the same as `find_start`, without downloading anything."""
    base = _find_base(chosen)
    if chosen.fine_tune_checkpoint == ZOO and base.model is not None:
        cache.check_published(base.model)
    else:
        generate.find_fine_tune_checkpoint(base, chosen.fine_tune_checkpoint, chosen.cache_dir)


def _find_base(chosen):
    """The base, when what it says with the changes of fields can be used, whatever the data are."""
    named = {change.partition("=")[0].strip() for change in chosen.overrides}
    if chosen.batch_size == AUTO and "train_config.batch_size" in named:
        raise errors.UsageError(
            "--batch_size=auto has no effect with --set train_config.batch_size", fix="leave out one of them"
        )
    base = generate.find_base(chosen.model, chosen.pipeline_config_path)
    changed = overrides.apply_overrides(base.pipeline, chosen.overrides)
    architecture = families.find_family(changed.model) and families.architecture_of(changed.model)
    if architecture is not None:
        architecture.num_classes = max(1, architecture.num_classes)  # that of the data, once they are known
    checks.check_pipeline(changed, chosen.ignore_unsupported_fields, says=False)
    return base


def check_with_data(chosen, data):
    """Checks whether the configuration will fit converted images, without downloading anything.

    Args:
      chosen: a `ConfigOptions`.
      data: see `generate.generate_pipeline`.

    Returns:
      The TrainEvalPipelineConfig message without a checkpoint.

    Raises:
      ConfigError: fields are not supported, or do not fit the data.
    """
    batch_size = 1 if chosen.batch_size == AUTO else chosen.batch_size
    pipeline, _ = _generate(chosen, Start(_find_base(chosen), None), data, batch_size)
    _check(chosen, pipeline, says=False)
    return pipeline


def make_pipeline(chosen, start, data, measure):
    """Makes the configuration and prints the notes about it.

    Args:
      chosen: a `ConfigOptions`.
      start: a `Start`.
      data: see `generate.generate_pipeline`.
      measure: (TrainEvalPipelineConfig message, number of training images) -> batch size that fits into memory; called
        for --batch_size=auto.

    Returns:
      A TrainEvalPipelineConfig message.

    Raises:
      ConfigError: fields are not supported, or do not fit the data.
    """
    batch_size = chosen.batch_size
    if batch_size == AUTO:
        pipeline, _ = _generate(chosen, start, data, batch_size=1)
        batch_size = measure(pipeline, generate.to_facts(data).num_train)
    pipeline, notes = _generate(chosen, start, data, batch_size)
    for note in notes:
        console.say(note)
    _check(chosen, pipeline)
    return pipeline


def measure_once(path, measure):
    """`measure`, unless there is a file: then the batch size in it, so that a resumed job keeps what it measured.

    Args:
      path: of the pipeline.config that is going to be written.
      measure: see `make_pipeline`.
    """
    if pathlib.Path(path).is_file():
        batch_size = pipelines.read_pipeline(path).train_config.batch_size
        console.say(f"batch size: {batch_size}, as {path} has it")
        return lambda pipeline, num_images: batch_size
    return measure


def _generate(chosen, start, data, batch_size):
    return generate.generate_pipeline(
        start.base,
        data,
        num_steps=chosen.num_steps,
        batch_size=batch_size,
        learning_rate=chosen.learning_rate,
        fine_tune_checkpoint=start.checkpoint,
        overrides=chosen.overrides,
    )


def _check(chosen, pipeline, says=True):
    label_map = label_maps.read_label_map(pipeline.eval_input_reader[0].label_map_path)
    checks.check_pipeline(pipeline, chosen.ignore_unsupported_fields, [item.name for item in label_map], says)


def write_config(chosen, measure=None):
    """Writes the pipeline.config of a model for a converted folder: implements the verb `config`.

    Args:
      chosen: a `WriteConfigOptions`.
      measure: see `make_pipeline`.

    Returns:
      The path of the file as pathlib.Path.

    Raises:
      StorageError: a file with other content exists; it is never overwritten.
    """
    base = _find_base(chosen)
    facts = generate.read_data_facts(chosen.data_dir)
    checkpoint = generate.find_fine_tune_checkpoint(base, chosen.fine_tune_checkpoint, chosen.cache_dir)
    path = storage.make_folder(chosen.output_dir or chosen.data_dir) / "pipeline.config"
    pipeline = make_pipeline(chosen, Start(base, checkpoint), facts, measure_once(path, measure))
    _write(path, pipelines.format_pipeline(pipeline))
    return path


def _write(path, text):
    if path.exists():
        if pathlib.Path(path).read_text(encoding="utf-8", errors="replace") != text:
            raise errors.StorageError(
                f"{path}: already exists with different content",
                fix="use another folder for --output_dir, or remove the file",
            )
        console.say(f"{path}: already exists with the same content")
        return
    storage.write_text(path, text)
    console.say(f"written: {path}")
