"""What the jobs return."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from tfodhelper import run_layout
from tfodhelper.annotations.findings import Finding

_MAP, _MAP_50 = "DetectionBoxes_Precision/mAP", "DetectionBoxes_Precision/mAP@.50IOU"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The metrics of a checkpoint on the validation images, or of an exported model on other ones.

    Attributes:
      step: of the training; None for an exported model.
      metrics: {tag of the Object Detection API: value}; a value that cannot be measured is None.
      analysis: the content of analysis.json, from `evaluate`: figures by class, the best thresholds, kinds of errors.
    """

    step: int | None
    metrics: Mapping[str, float | None]
    analysis: Mapping[str, Any] | None = dataclasses.field(default=None, repr=False)

    @property
    def mean_ap(self) -> float | None:
        """COCO's mean average precision over the overlaps 0.5 to 0.95."""
        return self.metrics.get(_MAP)

    @property
    def mean_ap_50(self) -> float | None:
        """Mean average precision at an overlap of 0.5."""
        return self.metrics.get(_MAP_50)


@dataclasses.dataclass(frozen=True)
class RunResult(os.PathLike[str]):
    """A finished run. It can be used as the path of its folder.

    Attributes:
      folder: the run folder.
      best: the best evaluation, by `best_metric`; None in a job of several workers, except in the first one.
      last: the last evaluation; None where `best` is.
      seconds_per_step: median over the training, or None if no step was done.
      ended: what ended the training: "num_steps" or "patience"; None in runs of former versions.
    """

    folder: pathlib.Path
    best: Evaluation | None = None
    last: Evaluation | None = None
    seconds_per_step: float | None = None
    ended: str | None = None

    def __fspath__(self) -> str:
        return str(self.folder)

    @property
    def best_export(self) -> pathlib.Path:
        """Folder of the exported detector with the weights of `best`."""
        return run_layout.export_of(self.folder, "best")

    @property
    def last_export(self) -> pathlib.Path:
        """Folder of the exported detector with the weights of `last`."""
        return run_layout.export_of(self.folder, "last")


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """The checkpoints of a training, and their metrics.

    Attributes:
      folder: of checkpoints and event files.
      step: the last one.
      best: the best evaluation, by the figure of `best_metric`; None if it could not be measured.
      last: the last evaluation.
      best_checkpoint, last_checkpoint: prefixes of their weights.
      seconds_per_step: median over the steps of this process, or None if it did none.
      ended: what ended it: "num_steps" or "patience".
    """

    folder: pathlib.Path
    step: int
    best: Evaluation | None
    last: Evaluation
    best_checkpoint: str
    last_checkpoint: str
    seconds_per_step: float | None
    ended: str = "num_steps"


@dataclasses.dataclass(frozen=True)
class CheckResult:
    """The faults of a set of images and annotations.

    Attributes:
      has_errors: whether labelled objects would be lost, or nothing could be converted at all.
      num_images: images that can be used.
      findings: everything that was found, with file, severity, message and what `convert` does about it.
    """

    has_errors: bool
    num_images: int
    findings: tuple[Finding, ...]


@dataclasses.dataclass(frozen=True)
class ExplainResult:
    """What a detector was asked about.

    Attributes:
      page: explanations.html, with all pictures; None if layers were only listed.
      layers: {name: shape of its output} with `list_layers`, else empty.
      explanations: one entry for each detection, as in explanations.json: its class, score and box, where it comes
        from, its scores with parts of the image hidden, and paths of its pictures.
      filters: one entry for each channel: its layer and number, the path of the picture, and the mean activation.
    """

    page: pathlib.Path | None
    layers: Mapping[str, tuple[int, ...]]
    explanations: tuple[Mapping[str, Any], ...]
    filters: tuple[Mapping[str, Any], ...]


@dataclasses.dataclass(frozen=True)
class LabelResult:
    """What was labelled in the browser.

    Attributes:
      num_images: images of the page.
      num_verified: those that a person has accepted, in this session or before.
      num_written: those whose XML files were written in this session.
      seconds_per_image: that a person spent on an image in this session; None if none was looked at.
    """

    num_images: int
    num_verified: int
    num_written: int
    seconds_per_image: float | None


@dataclasses.dataclass(frozen=True)
class RunComparison:
    """Finished runs side by side; lists have one value per run, None where it was not measured.

    Attributes:
      runs: names of the runs, or their folders where two have the same name.
      figures: {name: values}, of the best checkpoints.
      classes: {class: AP50 values}.
      differences: {setting or field of the configuration: texts}, where the runs differ.
      same_validation: whether all were measured on the same validation images.
    """

    runs: tuple[str, ...]
    figures: Mapping[str, list[float | None]]
    classes: Mapping[str, list[float | None]]
    differences: Mapping[str, list[str]]
    same_validation: bool


@dataclasses.dataclass(frozen=True)
class NewWorkspace(os.PathLike[str]):
    """A new workspace. It can be used as the path of its folder.

    Attributes:
      folder: of the workspace.
      num_labelled, num_validation, num_pool: images.
      refused: {reason: number of images that were kept out of the pool}.
    """

    folder: pathlib.Path
    num_labelled: int
    num_validation: int
    num_pool: int
    refused: Mapping[str, int]

    def __fspath__(self) -> str:
        return str(self.folder)
