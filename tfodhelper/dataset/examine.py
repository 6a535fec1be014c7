"""A whole set examined: every pair read and checked, what is usable, what is left out and why.

`check` prints it, `convert` goes on from it; both see the same.
"""

import collections
import contextlib
import dataclasses
import hashlib
import itertools
import json

from tfodhelper import console, errors
from tfodhelper.annotations import checks, findings
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset import class_names, duplicates, entries, index
from tfodhelper.dataset.entries import UsableImage

FEW_BOXES = 10  # fewer boxes of a class than this are pointed out
_MIN_CONSTANT_FILES = 3
_LISTED_BY_STRICT = 10


@dataclasses.dataclass(frozen=True)
class Examination:
    """All that is known of a set.

    Attributes:
      source: the folders.
      images: the usable ones, sorted by name.
      unlabelled: names of images without annotation file.
      findings: everything that was found, in the order of the files.
      image_of: {name of an annotation file: name of its image, or None}.
      digests: {name of a paired image: hex digest of the file, or "" when it could not be read}.
      fingerprint: hex digest of the whole input; equal inputs have equal fingerprints.
      looked: what was looked at, for `entries.write_notes`.
    """

    source: index.Source
    images: tuple[UsableImage, ...]
    unlabelled: tuple[str, ...]
    findings: tuple[Finding, ...]
    image_of: dict[str, str | None]
    digests: dict[str, str]
    fingerprint: str
    looked: tuple[entries.Entry, ...] = ()

    def count_boxes(self):
        """{class name: number of usable boxes}, sorted by name."""
        return dict(sorted(_count_labels(self.images).items()))


def examine(source, label_map=None, options=None, show_progress=True, *, decode=True, num_workers=0, known=None):
    """Looks at all annotation files and their images and checks them, in parallel.

    Args:
      source: an `index.Source`.
      label_map: the classes that are allowed; None allows all.
      options: a `checks.CheckOptions`.
      show_progress: whether the console shows how far it is.
      decode: whether every image is decoded, which finds damage that a header does not show.
      num_workers: processes; 0 leaves it to the program, 1 works in this one.
      known: {annotation file: `entries.Entry`} of an earlier examination with the same options; what has not changed
        since is not read again.

    Returns:
      An `Examination`. It may have no usable image; `check_usable` raises then.

    Raises:
      DatasetError: no annotation file at all, or git-lfs pointers.
    """
    look = make_look_options(source, label_map, options, decode)
    with _progress(show_progress) as progress:
        found = index.make_index(source, look, known, num_workers, progress)
    index.refuse_pointers(found.findings, source.image_dir, found.unlabelled)
    pairs, notes = _check_pairs(found, look), list(found.findings)
    usable = []
    for entry in pairs:
        notes += [Finding(*entry.image_trouble)] if entry.image_trouble else []
        notes += [Finding(*values) for values in entry.findings]
        if entry.checked is not None:
            usable.append(UsableImage(entry, look.image_dir))
    index.refuse_pointers(notes)
    notes += [
        Finding("unlabelled", name, "has no annotation file; it is not taken for a negative")
        for name in found.unlabelled
    ]
    usable = tuple(sorted(usable, key=lambda image: image.name))
    notes += duplicates.find_duplicates(_repeated(usable)) + _find_class_troubles(usable)
    digests = {entry.image: entry.image_sha256 for entry in pairs}
    image_of = {pair.xml: pair.image for pair in found.pairs}
    fingerprint = _fingerprint(found, digests)
    return Examination(source, usable, found.unlabelled, tuple(notes), image_of, digests, fingerprint, found.entries)


def make_look_options(source, label_map=None, options=None, decode=True):
    """The `entries.LookOptions` of a set."""
    options = options or checks.CheckOptions()
    return entries.LookOptions(str(source.image_dir), str(source.annotation_dir), decode, label_map, options)


@contextlib.contextmanager
def _progress(show):
    if not show:
        yield None
        return
    with console.Progress("annotation files and images read") as progress:
        yield progress


def _check_pairs(found, look):
    """The entries of all pairs with an image, each with that image looked at and checked."""
    pairs = []
    for pair in found.pairs:
        entry = pair.entry
        if pair.image is not None and entry.image != pair.image:  # the name alone did not lead there
            entry = entries.look_at_image(look, entry, pair.image)
        if pair.image is not None:
            pairs.append(entry)
    if not look.check_options.trust_pixels and has_constant_size(pairs):
        look = look._replace(check_options=dataclasses.replace(look.check_options, trust_pixels=True))
        pairs = [entry if entry.facts is None else entries.check(look, entry) for entry in pairs]
    return pairs


def _repeated(images):
    """The images whose bytes are those of another one."""
    counts = collections.Counter(image.sha256 for image in images)
    return [image for image in images if counts[image.sha256] > 1] if len(counts) < len(images) else []


def _count_labels(images):
    return collections.Counter(itertools.chain.from_iterable(image.labels for image in images))


def fingerprint_of(source, known=None, num_workers=0):
    """The fingerprint of a set without decoding it.

    Args:
      source: an `index.Source`.
      known: {annotation file: `entries.Entry`} of an earlier examination; what has not changed since is not read again.
      num_workers: as for `examine`.
    """
    look = make_look_options(source, decode=False)
    found = index.make_index(source, look, known, num_workers)
    return _fingerprint(found, {entry.image: entry.image_sha256 for entry in _check_pairs(found, look)})


def _fingerprint(found, digests):
    whole = hashlib.sha256()
    for pair in found.pairs:
        line = (pair.xml, pair.entry.sha256, pair.image, digests.get(pair.image, ""))
        whole.update(json.dumps(line).encode("ascii") + b"\n")
    whole.update(json.dumps(found.unlabelled).encode("ascii"))
    return whole.hexdigest()


def has_constant_size(pairs):
    """Whether every XML of the set gives one and the same size, which therefore says nothing about its image.

    Some exports write a constant. It is taken for one when at least three files give it, no box of any file lies
    outside of its image, the images have several sizes, and some boxes fit their image but not the constant.

    Args:
      pairs: `entries.Entry`s with their images.
    """
    readable = [entry for entry in pairs if entry.packed is not None and entry.facts is not None]
    given = {(entry.width, entry.height) for entry in readable}
    real = {entry.facts[1:3] for entry in readable}
    if len(readable) < _MIN_CONSTANT_FILES or len(given) != 1 or len(real) < 2 or None in next(iter(given)):
        return False
    constant = next(iter(given))
    exceeds = False
    for entry in readable:
        boxes = entry.annotation.boxes
        if not all(checks.fits(box, entry.facts[1:3]) for box in boxes):
            return False
        exceeds = exceeds or not all(checks.fits(box, constant) for box in boxes)
    return exceeds


def _find_class_troubles(usable):
    counts = _count_labels(usable)
    notes = [
        Finding(
            "class-few",
            name,
            f"the class has only {count} box" + ("es" if count > 1 else ""),
            way_out=f"label at least {FEW_BOXES}",
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
            way_out="mend the files, or leave --strict out to have them fixed or left out",
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
        way_out="mend what is named; `tfodhelper check` lists everything",
    )
