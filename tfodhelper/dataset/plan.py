"""What a conversion would do: examined images, label map, split and counts.

`check` shows the plan, `convert` carries it out.
"""

import dataclasses
import functools

from tfodhelper import console, errors
from tfodhelper.annotations import checks, findings
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset.analysis import class_counts
from tfodhelper.dataset.options import FULL, HEADER, SetOptions, parse_part
from tfodhelper.dataset.scan import duplicates, entry_store, examine
from tfodhelper.dataset.split import assignment as sides_of_images
from tfodhelper.dataset.split import groups, image_lists, split
from tfodhelper.dataset.split.split import TRAIN, VALIDATE
from tfodhelper.outofcore import columns

__all__ = ["FULL", "HEADER", "Earlier", "Plan", "SetOptions", "make_deck", "make_plan", "parse_part"]

_MANY_KINDS = 1 << 12


@dataclasses.dataclass(frozen=True)
class Earlier:
    """What an earlier conversion settled.

    Attributes:
      notes: `entry_store.Notes` of what it saw, or None.
      sides: {image: side} by name; they stay where they are.
      label_map: its classes keep their ids, new ones are added; None begins anew.
    """

    notes: entry_store.Notes | None = None
    sides: dict = dataclasses.field(default_factory=dict)
    label_map: label_maps.LabelMap | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a conversion would do.

    Attributes:
      examination: of the set.
      label_map: given or made; None when none was given and no image has a box.
      sides: a `assignment.Sides`; usable images that are not in it are in no list.
      statistics: counts of boxes and images.
      findings: everything that was found: in the files, in the classes, in the lists; an `examine.Found`.
    """

    examination: examine.Examination
    label_map: label_maps.LabelMap | None
    sides: sides_of_images.Sides
    statistics: class_counts.Statistics
    findings: examine.Found

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
                name = self.examination.index.image_of(finding.file) or finding.file
                reasons.setdefault(name, []).append(finding)
        return dict(sorted(reasons.items()))

    def with_findings(self, more):
        """The same plan with further findings."""
        return dataclasses.replace(self, findings=self.findings.with_more(more))

    def images_of(self, side):
        """The `UsableImage`s of a side, sorted by name."""
        return [self.examination.images[place] for place in self.sides.places_of(side)]

    def check(self, strict=False, is_validated=True):
        """Stops when the plan cannot be carried out.

        Args:
          strict: whether every image that would be fixed or left out is an error.
          is_validated: whether validation images are expected in this set.

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
                fix="label objects",
            )
        if not self.statistics.images[TRAIN]:
            raise errors.DatasetError("no image is left to train on", fix="look at --train_list and --val_list")
        _check_classes(self.findings)
        if is_validated and not self.statistics.images[VALIDATE]:
            console.warn("no image is left to validate on: precision cannot be measured")


def _check_classes(notes):
    refused = [finding for finding in notes if finding.code == "class-no-training"]
    if refused:
        names = ", ".join(repr(finding.file) for finding in refused[:10]) + (", ..." if len(refused) > 10 else "")
        raise errors.DatasetError(
            f"{len(refused)} class(es) without a box to train on: {names}",
            expected="at least one training image with a box of each class of the label map",
            received=f"{refused[0].file}: {refused[0].received}",
            fix="label images of them, or take them out of the label map given with --label_map",
        )


def make_plan(options, show_progress=True, earlier=None, folder=None):
    """Examines a set and plans its conversion; writes nothing.

    Args:
      options: `SetOptions`.
      show_progress: whether the console shows how far it is.
      earlier: an `Earlier` that the plan goes on from, or None.
      folder: where the notes of what is looked at lie; a folder for temporary files when left out.

    Returns:
      A `Plan`, also where it cannot be carried out: `Plan.check` raises then.

    Raises:
      UsageError, DatasetError, AnnotationError: a flag, list or label map that cannot be used; no annotation at all.
    """
    options.check_early()
    earlier = earlier or Earlier()
    label_map = label_maps.read_label_map(options.label_map) if options.label_map else None
    examination = examine.examine(
        options.make_source(),
        label_map,
        checks.CheckOptions(options.swap_inverted, options.drop_unknown_classes),
        show_progress,
        decode=options.validate == FULL,
        num_workers=options.num_workers,
        known=earlier.notes,
        folder=folder,
        identity=options.identity(),
    )
    counts = examination.count_boxes()
    notes = []
    if label_map is not None and label_map.gaps:
        what = f"no class has the id {label_map.gaps[0]}"
        notes.append(Finding("label-map-gap", str(options.label_map), what, received=f"{len(label_map.gaps)} such ids"))
    elif label_map is None and counts:
        label_map = _extend_label_map(earlier.label_map, counts)
    sides, more = _split(examination, options, earlier.sides)
    counted = class_counts.count(examination.images.kinds(), sides.in_order())
    notes += more
    if label_map is not None:
        notes += class_counts.find_missing_classes(label_map, counted)
    return Plan(examination, label_map, sides, counted, examination.findings.with_more(notes))


def _extend_label_map(label_map, counts):
    """A label map of all classes met; those of an earlier one keep their ids and go only when no box is left."""
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
        notes += [Finding("not-listed", name, "is in neither list") for name in names if name not in sides]
        notes += duplicates.find_leaks(images.repeated(), sides)
        return sides_of_images.from_names(images, sides), notes
    deck = make_deck(examination, options)
    if options.fold and images:
        number, count = parse_part(options.fold, "--fold")
        train, validate = split.SPLITS.index(TRAIN), split.SPLITS.index(VALIDATE)
        folds = split.deal_folds(deck, count, options.seed)
        numbers = columns.Column("b", (validate if fold == number else train for fold in folds), images.folder)
    else:
        held = sides_of_images.number_sides(images, fixed) if fixed else None
        numbers = split.deal(deck, options.val_fraction, options.seed, options.test_fraction, held)
    return sides_of_images.Sides(images, numbers), []


def make_deck(examination, options):
    """The `split.Deck` of the usable images, with those that have to stay together."""
    images, known = examination.images, {}  # images of one kind share what it says

    def kind_at(place):
        kind = images.kind_at(place)
        if kind not in known:
            if len(known) >= _MANY_KINDS:
                known.clear()
            known[kind] = frozenset(kind[0]), frozenset(zip(*kind))
        return known[kind]

    sets = groups.find_sets(examination, options.group_by, options.group_near_duplicates)
    return split.Deck(len(images), kind_at, sets, images.folder)
