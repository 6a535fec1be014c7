"""What may be said about the check of a set."""

import dataclasses

from tfodhelper import options
from tfodhelper.dataset.options import COPY, LINK, SetOptions, ShownOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReviewOptions(ShownOptions, SetOptions):
    """All that `check` is told."""

    title = "Report"

    output_dir: options.Path | None = options.option(
        None, "Folder for report.json, report.html and whatever else is asked for."
    )
    near_duplicates: bool = options.option(
        True, "Looks for images on different sides of the split that look nearly the same; decodes all images again."
    )
    pipeline_config_path: options.Path | None = options.option(
        None, "pipeline.config of the model to train: its input size and anchors."
    )
    input_size: int | None = options.option(
        None, "Side of the model's input in pixels, where no pipeline.config gives it; when omitted, 300.", least=16
    )
    fix: bool = options.option(False, "Writes corrected copies to fixed/ in --output_dir.")
    images: str = options.option(
        COPY, "How images that stay as they are get into fixed/: as copies or as links.", choices=(COPY, LINK)
    )
    reviewed: options.Path | None = options.option(
        None, "Folder of drafts; those that are verified are adopted. Requires --fix."
    )
    model: options.Path | None = options.option(
        None, "Folder of an exported detector that is compared with the labels."
    )
    score_threshold: float = options.option(
        0.5, "Lowest score of a detection that counts as confident, with --model.", least=0.05, most=1
    )
