"""The options of training and evaluation; importing this module does not import TensorFlow.

A new training option is one line in `TrainOptions`. From it are derived the flag of `train`, `run`, `active init`,
`active round` and `active run`, the entry in run.json and workspaces, and the attribute that the training loop reads.
"""

import dataclasses

from tfodhelper import errors, jpeg_dct, options
from tfodhelper.config.options import SCRATCH, ChangeOptions
from tfodhelper.events import NotifyOptions
from tfodhelper.families import roles
from tfodhelper.inputs.options import MixtureOptions, SamplingOptions

PRECISIONS = {
    "float32": "all in float32",
    "bfloat16": "layers in bfloat16, which TPUs and newer GPUs and processors compute faster",
    "float16": "layers in float16, with the loss scaled so that small gradients are kept; for GPUs",
}
STRATEGIES = {
    "auto": "all GPUs of this machine, or its CPU",
    "cpu": "the CPU",
    "gpu": "one GPU",
    "mirrored": "all GPUs of this machine",
    "multi_worker": "several machines, as the environment variable TF_CONFIG says",
    "tpu": "a TPU",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceOptions(options.Options):
    """Which devices to use."""

    title = "Devices"

    strategy: str = options.option("auto", "Which devices are used.", choices=STRATEGIES, may_change=True)
    tpu_address: str | None = options.option(
        None,
        "Name or gRPC address of the TPU, for --strategy=tpu; when omitted, the TPU of this machine.",
        may_change=True,
        only_with=("strategy", "tpu"),
    )
    jit: bool = options.option(
        False,
        "Compiles what is computed for a batch with XLA, which needs images of one size; on a TPU it always is.",
        may_change=True,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions(DeviceOptions, MixtureOptions, SamplingOptions):
    """How to train, apart from what pipeline.config says.

    Attributes:
      log_every: steps between points of the training curves.
      keep_checkpoints: how many of the newest checkpoints to keep.
    """

    title = "Training"

    eval_every: int | None = options.option(
        None, "Steps between evaluations; when omitted, a tenth of all steps.", least=1
    )
    time: float | None = options.option(
        None,
        "Hours that the training may take, evaluations included: the number of steps and the learning-rate schedule "
        "are chosen accordingly, after steps and an evaluation have been measured.",
        least=0.001,
        not_with=("num_steps",),
    )
    patience: int | None = options.option(
        None,
        "Ends the training after this many evaluations without improvement of --best_metric.",
        least=1,
        may_change=True,
    )
    best_metric: str = options.option(
        "eval/DetectionBoxes_Precision/mAP",
        "The figure that decides which checkpoint is the best one, and that --patience watches: a column of "
        "results.csv; losses improve when they fall, other figures when they rise.",
        may_change=True,
        former="patience_metric",
    )
    checkpoint_every: int | None = options.option(
        None, "Steps between checkpoints; when omitted, one at each evaluation and at least every 1000 steps.", least=1
    )
    seed: int = options.seed_option()
    precision: str | None = options.option(
        None,
        "Arithmetic of the layers in training; weights, losses and exports are float32. When omitted, float32, or "
        "bfloat16 on a TPU if use_bfloat16 is set.",
        choices=PRECISIONS,
    )
    keep_classes: bool = options.option(
        False,
        "Keeps what the fine-tuning checkpoint knows about classes that have the same names as those of the data, in "
        "any case of letters; evaluates before the first step.",
    )
    checkpoint_label_map: options.Path | None = options.option(
        None,
        "Label map of the fine-tuning checkpoint, a path or a name such as mscoco; when omitted, the one beside the "
        "checkpoint, or that of the model of the zoo.",
        only_with=("keep_classes",),
    )
    freeze: int | str | None = options.option(
        None,
        "What training leaves as it is: backbone, neck (the backbone too), or the first N stages of the backbone; "
        "their batch norms keep their statistics.",
        words=tuple(roles.FREEZABLE),
        least=1,
    )
    jpeg_dct: str = options.option(
        jpeg_dct.ACCURATE,
        "How JPEGs are decoded, in training, in evaluation and by exports of the model.",
        choices=jpeg_dct.CHOICES,
    )
    log_every: int = 10
    keep_checkpoints: int = 3

    def check_end(self):
        """Checks that it is clear what ends the training, and known to every process of the job.

        Raises:
          UsageError: it is not.
        """
        for name in ("patience", "time"):
            if getattr(self, name) is not None and self.strategy == "multi_worker":
                raise errors.UsageError(
                    f"--{name} cannot be combined with --strategy=multi_worker",
                    expected="a training of one process, which alone decides when to end",
                    fix=f"leave out --{name}",
                )
        changed = {change.partition("=")[0].strip() for change in getattr(self, "overrides", ())}
        for name, is_given in (
            ("num_steps", getattr(self, "num_steps", None) is not None),
            ("set train_config.num_steps", "train_config.num_steps" in changed),
        ):
            if self.time is not None and is_given:
                raise errors.UsageError(
                    f"--{name} cannot be combined with --time, which chooses the number of steps",
                    fix="leave out one of them",
                )

    def eval_interval(self, num_steps):
        """Steps between evaluations of a training of `num_steps` steps."""
        return max(1, min(num_steps, self.eval_every or num_steps // 10))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelFolderOptions(options.Options):
    """The folder of a training, and its configuration."""

    title = "Model and configuration"

    model_dir: options.Path = options.option(
        options.REQUIRED, "Folder of the training, with its checkpoints and event files."
    )
    pipeline_config_path: options.Path = options.option(options.REQUIRED, "The pipeline.config to use.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainJobOptions(NotifyOptions, TrainOptions, ChangeOptions, ModelFolderOptions):
    """The options of the verb `train`."""

    title = "Model and configuration"

    num_steps: int | None = options.option(
        None,
        "Number of training steps; when omitted, as the configuration says; 0 only evaluates the starting weights.",
        least=0,
    )
    fine_tune_checkpoint: options.Path | None = options.option(
        None,
        "The path of a checkpoint to start from, or none; when omitted, as the configuration says.",
        words=(SCRATCH,),
    )
