"""Which image an annotation file belongs to.

Two names lead to an image: the annotation file's own stem, and its `<filename>`. Neither is always right: images are
renamed after labelling, and some tools number their annotation files. Where both lead to images and these differ, the
size in the XML decides; where it cannot, and nothing else does, the annotation is left out.
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
    """The image of one document, and whether its stem leads there."""

    image: str | None
    by_stem: bool = False


class Choices:
    """The image of each document, in columns.

    Args:
      folder: see `columns.Column`.

    Attributes:
      image: number of the image, or -1.
      by_stem: whether the document's stem leads there.
      is_used: whether the document is used at all.
    """

    def __init__(self, folder=None):
        self.image = columns.Column("q", folder=folder)
        self.by_stem, self.is_used = (columns.Column("B", folder=folder) for _ in range(2))

    def add(self, image, by_stem, is_used=True):
        """Adds what was chosen for the next document."""
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
      documents: a `entry_store.EntryStore`; what is no annotation gets no image and is not used.
      names: of the documents, sorted.
      finder: a `Finder` of all images.
      stems: what `Finder.find_stem` says for each document.
      read_size: callable from an image's name to (width, height, EXIF orientation), or None.

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
            choices.add(image, True)  # both names lead to it: the usual case
        elif not flags & entry_store.HAS_CONTENT:
            choices.add(-1, False)
        else:
            by_stem = finder.by_stem(names[position])
            choice, more = _choose(documents[position], by_stem, finder, owned, read_size)
            choices.add(-1 if choice.image is None else finder.number_of(choice.image), choice.by_stem)
            findings += more
    findings += _settle_contests(documents, names, finder, choices)
    return choices, findings


class Finder:
    """Finds images by stem or by name: exact first, then without regard to case and to how accents are stored.

    Args:
      image_names: of all images, sorted; a `columns.Texts`.
      folder: see `columns.Column`.
    """

    def __init__(self, image_names, folder=None):
        self.image_names, self.folder = image_names, folder
        self._stems = self._collect(_stem_of)

    def _collect(self, key_of):
        """A function from a key to the numbers of the images that have it, in order."""
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
        """The place of an image in the names."""
        return self.image_names.find(image)

    def find_stem(self, xml_name):
        """The number of the only image called as the annotation file is; -1 when there are none or several."""
        found = self._stems(_name_of(xml_name)[:-4])
        if len(found) == 1:
            return found[0]
        found = self.by_stem(xml_name)
        return self.number_of(found[0]) if len(found) == 1 else -1

    def by_stem(self, xml_name):
        """Images called as the annotation file is, in the nearest folder; "a.jpg.xml" belongs to "a.jpg"."""
        stem = os.path.splitext(_name_of(xml_name))[0]
        return self._nearest(xml_name, stem, with_names=True)

    def by_filename(self, xml_name, filename):
        """Images that `<filename>` names, in the nearest folder; it may lack the extension."""
        if not filename:
            return []
        if os.path.splitext(filename)[1].lower() in EXTENSIONS:
            return self._keep_nearest(xml_name, self._names(filename) or self._loose_names(_fold(filename)))
        return self._nearest(xml_name, filename, with_names=False)

    def _nearest(self, xml_name, stem, with_names):
        found = self._stems(stem) or (with_names and self._names(stem))
        if not found:
            loose = _fold(stem)
            found = self._loose_stems(loose) or (with_names and self._loose_names(loose)) or []
        return self._keep_nearest(xml_name, found)

    def _keep_nearest(self, xml_name, numbers):
        """Those images whose folder is most like the annotation file's."""
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
    """A name without regard to case, and to whether an accent is a character of its own, as macOS stores it."""
    return unicodedata.normalize("NFC", name).casefold()


def _nearness(folder, other):
    """Equal folders first; then the number of equal parts from the front and from the back."""
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
    """The stem leads to one image and `<filename>` to another."""
    fits_stem = [image for image in by_stem if _has_size(document, read_size(image))]
    fits_name = [image for image in by_name if _has_size(document, read_size(image))]
    if len(fits_stem) == 1 and not fits_name:
        return Choice(fits_stem[0], True), [
            _decided(document, fits_stem[0], "the size in the XML is that of this image")
        ]
    if len(fits_name) == 1 and not fits_stem:
        return Choice(fits_name[0]), [_decided(document, fits_name[0], "the size in the XML is that of this image")]
    if len(by_stem) == 1 and all(owned[finder.number_of(image)] for image in by_name):
        reason = "the size cannot tell, but the named image has an annotation file of its own"
        return Choice(by_stem[0], True), [_decided(document, by_stem[0], reason)]
    return Choice(None), [_ambiguous(document, [*by_stem, *by_name])]


def _has_size(document, size):
    """Whether the size in the XML is the stored size, or the size as EXIF turns the image."""
    if size is None or document.width is None or document.height is None:
        return False
    width, height, orientation = size
    given = (document.width, document.height)
    return given == (width, height) or (orientation >= 5 and given == (height, width))


def _settle_contests(documents, names, finder, choices):
    """Leaves one document for each image: the one with its stem; an equal copy is dropped, a contradiction reported."""
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
            same = _say_the_same(documents[winner].annotation, documents[position].annotation)
            equal_rank = choices.by_stem[position] == choices.by_stem[winner]
            choices.is_used[position] = False
            name, other = names[position], names[winner]
            if same:
                findings.append(Finding("xml-copy", name, f"says the same about {image} as {other}"))
            elif has_content[position]:
                code = "annotations-conflict" if equal_rank else "xml-conflict"
                fix = "keep one of the files, or name one folder with --annotation_dir"
                what = f"says something else about {image} than {other}"
                findings.append(Finding(code, name, what, fix=fix))
                if equal_rank:
                    choices.is_used[winner] = False
    return findings


def _say_the_same(first, second):
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
        "its image is not there",
        None,
        f"an image like {wanted}",
        "none",
        "copy the image, or name its folder with --image_dir",
    )


def _ambiguous(document, candidates):
    return Finding(
        "image-ambiguous",
        document.name,
        "it cannot be told which image it belongs to: " + ", ".join(sorted(set(candidates))),
        fix="give the image and the annotation file the same name",
    )


def _decided(document, image, reason):
    what = f"<filename> and the file's own name lead to different images; {image} is used: {reason}"
    return Finding("filename-differs", document.name, what, None, posixpath.basename(image), document.filename)


def _differing_filename(document, image):
    """A stale `<filename>`; one without extension, or none at all, is an old habit of some tools and says nothing."""
    filename, name = document.filename, posixpath.basename(image)
    if filename in ("", name, os.path.splitext(name)[0]):
        return []
    what = "<filename> names another image; the one with the annotation file's own name is used"
    if _fold(filename) == _fold(name):
        what = "<filename> differs from the image's name in upper and lower case only, or in how accents are stored"
        what = what if filename.casefold() != name.casefold() else what.partition(",")[0]
    return [Finding("filename-differs", document.name, what, None, name, filename)]
