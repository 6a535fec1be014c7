"""Examines a whole dataset: reads and checks every pair; what is usable, what is left out and why.

`check` prints the result, `convert` uses it; both see the same.
"""

import collections.abc
import contextlib
import dataclasses
import functools
import hashlib
import json

from tfodhelper import console, errors, spelling
from tfodhelper.annotations import checks, findings, frames
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset.scan import class_names, discover, duplicates, entry_store, usable_images
from tfodhelper.dataset.scan.entry import ScanOptions
from tfodhelper.outofcore import columns

FEW_BOXES = 10  # classes with fewer boxes are reported
_MIN_CONSTANT_FILES = 3
_MAX_CHANCE = 1e-3
_MIN_EMPTY = 10  # fewer files without objects are not reported
_MIN_EMPTY_FRACTION = 0.2
_LISTED_BY_STRICT = 10


class FindingList(collections.abc.Sequence):
    """Findings: some that are kept in memory, then one per image without an annotation file, made on demand.

    Args:
      kept: `Finding`s.
      unlabelled: names of the images.
    """

    def __init__(self, kept, unlabelled):
        self._kept, self._unlabelled = tuple(kept), unlabelled

    def __len__(self):
        return len(self._kept) + len(self._unlabelled)

    def __getitem__(self, position):
        if isinstance(position, slice):
            return [self[number] for number in range(*position.indices(len(self)))]
        number = range(len(self))[position]
        known = len(self._kept)
        return self._kept[number] if number < known else _unlabelled_finding(self._unlabelled[number - known])

    def __iter__(self):
        yield from self._kept
        yield from map(_unlabelled_finding, self._unlabelled)

    def with_more(self, findings):
        """A list with further findings."""
        return FindingList((*self._kept, *findings), self._unlabelled)


def _unlabelled_finding(name):
    return Finding("unlabelled", name, "has no annotation file; it is not treated as a negative")


@dataclasses.dataclass(frozen=True)
class Examination:
    """Everything that is known about a dataset.

    Attributes:
      source: the folders.
      images: the usable images, sorted by name; a `usable_images.Images`.
      unlabelled: names of the images without an annotation file, sorted.
      findings: all findings; a `FindingList`.
      index: the `discover.Index` that it is based on.
      fingerprint: hex digest of the whole input; equal inputs have equal fingerprints.
    """

    source: discover.Source
    images: usable_images.Images
    unlabelled: columns.Texts
    findings: collections.abc.Sequence
    index: discover.Index
    fingerprint: str

    def count_boxes(self):
        """{class name: number of usable boxes}, sorted by name."""
        return dict(sorted(self.images.count_labels().items()))

    @functools.cached_property
    def image_of(self):
        """{name of an annotation file: name of its image, or None}."""
        return {pair.xml: pair.image for pair in self.index.pairs}

    def digest_of(self, image):
        """Hex digest of an image with an annotation file; "" for every other name."""
        number = self.index.image_names.find(image)
        position = self.images.position_of(number) if number >= 0 else -1
        return "" if position < 0 else self.index.entries[position].image_sha256


def examine(
    source,
    label_map=None,
    options=None,
    show_progress=True,
    *,
    decode=True,
    num_workers=0,
    known=None,
    folder=None,
    identity=None,
):
    """Reads and checks all annotation files and their images, in parallel.

    Args:
      source: a `discover.Source`.
      label_map: the allowed classes; None allows all.
      options: a `checks.CheckOptions`.
      show_progress: whether to show the progress on the console.
      decode: whether to decode every image, which detects damage that the header does not show.
      num_workers: number of processes; 0 chooses automatically, 1 uses only this process.
      known: `scan_notes.Notes` of a previous examination with the same options, or None; files unchanged since then
        are not read again.
      folder, identity: see `entry_store.EntryStore`.

    Returns:
      An `Examination`, possibly without usable images; `check_usable` raises then.

    Raises:
      DatasetError: no annotation files at all, or git-lfs pointers.
    """
    scan_options = make_scan_options(source, label_map, options, decode)
    with _progress(show_progress) as progress:
        index = discover.make_index(source, scan_options, known, num_workers, progress, folder, identity)
    discover.check_no_pointers(index.findings, source.image_dir, index.unlabelled)
    _check_meaningless_sizes(index, scan_options, num_workers)
    notes = list(index.findings) + _collect_findings(index)
    discover.check_no_pointers(notes)
    images = usable_images.Images(index)
    notes += duplicates.find_duplicates(images.repeated()) + _find_class_problems(images) + _find_empty(images)
    all_findings = FindingList(notes, index.unlabelled)
    return Examination(source, images, index.unlabelled, all_findings, index, _fingerprint(index))


def _collect_findings(index):
    """The findings about the used annotation files and their images."""
    notes = []
    for position in index.choices.paired():
        if index.entries.flags[position] & entry_store.HAS_FINDINGS:
            entry = index.entries[position]
            notes += [Finding(*entry.image_problem)] if entry.image_problem else []
            notes += [Finding(*values) for values in entry.findings]
    return notes


def make_scan_options(source, label_map=None, options=None, decode=True):
    """The `entry.ScanOptions` for a dataset."""
    options = options or checks.CheckOptions()
    return ScanOptions(str(source.image_dir), str(source.annotation_dir), decode, label_map, options)


@contextlib.contextmanager
def _progress(show):
    if not show:
        yield None
        return
    with console.Progress("annotation files and images read") as progress:
        yield progress


def _check_meaningless_sizes(index, scan_options, num_workers):
    """Checks files again whose size turns out to be meaningless in view of the whole dataset."""
    if scan_options.check_options.trust_pixels:
        return
    entries = index.entries
    meaningless = index.choices.paired() if has_constant_size(index) else find_tiles(index)
    positions = columns.Column("Q", meaningless, entries.folder)
    check_options = dataclasses.replace(scan_options.check_options, trust_pixels=True)
    scan_options = scan_options._replace(decode=False, check_options=check_options)  # the image sizes are known

    def make_task(chunk):
        return scan_options, entries.path, [entries.span_of(position) for position in chunk]

    discover.replace_entries(entries, positions, entry_store.recheck_entries, make_task, scan_options, num_workers)


def fingerprint_of(source, known=None, num_workers=0, folder=None):
    """The fingerprint of a dataset, without decoding its images.

    Args:
      source: a `discover.Source`.
      known: `scan_notes.Notes` of a previous examination, or None; files unchanged since then are not read again.
      num_workers: see `examine`.
      folder: see `entry_store.EntryStore`.
    """
    scan_options = make_scan_options(source, decode=False)
    return _fingerprint(discover.make_index(source, scan_options, known, num_workers, folder=folder))


def _fingerprint(index):
    whole, choices = hashlib.sha256(), index.choices
    for is_used, number, name, digests in zip(
        choices.is_used, choices.image, index.xml_names, index.entries.digest_pairs()
    ):
        if is_used:
            image = index.image_names[number] if number >= 0 else ""
            whole.update(f"{name}\0{image}\0".encode() + digests[0] + (digests[1] if image else b""))
    between = "["
    for name in index.unlabelled:
        whole.update((between + json.dumps(name)).encode("ascii"))
        between = ", "
    whole.update(b"]" if len(index.unlabelled) else b"[]")
    return whole.hexdigest()


def has_constant_size(index):
    """Whether all XML files give the same size, which is therefore unrelated to their images.

    Some exports write a constant. A size is considered one if at least three files give it, no box is outside its
    image, the images have several sizes, and some boxes fit their image but not the constant.

    Args:
      index: a `discover.Index`.
    """
    constant, real, num_readable = None, set(), 0
    for position in _list_readable(index):
        width, height, *stored = index.entries.sizes_of(position)
        constant = constant or (width, height)
        if constant != (width, height) or entry_store.NO_SIZE in constant:
            return False
        num_readable += 1
        if len(real) < 2:
            real.add(tuple(stored))
    if num_readable < _MIN_CONSTANT_FILES or len(real) < 2:
        return False
    exceeds = False
    for position in _list_readable(index):
        entry = index.entries[position]
        boxes = entry.annotation.boxes
        if not all(frames.fits(box, entry.facts[1:3]) for box in boxes):
            return False
        exceeds = exceeds or not all(frames.fits(box, constant) for box in boxes)
    return exceeds


def find_tiles(index):
    """Positions of the annotation files that give the size of a larger image from which their image was cut.

    If images were cut into tiles and the size was kept, at least half of every box is inside its tile. If the boxes
    referred to the larger frame, this would happen only by chance: for each file, with the tile's share of the frame.

    Args:
      index: a `discover.Index`.

    Returns:
      List of positions; empty if any box does not fit, or if it may be chance.
    """
    larger, chance, num_labelled = [], 1.0, 0
    for position in _list_readable(index):
        width, height, *stored = index.entries.sizes_of(position)
        if entry_store.NO_SIZE in (width, height) or not frames.is_larger_picture((width, height), stored):
            continue
        boxes = index.entries[position].annotation.boxes
        if not all(frames.fits_mostly(box, stored) for box in boxes):
            return []
        larger.append(position)
        if boxes:
            chance *= stored[0] * stored[1] / (width * height)
            num_labelled += 1
    return larger if num_labelled >= _MIN_CONSTANT_FILES and chance < _MAX_CHANCE else []


def _list_readable(index):
    """Positions of the annotation files that can be used together with their image."""
    both = entry_store.HAS_CONTENT | entry_store.HAS_FACTS
    return (position for position in index.choices.paired() if index.entries.flags[position] & both == both)


def _find_empty(images):
    """One finding if many files have no objects, as after an export that lost them."""
    first, number = None, 0
    for image in images.without_labels():
        if not image.annotation.verified:
            first, number = first or image, number + 1
    if number < max(_MIN_EMPTY, _MIN_EMPTY_FRACTION * len(images)):
        return []
    problem = (
        f"{number} of {spelling.count(len(images), 'annotation file')} have no objects and are not marked as verified"
    )
    fix = "check some of the images: if they show objects, annotations were lost; otherwise they are negatives"
    return [Finding("no-objects", first.xml, problem, fix=fix)]


def _find_class_problems(images):
    counts = images.count_labels()
    notes = [
        Finding(
            "class-few",
            name,
            f"the class has only {spelling.count(count, 'box')}",
            fix=f"label at least {FEW_BOXES}",
        )
        for name, count in sorted(counts.items())
        if count < FEW_BOXES
    ]
    for first, second in class_names.find_twins(counts):
        problem = f"may mean the same as {second!r}; they remain separate classes"
        numbers = f"{counts[first]} and {spelling.count(counts[second], 'box')}"
        notes.append(
            Finding("class-twins", first, problem, None, None, numbers, "rename one of them in the annotation files")
        )
    return notes


def check_strict(notes):
    """Raises if there are findings that `--strict` does not accept.

    Raises:
      DatasetError: naming them.
    """
    bad = [finding for finding in notes if finding.is_strict]
    if bad:
        lines = [f"  {finding.code}: {finding.message}" for finding in bad[:_LISTED_BY_STRICT]]
        lines += [f"  ... and {len(bad) - _LISTED_BY_STRICT} more"] if len(bad) > _LISTED_BY_STRICT else []
        raise errors.DatasetError(
            f"--strict: {spelling.count(len(bad), 'finding')}\n" + "\n".join(lines),
            fix="correct the files, or omit --strict to have them fixed or left out",
        )


def check_usable(examination):
    """Raises if no image is left.

    Raises:
      DatasetError: with the most frequent reasons.
    """
    if examination.images:
        return
    bad = [finding for finding in examination.findings if finding.action == findings.IMAGE_LEFT_OUT]
    bad.sort(key=lambda finding: finding.severity != findings.ERROR)
    counts = findings.count_codes(bad)
    reasons = ", ".join(f"{code} {count}" for code, count in counts.items()) or "there were no images"
    examples = [finding.message for finding in bad[:3]]
    raise errors.DatasetError(
        f"{examination.source.image_dir}: no image is left to train on\n" + "\n".join(f"  {text}" for text in examples),
        expected="images with annotation files that can be used",
        received=reasons,
        fix="correct the files; `tfodhelper check` lists all problems",
    )
