"""A whole set examined: every pair read and checked, what is usable, what is left out and why.

`check` prints it, `convert` goes on from it; both see the same.
"""

import collections
import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib

from tfodhelper import console, errors
from tfodhelper.annotations import checks, findings, images
from tfodhelper.annotations.findings import Finding, from_unusable
from tfodhelper.annotations.structures import Annotation, UnusableFile
from tfodhelper.dataset import class_names, duplicates, index

FEW_BOXES = 10  # fewer boxes of a class than this are pointed out
_MIN_CONSTANT_FILES = 3
_LISTED_BY_STRICT = 10


@dataclasses.dataclass(frozen=True)
class UsableImage:
    """An image that can be trained on.

    Attributes:
      name: relative to the image folder, POSIX.
      path: the file.
      xml: name of the annotation file, relative to the annotation folder.
      annotation: checked; the size is the one of the frame that goes into the record.
      facts: of the file.
      turn: whether EXIF's turn has to be carried out.
      findings: what was found about this image.
    """

    name: str
    path: pathlib.Path
    xml: str
    annotation: Annotation
    facts: images.ImageFacts
    turn: bool
    findings: tuple[Finding, ...]


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
    """

    source: index.Source
    images: tuple[UsableImage, ...]
    unlabelled: tuple[str, ...]
    findings: tuple[Finding, ...]
    image_of: dict[str, str | None]
    digests: dict[str, str]
    fingerprint: str

    def count_boxes(self):
        """{class name: number of usable boxes}, sorted by name."""
        counts = collections.Counter(box.name for image in self.images for box in image.annotation.boxes)
        return dict(sorted(counts.items()))


@dataclasses.dataclass(frozen=True)
class _Looked:
    """What reading one image gave: digest, facts or None, the trouble or None."""

    sha256: str
    facts: images.ImageFacts | None
    trouble: UnusableFile | None


def examine(source, label_map=None, options=None, show_progress=True):
    """Reads and checks all pairs of a set; images are decoded in parallel.

    Args:
      source: an `index.Source`.
      label_map: the classes that are allowed; None allows all.
      options: a `checks.CheckOptions`.
      show_progress: whether the console shows how far it is.

    Returns:
      An `Examination`. It may have no usable image; `check_usable` raises then.

    Raises:
      DatasetError: no annotation file at all, or git-lfs pointers.
    """
    options = options or checks.CheckOptions()
    found = index.make_index(source)
    index.refuse_pointers(found.findings)
    looked = _look_at_images(found, show_progress)
    options = dataclasses.replace(options, trust_pixels=options.trust_pixels or has_constant_size(found, looked))
    usable, notes = [], list(found.findings)
    for pair in found.pairs:
        look = looked.get(pair.image)
        if look is not None and look.trouble is not None:
            notes.append(from_unusable(look.trouble, pair.image))
        elif look is not None and pair.annotation is not None:
            checked = checks.check_annotation(pair.annotation, look.facts, pair.xml, label_map, options, pair.image)
            notes += checked.findings
            if checked.annotation is not None:
                path = source.image_dir / pair.image
                usable.append(
                    UsableImage(
                        pair.image, path, pair.xml, checked.annotation, look.facts, checked.turn, checked.findings
                    )
                )
    index.refuse_pointers(notes)
    notes += [
        Finding("unlabelled", name, "has no annotation file; it is not taken for a negative")
        for name in found.unlabelled
    ]
    usable = tuple(sorted(usable, key=lambda image: image.name))
    notes += duplicates.find_duplicates(usable) + _find_class_troubles(usable)
    digests = {name: look.sha256 for name, look in looked.items()}
    image_of = {pair.xml: pair.image for pair in found.pairs}
    return Examination(source, usable, found.unlabelled, tuple(notes), image_of, digests, _fingerprint(found, digests))


def fingerprint_of(source):
    """The fingerprint of a set without checking it: reads and hashes all files, decodes nothing."""
    found = index.make_index(source)
    names = sorted({pair.image for pair in found.pairs if pair.image is not None})
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        digests = dict(zip(names, pool.map(lambda name: _digest_of(source.image_dir / name), names)))
    return _fingerprint(found, digests)


def _digest_of(path):
    try:
        return hashlib.sha256(images.read_image(path)).hexdigest()
    except UnusableFile:
        return ""


def _fingerprint(found, digests):
    pairs = [[pair.xml, pair.xml_sha256, pair.image, digests.get(pair.image, "")] for pair in found.pairs]
    text = json.dumps([pairs, list(found.unlabelled)], ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _look_at_images(found, show_progress):
    """{image name: `_Looked`} for all images of pairs."""
    names = sorted({pair.image for pair in found.pairs if pair.image is not None})
    every_s = 10.0 if show_progress else float("inf")
    looked = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda name: _look_at(found.source.image_dir / name), names)
        if not show_progress:
            return dict(zip(names, results))
        with console.Progress("images read", len(names), every_s) as progress:
            for name, result in zip(names, results):
                looked[name] = result
                progress.advance()
    return looked


def _look_at(path):
    try:
        data = images.read_image(path)
    except UnusableFile as error:
        return _Looked("", None, error)
    try:
        facts = images.inspect_image(data, path)
    except UnusableFile as error:
        return _Looked(hashlib.sha256(data).hexdigest(), None, error)
    return _Looked(facts.sha256, facts, None)


def has_constant_size(found, looked):
    """Whether every XML of the set gives one and the same size, which therefore says nothing about its image.

    Some exports write a constant. It is taken for one when at least three files give it, no box of any file lies
    outside of its image, the images have several sizes, and some boxes fit their image but not the constant.
    """
    readable = [
        (pair.annotation, looked[pair.image].facts)
        for pair in found.pairs
        if pair.annotation is not None and pair.image is not None and looked[pair.image].facts is not None
    ]
    given = {(annotation.width, annotation.height) for annotation, _ in readable}
    real = {(facts.width, facts.height) for _, facts in readable}
    if len(readable) < _MIN_CONSTANT_FILES or len(given) != 1 or len(real) < 2 or None in next(iter(given)):
        return False
    constant = next(iter(given))
    exceeds = False
    for annotation, facts in readable:
        if not all(checks.fits(box, (facts.width, facts.height)) for box in annotation.boxes):
            return False
        exceeds = exceeds or not all(checks.fits(box, constant) for box in annotation.boxes)
    return exceeds


def _find_class_troubles(usable):
    counts = collections.Counter(box.name for image in usable for box in image.annotation.boxes)
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
