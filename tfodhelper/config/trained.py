"""The configuration of a trained checkpoint, for verbs that take --trained_checkpoint_dir."""

import os
from typing import Any, NamedTuple

from tfodhelper import run_layout
from tfodhelper.config import label_maps, overrides, pipeline, supported


class Trained(NamedTuple):
    """A checkpoint and what describes it.

    Attributes:
      checkpoint: path of a folder or a prefix; of a run folder, its best checkpoint.
      config: a `TrainEvalPipelineConfig` message, with the overrides of the command.
      config_path: where it was read.
      label_map: path of the label map that was named; None without one.
    """

    checkpoint: str | os.PathLike[str]
    config: Any
    config_path: str | os.PathLike[str]
    label_map: str | os.PathLike[str] | None


def read_trained(options):
    """Reads and checks the configuration of a checkpoint, before TensorFlow is needed.

    Args:
      options: with trained_checkpoint_dir, pipeline_config_path, overrides, ignore_unsupported_fields and label_map.

    Returns:
      A `Trained`.

    Raises:
      UsageError, ConfigError, AnnotationError, StorageError.
    """
    checkpoint = run_layout.to_best_checkpoint(options.trained_checkpoint_dir)
    config_path = options.pipeline_config_path or pipeline.find_pipeline(checkpoint)
    config = overrides.apply_overrides(pipeline.read_pipeline(config_path), options.overrides)
    supported.check_supported(
        type(config)(model=config.model), ignore_unsupported_fields=options.ignore_unsupported_fields
    )
    return Trained(checkpoint, config, config_path, label_maps.find_label_map(options.label_map))
