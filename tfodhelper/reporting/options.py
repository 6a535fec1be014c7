"""The options of pages about runs."""

import dataclasses
import os
from collections.abc import Sequence

from tfodhelper import errors, options


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportOptions(options.Options):
    """The options of `report`.

    Attributes:
      runs: folders of finished runs.
    """

    title = "Report"

    run_dir: options.Path | None = options.option(None, "Folder of a finished run; the same as an argument.")
    runs: Sequence[str | os.PathLike[str]] = ()

    def __post_init__(self):
        super().__post_init__()
        if not self.folders:
            raise errors.UsageError("no run given", expected="the folder of a finished run", fix="name a run folder")

    @property
    def folders(self):
        """All run folders."""
        return ([self.run_dir] if self.run_dir else []) + list(self.runs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareOptions(options.Options):
    """The options of `compare`.

    Attributes:
      runs: folders of at least two finished runs.
    """

    title = "Comparison"

    output_dir: options.Path | None = options.option(
        None, "Folder for the page and its files; must not exist, or must be empty. When omitted, figures are printed."
    )
    runs: Sequence[str | os.PathLike[str]] = ()

    def __post_init__(self):
        super().__post_init__()
        if len(self.runs) < 2:
            raise errors.UsageError(
                "compare needs at least two runs", received=len(self.runs), fix="name two run folders"
            )
