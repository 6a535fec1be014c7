"""Plans a conversion: examined images, label map, split and counts.

`check` shows the plan, `convert` carries it out.
"""

import dataclasses
import functools

from tfodhelper import console, errors, spelling
from tfodhelper.annotations import findings
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset.analysis import class_counts
from tfodhelper.dataset.options import FULL, HEADER, SetOptions, parse_part
from tfodhelper.dataset.scan import duplicates, examine, near_duplicates, scan_notes
from tfodhelper.dataset.split import assignment, folder_sides, groups, image_lists, split
from tfodhelper.dataset.split.split import TRAIN, VALIDATE
from tfodhelper.outofcore import columns

__all__ = ["FULL", "HEADER", "Plan", "PreviousConversion", "SetOptions", "make_plan", "make_split_input", "parse_part"]

_MAX_KINDS = 1 << 12


@dataclasses.dataclass(frozen=True)
class PreviousConversion:
    """What a previous conversion determined.

    Attributes:
      notes: the `scan_notes.Notes` of its scan, or None.
      sides: {image name: side}; these images keep their sides.
      label_map: its classes keep their ids, and new classes are added; None makes a new label map.
    """

    notes: scan_notes.Notes | None = None
    sides: dict = dataclasses.field(default_factory=dict)
    label_map: label_maps.LabelMap | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a conversion would do.

    Attributes:
      examination: of the set.
      label_map: given or made; None if none was given and no image has a box.
      sides: an `assignment.Sides`; usable images that are not in it are in no list.
      statistics: counts of boxes and images.
      findings: all findings about files, classes and lists; an `examine.FindingList`.
    """

    examination: examine.Examination
    label_map: label_maps.LabelMap | None
    sides: assignment.Sides
    statistics: class_counts.Statistics
    findings: examine.FindingList

    @property
    def has_errors(self):
        """Whether something labelled would be lost, or nothing could be converted."""
        return any(finding.severity == findings.ERROR for finding in self.findings)

    @functools.cached_property
    def left_out(self):
        """{image, or annotation file without one: the findings why it is left out}, except unlabelled images."""
        reasons = {}
        for finding in self.findings:
            is_out = finding.action in (findings.IMAGE_LEFT_OUT, findings.FILE_LEFT_OUT)
            if is_out and finding.code != "unlabelled":
                name = self.examination.index.image_of(finding.file) or finding.file
                reasons.setdefault(name, []).append(finding)
        return dict(sorted(reasons.items()))

    @functools.cached_property
    def ignored(self):
        """Names of the files with findings that are ignored, because nothing labelled is lost with them; sorted."""
        return sorted({finding.file for finding in self.findings if finding.action == findings.FILE_IGNORED})

    def with_findings(self, more):
        """The same plan with further findings."""
        return dataclasses.replace(self, findings=self.findings.with_more(more))

    def images_of(self, side):
        """The `UsableImage`s of a side, sorted by name."""
        return [self.examination.images[index] for index in self.sides.indices_of(side)]

    def check(self, strict=False, is_validated=True):
        """Raises if the plan cannot be carried out.

        Args:
          strict: whether every image that would be fixed or left out is an error.
          is_validated: whether validation images are expected in this dataset.

        Raises:
          DatasetError: no images, no boxes, no training images, a class without training boxes, or a `strict` finding.
        """
        if strict:
            examine.check_strict(self.findings)
        examine.check_usable(self.examination)
        if self.label_map is None:
            raise errors.DatasetError(
                f"{self.examination.source.annotation_dir}: no image has a box, so there is no class to learn",
                expected="objects in the annotation files",
                received=f"{spelling.count(len(self.examination.images), 'image')} without objects",
                fix="label some objects",
            )
        if not self.statistics.images[TRAIN]:
            raise errors.DatasetError("no image is left to train on", fix="check --train_list and --val_list")
        _check_classes(self.findings)
        if is_validated and not self.statistics.images[VALIDATE]:
            console.warn("no image is left to validate on: precision cannot be measured")


def _check_classes(notes):
    refused = [finding for finding in notes if finding.code == "class-no-training"]
    if refused:
        names = ", ".join(repr(finding.file) for finding in refused[:10]) + (", ..." if len(refused) > 10 else "")
        raise errors.DatasetError(
            f"{spelling.count(len(refused), 'class')} without training boxes: {names}",
            expected="at least one training image with a box for each class of the label map",
            received=f"{refused[0].file}: {refused[0].received}",
            fix=refused[0].fix,
        )


def make_plan(options, show_progress=True, previous=None, folder=None):
    """Examines a dataset and plans its conversion; writes nothing.

    Args:
      options: a `SetOptions`.
      show_progress: whether to show the progress on the console.
      previous: a `PreviousConversion` that the plan continues, or None.
      folder: folder for the notes of the scan; by default a temporary folder.

    Returns:
      A `Plan`, even if it cannot be carried out; `Plan.check` raises then.

    Raises:
      UsageError, DatasetError, AnnotationError: a flag, list or label map is invalid, or there are no annotations.
    """
    options.check_early()
    previous = previous or PreviousConversion()
    label_map = label_maps.read_label_map(options.label_map) if options.label_map else None
    examination = examine.examine(
        options.make_source(),
        label_map,
        options.make_check_options(),
        show_progress,
        decode=options.validate == FULL,
        num_workers=options.num_workers,
        known=previous.notes,
        folder=folder,
        identity=options.identity(),
    )
    counts = examination.count_boxes()
    notes = []
    if label_map is not None and label_map.gaps:
        problem = f"no class has the id {label_map.gaps[0]}"
        notes.append(
            Finding(
                "label-map-gap",
                str(options.label_map),
                problem,
                received=f"{spelling.count(len(label_map.gaps), 'unused id')}",
            )
        )
    elif label_map is None and counts:
        label_map = _extend_label_map(previous.label_map, counts)
    sides, more = _split(examination, options, previous.sides)
    counted = class_counts.count(examination.images.kinds(), sides.in_order())
    notes += more + _find_nothing(examination, label_map, counted)
    if len(examination.images) <= options.most_compared:
        hashes = near_duplicates.hash_images(examination, show_progress)
        notes += near_duplicates.find_near_leaks(examination.images, sides, hashes)
    if label_map is not None:
        notes += class_counts.find_missing_classes(label_map, counted, bool(options.label_map))
    return Plan(examination, label_map, sides, counted, examination.findings.with_more(notes))


def warn_of_unused_folders(planned):
    """Warns of folders that look like a split and are not used, where a verb does not show all findings."""
    for finding in planned.findings:
        if finding.code == "split-folders":
            console.warn(finding.message)


def _find_nothing(examination, label_map, counted):
    """One finding if there is nothing to train on."""
    if label_map is not None and counted.images[TRAIN]:
        return []
    problem = "no image has a box, so there is no class to learn" if label_map is None else "no training image is left"
    return [Finding("nothing-to-train", str(examination.source.annotation_dir), problem)]


def _extend_label_map(label_map, counts):
    """A label map of all classes; those of a previous label map keep their ids, but are removed if no box is left."""
    if label_map is None:
        return label_maps.make_label_map(counts)
    new = [name for name in counts if name not in label_map]
    items = [item for item in label_map if item.name in counts]
    last = label_map.num_classes
    added = [label_maps.LabelMapItem(id=last + number, name=name) for number, name in enumerate(new, start=1)]
    return label_maps.LabelMap((*items, *added))


def _split(examination, options, fixed):
    """Returns `assignment.Sides` and findings."""
    images = examination.images
    if images and any(options.lists):
        names = list(images.names())
        sides, notes = image_lists.split_by_lists(names, *options.lists)
        notes += [Finding("not-listed", name, "is in none of the lists") for name in names if name not in sides]
        notes += duplicates.find_leaks(images.repeated(), sides)
        return assignment.from_names(images, sides), notes
    if images and options.split_by_folder:
        return _split_by_folder(images)
    notes = folder_sides.find_unused(images.names())
    split_input = make_split_input(examination, options)
    if options.fold and images:
        number, count = parse_part(options.fold, "--fold")
        train, validate = split.SPLITS.index(TRAIN), split.SPLITS.index(VALIDATE)
        folds = split.assign_folds(split_input, count, options.seed)
        numbers = columns.Column("b", (validate if fold == number else train for fold in folds), images.folder)
    else:
        held = assignment.number_sides(images, fixed) if fixed else None
        numbers = split.assign_sides(split_input, options.val_fraction, options.seed, options.test_fraction, held)
    return assignment.Sides(images, numbers), notes


def _split_by_folder(images):
    """Returns `assignment.Sides` and findings."""
    folders, notes = folder_sides.split_by_folder(images.names())
    console.say(f"split by folder: {folders.describe_use()}; --nosplit_by_folder splits at random")
    sides = assignment.from_names(images, {n: side for n in images.names() if (side := folders.side_of(n))})
    return sides, notes + duplicates.find_leaks(images.repeated(), sides)


def make_split_input(examination, options):
    """The `split.SplitInput` of the usable images, with the groups that must stay together."""
    images, known = examination.images, {}  # images of one kind share its sets

    def kind_at(index):
        kind = images.kind_at(index)
        if kind not in known:
            if len(known) >= _MAX_KINDS:
                known.clear()
            known[kind] = frozenset(kind[0]), frozenset(zip(*kind))
        return known[kind]

    sets = groups.find_sets(examination, options.group_by, options.group_near_duplicates)
    return split.SplitInput(len(images), kind_at, sets, images.folder)
