"""The options of `benchmark`; importing this module does not import TensorFlow."""

import dataclasses
import os
from collections.abc import Sequence

from tfodhelper import errors, options


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkOptions(options.Options):
    """The options of `benchmark`.

    Attributes:
      models: SavedModels, exports, runs and .tflite files.
    """

    title = "Benchmark"

    data_dir: options.Path | None = options.option(
        None,
        "Labelled images on which the models are measured: a folder with images and LabelImg XML, or a run folder or a "
        "folder that `convert` has written, for its validation images. When omitted, only speed, memory and size are "
        "measured, on images of noise.",
    )
    label_map: options.Path | None = options.option(
        None,
        "label_map.pbtxt with the names of the classes, or the name of one that is included, such as mscoco. When "
        "omitted, the one next to each model.",
        only_with=("data_dir",),
    )
    num_images: int = options.option(50, "Images on which the speed is measured, one per call.", least=1)
    output_dir: options.Path | None = options.option(
        None, "Folder for benchmark.html, benchmark.csv and benchmark.json; must not exist, or must be empty."
    )
    trust_model: bool = options.option(
        False, "Loads a SavedModel although it does more than compute; only for models whose makers you trust."
    )
    models: Sequence[str | os.PathLike[str]] = ()

    def __post_init__(self):
        super().__post_init__()
        if not self.models:
            raise errors.UsageError(
                "no model given",
                expected="SavedModels, exports, run folders or .tflite files",
                fix="name one or several",
            )
