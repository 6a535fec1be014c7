"""Options for the statistics of a dataset."""

import dataclasses

from tfodhelper import options
from tfodhelper.dataset.options import HEADER, SetOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class StatsOptions(SetOptions):
    """Options of the verb `stats`."""

    title = "Statistics"

    features: options.Path | None = options.option(
        None, "Checkpoint folder or SavedModel whose features measure how far apart classes are."
    )
    trust_model: bool = options.option(
        False,
        "Loads a SavedModel given with --features although it does more than compute; see `predict --help`.",
        only_with=("features",),
    )
    objects_per_class: int = options.option(
        200, "Number of objects of each class used with --features.", least=2, only_with=("features",)
    )
    num_anchors: int = options.option(6, "Number of anchors in the text for the configuration.", least=1, most=15)
    output_dir: options.Path | None = options.option(
        None, "Folder for tables (CSV) and pictures; when omitted, nothing is written."
    )
    validate: str = options.like(SetOptions, "validate", HEADER)
