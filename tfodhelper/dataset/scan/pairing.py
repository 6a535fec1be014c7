"""Decides which image an annotation file belongs to.

Two names lead to an image: the stem of the annotation file, and its `<filename>`. Neither is always right: images are
renamed after labelling, and some tools number their annotation files. If they lead to different images, the size in
the XML decides; if nothing decides, the annotation is left out.
"""

import dataclasses
import functools
import os
import posixpath
import unicodedata

from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.images import EXTENSIONS
from tfodhelper.dataset.scan import entry_store
from tfodhelper.outofcore import columns, sorting


@dataclasses.dataclass(frozen=True)
class Choice:
    """The image of one document, and whether it was found by the document's stem."""

    image: str | None
    by_stem: bool = False


class Choices:
    """The image of each document, in columns.

    Args:
      folder: see `columns.Column`.

    Attributes:
      image: number of the image, or -1.
      by_stem: whether the image was found by the document's stem.
      is_used: whether the document is used at all.
    """

    def __init__(self, folder=None):
        self.image = columns.Column("q", folder=folder)
        self.by_stem, self.is_used = (columns.Column("B", folder=folder) for _ in range(2))

    def add(self, image, by_stem, is_used=True):
        """Adds the choice for the next document."""
        self.image.append(image)
        self.by_stem.append(by_stem)
        self.is_used.append(is_used)

    def used(self):
        """Positions of the documents that are used."""
        return (position for position, is_used in enumerate(self.is_used) if is_used)

    def paired(self):
        """Positions of the documents that are used and have an image."""
        both = enumerate(zip(self.is_used, self.image))
        return (position for position, (is_used, image) in both if is_used and image >= 0)


def pair(documents, names, finder, stems, read_size):
    """Chooses the image of each document, and the document of each image.

    Args:
      documents: an `entry_store.EntryStore`; files that are not annotations get no image and are not used.
      names: of the documents, sorted.
      finder: an `ImageFinder` for all images.
      stems: the results of `ImageFinder.find_stem` for all documents.
      read_size: maps the name of an image to (width, height, EXIF orientation) or None.

    Returns:
      (`Choices`; list of findings).
    """
    owned = columns.filled("B", 0, len(finder.image_names), finder.folder)
    for image, flags in zip(stems, documents.flags):
        if image >= 0 and not flags & entry_store.IS_FOREIGN:
            owned[image] = 1
    choices, findings = Choices(finder.folder), []
    for position, (image, flags) in enumerate(zip(stems, documents.flags)):
        if flags & entry_store.IS_FOREIGN:
            choices.add(-1, False, False)
        elif image >= 0 and (flags & entry_store.IS_NAMED or not flags & entry_store.HAS_CONTENT):
            choices.add(image, True)  # the usual case: both names lead to it
        elif not flags & entry_store.HAS_CONTENT:
            choices.add(-1, False)
        else:
            by_stem = finder.by_stem(names[position])
            choice, more = _choose(documents[position], by_stem, finder, owned, read_size)
            choices.add(-1 if choice.image is None else finder.number_of(choice.image), choice.by_stem)
            findings += more
    findings += _resolve_conflicts(documents, names, finder, choices)
    return choices, findings


class ImageFinder:
    """Finds images by stem or by name: exactly first, then ignoring case and the encoding of accents.

    Args:
      image_names: of all images, sorted; a `columns.Texts`.
      folder: see `columns.Column`.
    """

    def __init__(self, image_names, folder=None):
        self.image_names, self.folder = image_names, folder
        self._stems = self._collect(_stem_of)

    def _collect(self, key_of):
        """A function from a key to the numbers of the images with this key, in order."""
        return sorting.Lookup(self.image_names, self.folder, key_of).find

    @functools.cached_property
    def _names(self):
        return self._collect(_name_of)

    @functools.cached_property
    def _loose_stems(self):
        return self._collect(lambda name: _fold(_stem_of(name)))

    @functools.cached_property
    def _loose_names(self):
        return self._collect(lambda name: _fold(_name_of(name)))

    def number_of(self, image):
        """The number of an image: its index in `image_names`."""
        return self.image_names.find(image)

    def find_stem(self, xml_name):
        """The number of the only image with the stem of the annotation file; -1 if there are none or several."""
        numbers = self._stems(_name_of(xml_name)[:-4])
        if len(numbers) == 1:
            return numbers[0]
        images = self.by_stem(xml_name)
        return self.number_of(images[0]) if len(images) == 1 else -1

    def by_stem(self, xml_name):
        """Images with the stem of the annotation file, in the nearest folder; "a.jpg.xml" belongs to "a.jpg"."""
        stem = os.path.splitext(_name_of(xml_name))[0]
        return self._nearest(xml_name, stem, with_names=True)

    def by_filename(self, xml_name, filename):
        """Images named by `<filename>`, in the nearest folder; the extension may be missing."""
        if not filename:
            return []
        if os.path.splitext(filename)[1].lower() in EXTENSIONS:
            return self._keep_nearest(xml_name, self._names(filename) or self._loose_names(_fold(filename)))
        return self._nearest(xml_name, filename, with_names=False)

    def _nearest(self, xml_name, stem, with_names):
        numbers = self._stems(stem) or (with_names and self._names(stem))
        if not numbers:
            loose = _fold(stem)
            numbers = self._loose_stems(loose) or (with_names and self._loose_names(loose)) or []
        return self._keep_nearest(xml_name, numbers)

    def _keep_nearest(self, xml_name, numbers):
        """The images whose folder is most similar to that of the annotation file."""
        images = [self.image_names[number] for number in numbers]
        if len(images) < 2:
            return images
        nearness = [_nearness(posixpath.dirname(xml_name), posixpath.dirname(image)) for image in images]
        return [image for image, value in zip(images, nearness) if value == max(nearness)]


def _name_of(path):
    return path.rpartition("/")[2]


def _stem_of(path):
    return path.rpartition("/")[2].rpartition(".")[0]


def _fold(name):
    """A name with case removed and with accents composed; macOS stores them as separate characters."""
    return unicodedata.normalize("NFC", name).casefold()


def _nearness(folder, other):
    """Infinite for equal folders, else the number of common leading and trailing parts."""
    if folder == other:
        return float("inf")
    first, second = folder.split("/"), other.split("/")
    front = os.path.commonprefix([first, second])
    back = os.path.commonprefix([first[len(front) :][::-1], second[len(front) :][::-1]])
    return len(front) + len(back)


def _choose(document, by_stem, finder, owned, read_size):
    """Returns the `Choice` for one document, and findings."""
    by_name = finder.by_filename(document.name, document.filename)
    both = [image for image in by_stem if image in by_name]
    if both:
        by_stem = by_name = both
    candidates = by_stem or by_name
    if by_stem and by_name and not both:
        return _decide_by_size(document, by_stem, by_name, finder, owned, read_size)
    if not candidates:
        return Choice(None), [_missing(document)]
    if len(candidates) > 1:
        fitting = [image for image in candidates if _has_size(document, read_size(image))]
        if len(fitting) != 1:
            return Choice(None), [_ambiguous(document, candidates)]
        candidates = fitting
    findings = _differing_filename(document, candidates[0]) if by_stem else []
    return Choice(candidates[0], bool(by_stem)), findings


def _decide_by_size(document, by_stem, by_name, finder, owned, read_size):
    """Chooses if the stem leads to one image and `<filename>` to another."""
    fits_stem = [image for image in by_stem if _has_size(document, read_size(image))]
    fits_name = [image for image in by_name if _has_size(document, read_size(image))]
    if len(fits_stem) == 1 and not fits_name:
        return Choice(fits_stem[0], True), [_decided(document, fits_stem[0], "it has the size given in the XML")]
    if len(fits_name) == 1 and not fits_stem:
        return Choice(fits_name[0]), [_decided(document, fits_name[0], "it has the size given in the XML")]
    if len(by_stem) == 1 and all(owned[finder.number_of(image)] for image in by_name):
        reason = "the size does not decide, but the named image has its own annotation file"
        return Choice(by_stem[0], True), [_decided(document, by_stem[0], reason)]
    return Choice(None), [_ambiguous(document, [*by_stem, *by_name])]


def _has_size(document, size):
    """Whether the size in the XML is the stored size, or the size after the EXIF rotation."""
    if size is None or document.width is None or document.height is None:
        return False
    width, height, orientation = size
    given = (document.width, document.height)
    return given == (width, height) or (orientation >= 5 and given == (height, width))


def _resolve_conflicts(documents, names, finder, choices):
    """Keeps one document per image, that with its stem; equal copies are dropped, contradictions are reported."""
    counts, claims, findings = columns.filled("B", 0, len(finder.image_names), finder.folder), {}, []
    for image in choices.image:
        if image >= 0:
            counts[image] = min(counts[image] + 1, 2)
    for position, image in enumerate(choices.image):
        if image >= 0 and counts[image] > 1:
            claims.setdefault(image, []).append(position)
    for number, positions in claims.items():
        has_content = {p: bool(documents.flags[p] & entry_store.HAS_CONTENT) for p in positions}
        ranked = sorted(positions, key=lambda p: (not choices.by_stem[p], not has_content[p], p))
        winner, image = ranked[0], finder.image_names[number]
        for position in ranked[1:]:
            same = _have_equal_content(documents[winner].annotation, documents[position].annotation)
            equal_rank = choices.by_stem[position] == choices.by_stem[winner]
            choices.is_used[position] = False
            name, other = names[position], names[winner]
            if same:
                findings.append(Finding("xml-copy", name, f"has the same content for {image} as {other}"))
            elif has_content[position]:
                code = "annotations-conflict" if equal_rank else "xml-conflict"
                fix = "keep only one of the files, or select one folder with --annotation_dir"
                problem = f"has different content for {image} than {other}"
                findings.append(Finding(code, name, problem, fix=fix))
                if equal_rank:
                    choices.is_used[winner] = False
    return findings


def _have_equal_content(first, second):
    if first is None or second is None:
        return False
    return set(first.boxes) == set(second.boxes) and first.skipped == second.skipped


def _missing(document):
    filename = document.filename
    stem = os.path.splitext(posixpath.basename(document.name))[0]
    wanted = f"{stem}.jpg" + (f" or {filename}" if filename else "")
    return Finding(
        "image-missing",
        document.name,
        "its image does not exist",
        None,
        f"an image like {wanted}",
        "none",
        "copy the image, or give its folder with --image_dir",
    )


def _ambiguous(document, candidates):
    return Finding(
        "image-ambiguous",
        document.name,
        "it may belong to any of several images: " + ", ".join(sorted(set(candidates))),
        fix="give the image and the annotation file the same name",
    )


def _decided(document, image, reason):
    problem = f"<filename> and the file's own name lead to different images; {image} is used: {reason}"
    return Finding("filename-differs", document.name, problem, None, posixpath.basename(image), document.filename)


def _differing_filename(document, image):
    """A finding about a stale `<filename>`; some old tools write none, or omit the extension, which is not reported."""
    filename, name = document.filename, posixpath.basename(image)
    if filename in ("", name, os.path.splitext(name)[0]):
        return []
    problem = "<filename> names another image; the image with the annotation file's own name is used"
    if _fold(filename) == _fold(name):
        problem = "<filename> differs from the image's name only in case, or in the encoding of accents"
        problem = problem if filename.casefold() != name.casefold() else problem.partition(",")[0]
    return [Finding("filename-differs", document.name, problem, None, name, filename)]
