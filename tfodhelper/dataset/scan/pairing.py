"""Decides which image an annotation file belongs to.

Two names lead to an image: the stem of the annotation file, and its `<filename>`. Neither is always right: images are
renamed after labelling, and some tools number their annotation files. If they lead to different images, the size in
the XML decides; if nothing decides, the annotation is left out.
"""

import dataclasses
import functools
import os
import posixpath

from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.images import EXTENSIONS
from tfodhelper.dataset.scan import claims, entry_store
from tfodhelper.outofcore import columns, sorting


@dataclasses.dataclass(frozen=True)
class Choice:
    """The image of one document.

    Attributes:
      image: its name, or None.
      by_stem: whether it was found by the document's stem.
      candidates: the images that the document may belong to if that cannot be decided.
    """

    image: str | None
    by_stem: bool = False
    candidates: tuple[str, ...] = ()


class Choices:
    """The image of each document, in columns.

    Args:
      folder: see `columns.Column`.

    Attributes:
      image: number of the image, or -1.
      by_stem: whether the image was found by the document's stem.
      is_used: whether the document is used at all.
      contested: numbers of the images that an ambiguous document may belong to.
    """

    def __init__(self, folder=None):
        self.contested = set()
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
            choices.contested.update(map(finder.number_of, choice.candidates))
            findings += more
    more = claims.settle(documents, names, finder, choices, read_size)
    without_image = {finding.file for finding in more if finding.code == "image-missing"}
    return choices, [finding for finding in findings if finding.file not in without_image] + more


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
        return self._collect(lambda name: claims.fold(_stem_of(name)))

    @functools.cached_property
    def _loose_names(self):
        return self._collect(lambda name: claims.fold(_name_of(name)))

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
            return self._keep_nearest(xml_name, self._names(filename) or self._loose_names(claims.fold(filename)))
        return self._nearest(xml_name, filename, with_names=False)

    def _nearest(self, xml_name, stem, with_names):
        numbers = self._stems(stem) or (with_names and self._names(stem))
        if not numbers:
            loose = claims.fold(stem)
            numbers = self._loose_stems(loose) or (with_names and self._loose_names(loose)) or []
        return self._keep_nearest(xml_name, numbers)

    def _keep_nearest(self, xml_name, numbers):
        """The images whose folder is most similar to that of the annotation file."""
        images = [self.image_names[number] for number in numbers]
        if len(images) < 2:
            return images
        nearness = [claims.nearness(posixpath.dirname(xml_name), posixpath.dirname(image)) for image in images]
        return [image for image, value in zip(images, nearness) if value == max(nearness)]


def _name_of(path):
    return path.rpartition("/")[2]


def _stem_of(path):
    name = path.rpartition("/")[2]
    return name.rpartition(".")[0] or name


def _choose(document, by_stem, finder, owned, read_size):
    """Returns the `Choice` for one document, and findings."""
    by_name = finder.by_filename(document.name, document.filename)
    both = [image for image in by_stem if image in by_name]
    if both:
        by_stem = by_name = both
    candidates = by_stem or by_name
    if by_stem and by_name and not both:
        return _decide(document, by_stem, by_name, finder, owned, read_size)
    if not candidates:
        return Choice(None), [_missing(document)]
    if len(candidates) > 1:
        fitting = [image for image in candidates if claims.has_size(document, read_size(image))]
        if len(fitting) != 1:
            return _undecided(document, candidates)
        candidates = fitting
    findings = _differing_filename(document, candidates[0]) if by_stem else []
    return Choice(candidates[0], bool(by_stem)), findings


def _decide(document, by_stem, by_name, finder, owned, read_size):
    """Chooses if the stem leads to one image and `<filename>` to another: by size, by folder, by other documents."""
    fits_stem = [image for image in by_stem if claims.has_size(document, read_size(image))]
    fits_name = [image for image in by_name if claims.has_size(document, read_size(image))]
    if len(fits_stem) == 1 and not fits_name:
        return _decided(document, Choice(fits_stem[0], True), fits_stem + by_name, "it has the size given in the XML")
    if len(fits_name) == 1 and not fits_stem:
        return _decided(document, Choice(fits_name[0]), by_stem + fits_name, "it has the size given in the XML")
    is_stem_nearer, is_name_nearer = _compare_nearness(document, by_stem, by_name)
    if len(by_stem) == 1 and is_stem_nearer:
        return _decided(document, Choice(by_stem[0], True), by_stem + by_name, "its folder is nearer")
    if len(by_name) == 1 and is_name_nearer:
        return _decided(document, Choice(by_name[0]), by_stem + by_name, "its folder is nearer")
    if len(by_stem) == 1 and all(owned[finder.number_of(image)] for image in by_name):
        reason = "the size does not decide, but the named image has its own annotation file"
        return _decided(document, Choice(by_stem[0], True), by_stem + by_name, reason)
    return _undecided(document, [*by_stem, *by_name])


def _compare_nearness(document, by_stem, by_name):
    """(whether the images found by stem are nearer than those found by name, the opposite)."""
    folder = posixpath.dirname(document.name)
    stem, name = (claims.nearness(folder, posixpath.dirname(images[0])) for images in (by_stem, by_name))
    return stem > name, name > stem


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


def _undecided(document, candidates):
    """(a `Choice` without an image, list of the finding)."""
    names = tuple(sorted(set(candidates)))
    problem = "it may belong to any of several images: " + ", ".join(names)
    fix = "give the image and the annotation file the same name"
    return Choice(None, candidates=names), [Finding("image-ambiguous", document.name, problem, fix=fix)]


def _decided(document, choice, candidates, reason):
    """(the `Choice`, list of the finding)."""
    others = ", ".join(sorted(set(candidates) - {choice.image}))
    role, other = ("its own name", "<filename>") if choice.by_stem else ("<filename>", "its own name")
    problem = f"{other} leads to {others}, but {choice.image} is used, to which {role} leads: {reason}"
    return choice, [Finding("filename-differs", document.name, problem)]


def _differing_filename(document, image):
    """A finding about a stale `<filename>`; some old tools write none, or omit the extension, which is not reported."""
    filename, name = document.filename, posixpath.basename(image)
    if filename in ("", name, os.path.splitext(name)[0]):
        return []
    problem = "<filename> names another image; the image with the annotation file's own name is used"
    if claims.fold(filename) == claims.fold(name):
        problem = "<filename> differs from the image's name only in case, or in the encoding of accents"
        problem = problem if filename.casefold() != name.casefold() else problem.partition(",")[0]
    return [Finding("filename-differs", document.name, problem, None, name, filename)]
