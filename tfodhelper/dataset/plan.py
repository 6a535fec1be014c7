"""What a conversion would do: examined images, label map, split and counts.

`check` shows the plan, `convert` carries it out.
"""

import dataclasses
import functools
import os

from tfodhelper import console, errors, storage
from tfodhelper.annotations import checks, findings
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset import duplicates, examine, index, split, statistics
from tfodhelper.dataset.split import TRAIN, VALIDATE


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetOptions:
    """Where a set lies and how it is to be used.

    Attributes:
      data_dir, image_dir, annotation_dir: where the input lies; see `index.make_source`.
      train_list, val_list: lists of images instead of a drawn split, or None.
      label_map: path of a label map, or None to make one from the classes met.
      val_fraction: share of validation of a drawn split, 0 <= val_fraction < 1.
      seed: of the split and of the order of the training records.
      swap_inverted, drop_unknown_classes: see `checks.CheckOptions`.
    """

    data_dir: str | os.PathLike | None = None
    image_dir: str | os.PathLike | None = None
    annotation_dir: str | os.PathLike | None = None
    train_list: str | os.PathLike | None = None
    val_list: str | os.PathLike | None = None
    label_map: str | os.PathLike | None = None
    val_fraction: float = 0.2
    seed: int = 0
    swap_inverted: bool = False
    drop_unknown_classes: bool = False

    def make_source(self):
        """The folders, checked; see `index.make_source`."""
        return index.make_source(self.data_dir, self.image_dir, self.annotation_dir)

    def check_early(self):
        """Checks all that can be checked before any image is read: folders, fraction, lists, label map.

        Raises:
          UsageError, DatasetError, AnnotationError: naming what cannot be used.
        """
        if not 0 <= self.val_fraction < 1:
            raise errors.UsageError(
                "--val_fraction cannot be that", expected="at least 0 and less than 1", received=self.val_fraction
            )
        self.make_source()
        for path in (self.train_list, self.val_list):
            if path:
                split.read_list(path)
        if self.label_map:
            label_maps.read_label_map(self.label_map)

    def identity(self):
        """What a result depends on besides the images and annotations, as plain values."""
        lists = {name: getattr(self, name) for name in ("train_list", "val_list", "label_map")}
        digests = {f"{name}_sha256": storage.sha256_of(path) if path else None for name, path in lists.items()}
        names = ("val_fraction", "seed", "swap_inverted", "drop_unknown_classes")
        return {name: getattr(self, name) for name in names} | digests


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a conversion would do.

    Attributes:
      examination: of the set.
      label_map: given or made; None when none was given and no image has a box.
      sides: {image name: TRAIN or VALIDATE}; usable images that are not in it are in neither list.
      statistics: counts of boxes and images.
      findings: everything that was found: in the files, in the classes, in the lists.
    """

    examination: examine.Examination
    label_map: label_maps.LabelMap | None
    sides: dict[str, str]
    statistics: statistics.Statistics
    findings: tuple[Finding, ...]

    @property
    def has_errors(self):
        """Whether something labelled would be lost, or nothing could be converted at all."""
        is_empty = self.label_map is None or not self.statistics.images[TRAIN]
        return is_empty or any(finding.severity == findings.ERROR for finding in self.findings)

    @functools.cached_property
    def left_out(self):
        """{image, or annotation file without one: the findings by which it is left out}; not the unlabelled images."""
        reasons = {}
        for finding in self.findings:
            is_out = finding.action in (findings.IMAGE_LEFT_OUT, findings.FILE_IGNORED)
            if is_out and finding.code != "unlabelled":
                name = self.examination.image_of.get(finding.file) or finding.file
                reasons.setdefault(name, []).append(finding)
        return dict(sorted(reasons.items()))

    def images_of(self, side):
        """The `UsableImage`s of a side, sorted by name."""
        return [image for image in self.examination.images if self.sides.get(image.name) == side]

    def check(self, strict=False):
        """Stops when the plan cannot be carried out.

        Args:
          strict: whether every image that would be fixed or left out is an error.

        Raises:
          DatasetError: no image, no box, no training image, a class without training box, or what `strict` minds.
        """
        if strict:
            examine.check_strict(self.findings)
        examine.check_usable(self.examination)
        if self.label_map is None:
            raise errors.DatasetError(
                f"{self.examination.source.annotation_dir}: no image has a box, so there is no class to learn",
                expected="objects in the annotation files",
                received=f"{len(self.examination.images)} images without objects",
                way_out="label objects",
            )
        if not self.statistics.images[TRAIN]:
            raise errors.DatasetError("no image is left to train on", way_out="look at --train_list and --val_list")
        _check_classes(self.findings)
        if not self.statistics.images[VALIDATE]:
            console.warn("no image is left to validate on: precision cannot be measured")


def _check_classes(notes):
    refused = [finding for finding in notes if finding.code == "class-no-training"]
    if refused:
        names = ", ".join(repr(finding.file) for finding in refused[:10]) + (", ..." if len(refused) > 10 else "")
        raise errors.DatasetError(
            f"{len(refused)} class(es) without a box to train on: {names}",
            expected="at least one training image with a box of each class of the label map",
            received=f"{refused[0].file}: {refused[0].received}",
            way_out="label images of them, or take them out of the label map given with --label_map",
        )


def make_plan(options, show_progress=True):
    """Examines a set and plans its conversion; writes nothing.

    Args:
      options: `SetOptions`.
      show_progress: whether the console shows how far it is.

    Returns:
      A `Plan`, also where it cannot be carried out: `Plan.check` raises then.

    Raises:
      UsageError, DatasetError, AnnotationError: a flag, list or label map that cannot be used; no annotation at all.
    """
    options.check_early()
    label_map = label_maps.read_label_map(options.label_map) if options.label_map else None
    check_options = checks.CheckOptions(options.swap_inverted, options.drop_unknown_classes)
    examination = examine.examine(options.make_source(), label_map, check_options, show_progress)
    counts = examination.count_boxes()
    notes = list(examination.findings)
    if label_map is not None and label_map.gaps:
        what = f"no class has the id {label_map.gaps[0]}"
        notes.append(Finding("label-map-gap", str(options.label_map), what, received=f"{len(label_map.gaps)} such ids"))
    elif label_map is None and counts:
        label_map = label_maps.make_label_map(counts)
    sides, more = _split(examination, options)
    counted = statistics.count({image.name: image.annotation for image in examination.images}, sides)
    notes += more
    if label_map is not None:
        notes += statistics.find_missing_classes(label_map, counted)
    return Plan(examination, label_map, sides, counted, tuple(notes))


def _split(examination, options):
    """Returns {image name: side} and findings."""
    names = [image.name for image in examination.images]
    if names and (options.train_list or options.val_list):
        sides, notes = split.split_by_lists(names, options.train_list, options.val_list)
        notes += [Finding("not-listed", name, "is in neither list") for name in names if name not in sides]
        return sides, notes + duplicates.find_leaks(examination.images, sides)
    cards = [
        split.SplitImage(image.name, image.facts.sha256, frozenset(box.name for box in image.annotation.boxes))
        for image in examination.images
    ]
    return split.split_images(cards, options.val_fraction, options.seed), []
