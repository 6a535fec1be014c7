"""The options of the verb `eval`; importing this module does not import TensorFlow."""

import dataclasses

from tfodhelper import errors, jpeg_dct, options
from tfodhelper.config.options import ChangeOptions
from tfodhelper.dataset.options import SourceOptions
from tfodhelper.prediction.options import ModelAndResultOptions
from tfodhelper.tiling.options import TileOptions
from tfodhelper.training.options import DeviceOptions, ModelFolderOptions

# What only concerns a model that is built from its configuration.
_TRAINED = ("model_dir", "pipeline_config_path", "checkpoint", "strategy", "eval_timeout", "overrides")
_TRAINED += ("jit", "ignore_unsupported_fields")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricsOptions(options.Options):
    """What is measured."""

    title = "Metrics"

    metrics: options.Texts = options.option(
        (),
        "Names of further metrics, as in eval_config.metrics_set, such as oid_V2_detection_metrics or "
        "pascal_voc_2007_detection_metrics; may be repeated.",
    )
    iou_threshold: float = options.option(
        0.5,
        "Overlap from which on the metrics of PASCAL VOC and Open Images count an object as found.",
        least=0.01,
        most=1,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedOptions(options.Options):
    """An exported model, and the labelled images on which it is evaluated."""

    title = "Exported model"

    saved_model_dir: options.Path | None = options.like(
        ModelAndResultOptions,
        "saved_model_dir",
        None,
        text="Evaluates an exported model in the place of a checkpoint: the folder of a SavedModel, of the export that "
        "contains it, or of a run; a .tflite file; or an archive of the zoo (.tar.gz), packed or unpacked, or the "
        "name of a model of the zoo.",
        not_with=(
            "model_dir",
            "pipeline_config_path",
            "checkpoint",
            "strategy",
            "eval_timeout",
            "overrides",
            *_TRAINED,
        ),
    )
    data_dir: options.Path | None = options.like(SourceOptions, "data_dir", None, only_with=("saved_model_dir",))
    image_dir: options.Path | None = options.like(SourceOptions, "image_dir", None, only_with=("saved_model_dir",))
    annotation_dir: options.Path | None = options.like(
        SourceOptions, "annotation_dir", None, only_with=("saved_model_dir",)
    )
    records: str | None = options.option(
        None,
        "TFRecords with the labelled images, a path or a pattern, instead of XML files.",
        only_with=("saved_model_dir",),
    )
    label_map: options.Path | None = options.like(
        ModelAndResultOptions, "label_map", None, only_with=("saved_model_dir",)
    )
    output_dir: options.Path | None = options.option(
        None,
        "Folder for detections.npz and analysis.json; must not exist, or must be empty.",
        only_with=("saved_model_dir",),
    )
    batch_size: int = options.like(ModelAndResultOptions, "batch_size", 8, only_with=("saved_model_dir",))
    trust_model: bool = options.like(ModelAndResultOptions, "trust_model", False, only_with=("saved_model_dir",))


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalOptions(ExportedOptions, MetricsOptions, TileOptions, DeviceOptions, ChangeOptions, ModelFolderOptions):
    """The options of the verb `eval`; the folder "eval" in the folder of the training receives the summaries.

    With tiles, it is the folder "eval_tiles".
    """

    title = "Evaluation"

    model_dir: options.Path | None = options.option(
        None,
        "Folder of the training, with its checkpoints and event files; or a run folder. This or --saved_model_dir has "
        "to be given.",
    )
    pipeline_config_path: options.Path | None = options.option(
        None, "The pipeline.config to use; when omitted, the one in the folder of the training or around it."
    )
    checkpoint: options.Path | None = options.option(
        None, "Checkpoint to evaluate, or a folder; when omitted, the newest one in --model_dir."
    )
    jpeg_dct: str | None = options.option(
        None, "How JPEGs are decoded; when omitted, as in the training.", choices=jpeg_dct.CHOICES
    )
    strategy: str = options.like(DeviceOptions, "strategy", "auto", not_with=("tiles",))
    jit: bool = options.like(DeviceOptions, "jit", False, not_with=("tiles",))
    eval_timeout: float = options.option(
        0.0, "How many seconds to wait for another checkpoint; 0 evaluates one and ends.", least=0
    )

    def check_model(self):
        """Checks that a checkpoint or an exported model is named, and not both; and one kind of labelled images.

        Raises:
          UsageError: it is not so.
        """
        folder = next((name for name in ("data_dir", "image_dir") if getattr(self, name) is not None), None)
        if self.records is not None and folder is not None:
            raise errors.UsageError(
                f"--records and --{folder} name two sets of images",
                expected="--records, TFRecords, or --data_dir, a folder with LabelImg XML",
                fix="give one of the two",
            )
        if (self.model_dir is None) == (self.saved_model_dir is None):
            raise errors.UsageError(
                "eval needs one model"
                if self.model_dir is None
                else "--model_dir and --saved_model_dir name two models",
                expected="--model_dir, the folder of a training, or --saved_model_dir, an exported model",
                fix="give one of the two",
            )
