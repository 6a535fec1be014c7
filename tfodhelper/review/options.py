"""The options of the check of a set."""

import dataclasses
import sys

from tfodhelper import options
from tfodhelper.dataset.options import COPY, LINK, SetOptions, ShownOptions
from tfodhelper.prediction.options import PredictOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewOptions(ShownOptions, SetOptions):
    """The options of `check`."""

    title = "Report"

    output_dir: options.Path | None = options.option(
        None, "Folder for report.json, report.html and the other requested files."
    )
    near_duplicates: bool = options.option(
        True, "Looks for images on different sides of the split that look almost the same."
    )
    pipeline_config_path: options.Path | None = options.option(
        None, "pipeline.config of the model to train: its input size and anchors."
    )
    input_size: int | None = options.option(
        None,
        "Side of the model's input in pixels; when omitted, that of the pipeline.config of --model, or 300.",
        least=16,
        not_with=("pipeline_config_path",),
    )
    fix: bool = options.option(False, "Writes corrected copies to fixed/ in --output_dir.")
    images: str = options.option(
        COPY, "How unchanged images get into fixed/: as copies or as links.", choices=(COPY, LINK), only_with=("fix",)
    )
    reviewed: options.Path | None = options.option(
        None, "Folder of drafts, of which the verified ones are adopted. Requires --fix.", only_with=("fix",)
    )
    model: options.Path | None = options.option(
        None, "Folder of an exported detector that is compared with the labels."
    )
    trust_model: bool = options.like(PredictOptions, "trust_model", False, only_with=("model",))
    score_threshold: float = options.option(
        0.5,
        "Minimum score of a detection that counts as confident, with --model.",
        least=0.05,
        most=1,
        only_with=("model",),
    )

    @property
    def most_compared(self):
        """See `SetOptions.most_compared`."""
        return sys.maxsize if self.near_duplicates else 0
