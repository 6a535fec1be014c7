"""A whole set examined: every pair read and checked, what is usable, what is left out and why.

`check` prints it, `convert` goes on from it; both see the same.
"""

import collections.abc
import contextlib
import dataclasses
import functools
import hashlib
import json

from tfodhelper import console, errors
from tfodhelper.annotations import checks, findings
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset.scan import class_names, discover, duplicates, entry_store, usable_images
from tfodhelper.dataset.scan import entry as entries
from tfodhelper.outofcore import columns

FEW_BOXES = 10  # fewer boxes of a class than this are pointed out
_MIN_CONSTANT_FILES = 3
_TILE_RATIO = 1.25  # the frame is so much wider and higher than the tile, at least
_MAX_CHANCE = 1e-3
_MIN_EMPTY = 10  # files without objects, before they are pointed out
_MIN_EMPTY_FRACTION = 0.2
_LISTED_BY_STRICT = 10


class Found(collections.abc.Sequence):
    """Findings: those that are kept, then one for each image without annotation file, made when it is asked for.

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
        return self._kept[number] if number < known else _say_unlabelled(self._unlabelled[number - known])

    def __iter__(self):
        yield from self._kept
        yield from map(_say_unlabelled, self._unlabelled)

    def with_more(self, findings):
        """The same with further ones."""
        return Found((*self._kept, *findings), self._unlabelled)


def _say_unlabelled(name):
    return Finding("unlabelled", name, "has no annotation file; it is not taken for a negative")


@dataclasses.dataclass(frozen=True)
class Examination:
    """All that is known of a set.

    Attributes:
      source: the folders.
      images: the usable ones, sorted by name; a `usable_images.Images`.
      unlabelled: names of images without annotation file, sorted.
      findings: everything that was found; a `Found`.
      index: the `discover.Index` that it comes from.
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
        """Hex digest of an image that belongs to an annotation file; "" of every other name."""
        number = self.index.image_names.find(image)
        position = self.images.position_of(number) if number >= 0 else -1
        return "" if position < 0 else self.index.looked[position].image_sha256


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
    """Looks at all annotation files and their images and checks them, in parallel.

    Args:
      source: an `discover.Source`.
      label_map: the classes that are allowed; None allows all.
      options: a `checks.CheckOptions`.
      show_progress: whether the console shows how far it is.
      decode: whether every image is decoded, which finds damage that a header does not show.
      num_workers: processes; 0 leaves it to the program, 1 works in this one.
      known: `entry_store.Notes` of an earlier examination with the same options, or None; what has not changed
        since is not read again.
      folder, identity: see `entry_store.EntryStore`.

    Returns:
      An `Examination`. It may have no usable image; `check_usable` raises then.

    Raises:
      DatasetError: no annotation file at all, or git-lfs pointers.
    """
    look = make_look_options(source, label_map, options, decode)
    with _progress(show_progress) as progress:
        found = discover.make_index(source, look, known, num_workers, progress, folder, identity)
    discover.refuse_pointers(found.findings, source.image_dir, found.unlabelled)
    _check_meaningless_sizes(found, look, num_workers)
    notes = list(found.findings) + _collect_remarks(found)
    discover.refuse_pointers(notes)
    images = usable_images.Images(found)
    notes += duplicates.find_duplicates(images.repeated()) + _find_class_troubles(images) + _find_empty(images)
    return Examination(source, images, found.unlabelled, Found(notes, found.unlabelled), found, _fingerprint(found))


def _collect_remarks(found):
    """The findings about the annotation files that are used, and about their images."""
    notes = []
    for position in found.choices.paired():
        if found.looked.flags[position] & entry_store.HAS_REMARKS:
            entry = found.looked[position]
            notes += [Finding(*entry.image_trouble)] if entry.image_trouble else []
            notes += [Finding(*values) for values in entry.findings]
    return notes


def make_look_options(source, label_map=None, options=None, decode=True):
    """The `entry.LookOptions` of a set."""
    options = options or checks.CheckOptions()
    return entries.LookOptions(str(source.image_dir), str(source.annotation_dir), decode, label_map, options)


@contextlib.contextmanager
def _progress(show):
    if not show:
        yield None
        return
    with console.Progress("annotation files and images read") as progress:
        yield progress


def _check_meaningless_sizes(found, look, num_workers):
    """Checks files anew whose size turns out to mean nothing when the whole set is looked at."""
    if look.check_options.trust_pixels:
        return
    is_constant = has_constant_size(found)
    positions = columns.Column("Q", found.choices.paired() if is_constant else find_tiles(found), found.looked.folder)
    look = look._replace(
        decode=False, check_options=dataclasses.replace(look.check_options, trust_pixels=True)
    )  # the pixels are known

    def make_task(piece):
        return look, found.looked.path, [found.looked.place_of(p) for p in piece]

    discover.look_anew(found.looked, positions, entry_store.check_again, make_task, look, num_workers)


def fingerprint_of(source, known=None, num_workers=0, folder=None):
    """The fingerprint of a set without decoding it.

    Args:
      source: an `discover.Source`.
      known: `entry_store.Notes` of an earlier examination, or None; what has not changed since is not read again.
      num_workers: as for `examine`.
      folder: see `entry_store.EntryStore`.
    """
    look = make_look_options(source, decode=False)
    return _fingerprint(discover.make_index(source, look, known, num_workers, folder=folder))


def _fingerprint(found):
    whole, choices = hashlib.sha256(), found.choices
    for is_used, number, name, digests in zip(
        choices.is_used, choices.image, found.xml_names, found.looked.digest_pairs()
    ):
        if is_used:
            image = found.image_names[number] if number >= 0 else ""
            whole.update(f"{name}\0{image}\0".encode() + digests[0] + (digests[1] if image else b""))
    between = "["
    for name in found.unlabelled:
        whole.update((between + json.dumps(name)).encode("ascii"))
        between = ", "
    whole.update(b"]" if len(found.unlabelled) else b"[]")
    return whole.hexdigest()


def has_constant_size(found):
    """Whether every XML of the set gives one and the same size, which therefore says nothing about its image.

    Some exports write a constant. It is taken for one when at least three files give it, no box of any file lies
    outside of its image, the images have several sizes, and some boxes fit their image but not the constant.

    Args:
      found: an `discover.Index`.
    """
    constant, real, num_readable = None, set(), 0
    for position in _list_readable(found):
        width, height, *stored = found.looked.sizes_of(position)
        constant = constant or (width, height)
        if constant != (width, height) or entry_store.NO_SIZE in constant:
            return False
        num_readable += 1
        if len(real) < 2:
            real.add(tuple(stored))
    if num_readable < _MIN_CONSTANT_FILES or len(real) < 2:
        return False
    exceeds = False
    for position in _list_readable(found):
        entry = found.looked[position]
        boxes = entry.annotation.boxes
        if not all(checks.fits(box, entry.facts[1:3]) for box in boxes):
            return False
        exceeds = exceeds or not all(checks.fits(box, constant) for box in boxes)
    return exceeds


def find_tiles(found):
    """Positions of the annotation files whose size is that of a larger image, of which their image is a part.

    Where images were cut into tiles and the size stayed, every box lies inside its tile. If the boxes belonged to the
    larger frame, each file would show that only by chance, at most by the share of the tile in the frame.

    Args:
      found: an `discover.Index`.

    Returns:
      List of positions; empty where one box does not fit, or where it may be chance.
    """
    larger, chance, num_labelled = [], 1.0, 0
    for position in _list_readable(found):
        width, height, *stored = found.looked.sizes_of(position)
        if (
            entry_store.NO_SIZE in (width, height)
            or width < _TILE_RATIO * stored[0]
            or height < _TILE_RATIO * stored[1]
        ):
            continue
        boxes = found.looked[position].annotation.boxes
        if not all(checks.fits(box, stored) for box in boxes):
            return []
        larger.append(position)
        if boxes:
            chance *= stored[0] * stored[1] / (width * height)
            num_labelled += 1
    return larger if num_labelled >= _MIN_CONSTANT_FILES and chance < _MAX_CHANCE else []


def _list_readable(found):
    """Positions of the annotation files that can be used and whose image can."""
    both = entry_store.HAS_CONTENT | entry_store.HAS_FACTS
    return (position for position in found.choices.paired() if found.looked.flags[position] & both == both)


def _find_empty(images):
    """One finding for a set with many files that hold no object, as an export leaves them that lost its objects."""
    first, number = None, 0
    for image in images.without_labels():
        if not image.annotation.verified:
            first, number = first or image, number + 1
    if number < max(_MIN_EMPTY, _MIN_EMPTY_FRACTION * len(images)):
        return []
    what = f"{number} of {len(images)} annotation files have no object and are not marked as verified"
    fix = "look at some of the images: if objects can be seen, the annotations were lost; else they are negatives"
    return [Finding("no-objects", first.xml, what, fix=fix)]


def _find_class_troubles(images):
    counts = images.count_labels()
    notes = [
        Finding(
            "class-few",
            name,
            f"the class has only {count} box" + ("es" if count > 1 else ""),
            fix=f"label at least {FEW_BOXES}",
        )
        for name, count in sorted(counts.items())
        if count < FEW_BOXES
    ]
    for first, second in class_names.find_twins(counts):
        what = f"may mean the same as {second!r}; they are kept apart"
        numbers = f"{counts[first]} and {counts[second]} boxes"
        notes.append(Finding("class-twins", first, what, None, None, numbers, "rename one in the annotation files"))
    return notes


def check_strict(notes):
    """Turns the first findings that `--strict` minds into an error.

    Raises:
      DatasetError: naming them.
    """
    bad = [finding for finding in notes if finding.is_strict]
    if bad:
        lines = [f"  {finding.code}: {finding.message}" for finding in bad[:_LISTED_BY_STRICT]]
        lines += [f"  ... and {len(bad) - _LISTED_BY_STRICT} more"] if len(bad) > _LISTED_BY_STRICT else []
        raise errors.DatasetError(
            f"--strict: {len(bad)} findings\n" + "\n".join(lines),
            fix="mend the files, or leave --strict out to have them fixed or left out",
        )


def check_usable(examination):
    """Stops when no image is left.

    Raises:
      DatasetError: with the most frequent reasons.
    """
    if examination.images:
        return
    bad = [finding for finding in examination.findings if finding.action == findings.IMAGE_LEFT_OUT]
    bad.sort(key=lambda finding: finding.severity != findings.ERROR)
    counts = findings.count_codes(bad)
    reasons = ", ".join(f"{code} {count}" for code, count in counts.items()) or "there was none to begin with"
    examples = [finding.message for finding in bad[:3]]
    raise errors.DatasetError(
        f"{examination.source.image_dir}: no image is left to train on\n" + "\n".join(f"  {text}" for text in examples),
        expected="images with annotation files that can be used",
        received=reasons,
        fix="mend what is named; `tfodhelper check` lists everything",
    )
