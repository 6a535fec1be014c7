"""Options for a configuration."""

import dataclasses

from tfodhelper import errors, options

AUTO = "auto"  # batch size: what fits into memory
ZOO, SCRATCH = "zoo", "none"  # where training starts: the published weights, or random weights


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChangeOptions(options.Options):
    """Changes of single fields of a pipeline.config."""

    title = "Model and configuration"

    overrides: options.Texts = options.option(
        (),
        "Changes one field of the configuration, such as train_config.batch_size=4. May be repeated.",
        flag="set",
    )
    ignore_unsupported_fields: bool = options.option(
        False, "Warns about unsupported fields and continues.", former="allow_unhonoured"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions(options.Options):
    """Which model, and how its configuration is filled in."""

    title = "Model and configuration"

    model: str | None = options.option(None, "Model of the zoo; `tfodhelper zoo` lists them.")
    pipeline_config_path: options.Path | None = options.option(
        None, "A pipeline.config of your own to start from, instead of the model's."
    )
    num_steps: int | None = options.option(
        None,
        "Number of training steps; when omitted, chosen from the number of images; 0 evaluates and exports the "
        "starting weights.",
        least=0,
    )
    batch_size: int | str | None = options.option(
        None,
        "Images per step; when omitted, chosen for the model; auto is the largest power of two whose step takes at "
        "most 0.6 of the free memory.",
        words=(AUTO,),
        least=1,
    )
    learning_rate: float | None = options.option(
        None, "Base learning rate; when omitted, the model's, scaled to the batch size."
    )
    fine_tune_checkpoint: options.Path = options.option(
        ZOO,
        "Where training starts: zoo (the published weights of the model), the path of a checkpoint, or none (random "
        "weights).",
        words=(ZOO, SCRATCH),
    )
    cache_dir: options.Path | None = options.option(
        None,
        "Folder for downloaded models; when omitted, $TFODHELPER_CACHE or ~/.cache/tfodhelper.",
        may_change=True,
    )

    def check_model(self):
        """Checks that a model is given.

        Raises:
          UsageError: neither a model of the zoo nor a pipeline.config is given.
        """
        if self.model is None and self.pipeline_config_path is None:
            raise errors.UsageError(
                "no model is given",
                expected="--model=NAME, or --pipeline_config_path=FILE",
                fix="`tfodhelper zoo` lists the models",
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConfigOptions(ChangeOptions, ModelOptions):
    """Which model, and what changes in its pipeline.config."""

    title = "Model and configuration"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WriteConfigOptions(ConfigOptions):
    """Options of the verb `config`."""

    title = "Folders"

    data_dir: options.Path = options.option(options.REQUIRED, "Folder that `tfodhelper convert` has written.")
    output_dir: options.Path | None = options.option(None, "Folder for the pipeline.config; when omitted, --data_dir.")
