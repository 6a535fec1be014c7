"""Options for a conversion to records."""

import dataclasses

from tfodhelper import errors, options
from tfodhelper.dataset.options import FULL, HEADER, SetOptions, parse_part

_MOST_COMPARED = 200_000  # images whose names and fingerprints are held in memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordOptions(SetOptions):
    """Options for a dataset and its records, wherever they are written."""

    title = "Processing"

    num_shards: int = options.option(
        0, "Number of record files of the training set; 0 chooses it from their size.", least=0
    )
    boxes_as_masks: bool = options.option(
        False,
        "Gives each object without a mask its box as its mask, so that a model with masks can be trained with a set "
        "that has boxes only; it then learns rectangles.",
    )

    def make_check_options(self):
        """See `SetOptions.make_check_options`."""
        return dataclasses.replace(super().make_check_options(), boxes_as_masks=self.boxes_as_masks)

    def identity(self):
        """See `SetOptions.identity`."""
        return super().identity() | ({"boxes_as_masks": True} if self.boxes_as_masks else {})

    @property
    def most_compared(self):
        """See `SetOptions.most_compared`; images that are not decoded are not compared."""
        return _MOST_COMPARED if self.validate == FULL else 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertOptions(RecordOptions):
    """Options of the verb `convert`."""

    title = "Result"

    output_dir: options.Path = options.option(options.REQUIRED, "Folder for the result.")
    update: bool = options.option(
        False, "Updates a folder that contains a previous state of the dataset: converts only new and changed images."
    )
    shard: str | None = options.option(
        None, "Such as 3/8: this is the third of eight jobs that share the conversion and its output folder."
    )
    validate: str = options.like(SetOptions, "validate", HEADER)

    def check_early(self):
        """Also checks for flags that cannot be combined; see `SetOptions.check_early`."""
        super().check_early()
        if self.shard:
            parse_part(self.shard, "--shard")
        if self.shard and self.update:
            raise errors.UsageError("--shard cannot be combined with --update", fix="update with a single job")

    def identity(self):
        """Everything that the result depends on besides images and annotations, as plain values."""
        return super().identity() | {"strict": self.strict, "num_shards": self.num_shards}
