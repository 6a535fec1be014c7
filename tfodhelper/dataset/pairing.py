"""Which image an annotation file belongs to.

Two names lead to an image: the annotation file's own stem, and its `<filename>`. Neither is always right: images are
renamed after labelling, and some tools number their annotation files. Where both lead to images and these differ, the
size in the XML decides; where it cannot, and nothing else does, the annotation is left out.
"""

import collections
import dataclasses
import functools
import os
import posixpath

from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.images import EXTENSIONS


@dataclasses.dataclass(frozen=True)
class Choice:
    """The image of one document, whether its stem leads there, and whether the document is used at all."""

    image: str | None
    by_stem: bool = False
    is_used: bool = True


def pair(documents, finder, stems, read_size):
    """Chooses the image of each document, and the document of each image.

    Args:
      documents: `entries.Entry`s, sorted by name.
      finder: a `Finder` of all images.
      stems: what `Finder.by_stem` says for each document.
      read_size: callable from an image's name to (width, height, EXIF orientation), or None.

    Returns:
      (list of `Choice`s, one a document; list of findings).
    """
    owned = {images[0] for images in stems if len(images) == 1}
    choices, findings = [], []
    for document, by_stem in zip(documents, stems):
        choice, more = _choose(document, by_stem, finder, owned, read_size)
        choices.append(choice)
        findings += more
    return _settle_contests(documents, choices, findings)


class Finder:
    """Finds images by stem or by name: exact first, then without regard to case."""

    def __init__(self, image_names):
        self._image_names = image_names
        self._stems, self._names = collections.defaultdict(list), collections.defaultdict(list)
        for image in image_names:
            name = image.rpartition("/")[2]
            self._names[name].append(image)
            self._stems[os.path.splitext(name)[0]].append(image)

    @functools.cached_property
    def _loose_stems(self):
        return _fold_keys(self._stems)

    @functools.cached_property
    def _loose_names(self):
        return _fold_keys(self._names)

    def by_stem(self, xml_name):
        """Images called as the annotation file is, in the nearest folder; "a.jpg.xml" belongs to "a.jpg"."""
        stem = os.path.splitext(xml_name.rpartition("/")[2])[0]
        return self._nearest(xml_name, stem, with_names=True)

    def by_filename(self, xml_name, filename):
        """Images that `<filename>` names, in the nearest folder; it may lack the extension."""
        if not filename:
            return []
        if os.path.splitext(filename)[1].lower() in EXTENSIONS:
            exact = self._names.get(filename) or self._loose_names.get(filename.casefold(), [])
            return _keep_nearest(xml_name, exact)
        return self._nearest(xml_name, filename, with_names=False)

    def _nearest(self, xml_name, stem, with_names):
        found = self._stems.get(stem) or (with_names and self._names.get(stem))
        if not found:
            loose = stem.casefold()
            found = self._loose_stems.get(loose) or (with_names and self._loose_names.get(loose))
        return _keep_nearest(xml_name, found or [])


def _fold_keys(images_by_key):
    folded = collections.defaultdict(list)
    for key, images in images_by_key.items():
        folded[key.casefold()] += images
    return folded


def _keep_nearest(xml_name, images):
    """Those images whose folder is most like the annotation file's."""
    if len(images) < 2:
        return list(images)
    nearness = [_nearness(posixpath.dirname(xml_name), posixpath.dirname(image)) for image in images]
    return [image for image, value in zip(images, nearness) if value == max(nearness)]


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
    if document.packed is None:
        return Choice(by_stem[0] if len(by_stem) == 1 else None, True), []
    if len(by_stem) == 1 and by_stem[0].rpartition("/")[2] == document.filename:
        return Choice(by_stem[0], True), []  # both names lead to it: the usual case
    by_name = finder.by_filename(document.name, document.filename)
    both = [image for image in by_stem if image in by_name]
    if both:
        by_stem = by_name = both
    candidates = by_stem or by_name
    if by_stem and by_name and not both:
        return _decide_by_size(document, by_stem, by_name, owned, read_size)
    if not candidates:
        return Choice(None), [_missing(document)]
    if len(candidates) > 1:
        fitting = [image for image in candidates if _has_size(document, read_size(image))]
        if len(fitting) != 1:
            return Choice(None), [_ambiguous(document, candidates)]
        candidates = fitting
    findings = _differing_filename(document, candidates[0]) if by_stem else []
    return Choice(candidates[0], bool(by_stem)), findings


def _decide_by_size(document, by_stem, by_name, owned, read_size):
    """The stem leads to one image and `<filename>` to another."""
    fits_stem = [image for image in by_stem if _has_size(document, read_size(image))]
    fits_name = [image for image in by_name if _has_size(document, read_size(image))]
    if len(fits_stem) == 1 and not fits_name:
        return Choice(fits_stem[0], True), [
            _decided(document, fits_stem[0], "the size in the XML is that of this image")
        ]
    if len(fits_name) == 1 and not fits_stem:
        return Choice(fits_name[0]), [_decided(document, fits_name[0], "the size in the XML is that of this image")]
    if len(by_stem) == 1 and all(image in owned for image in by_name):
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


def _settle_contests(documents, choices, findings):
    """Leaves one document for each image: the one with its stem; an equal copy is dropped, a contradiction reported."""
    claims = collections.defaultdict(list)
    for position, choice in enumerate(choices):
        if choice.image is not None:
            claims[choice.image].append(position)
    choices = list(choices)
    for image, positions in claims.items():
        if len(positions) < 2:
            continue
        ranked = sorted(positions, key=lambda p: (not choices[p].by_stem, documents[p].packed is None, p))
        winner = ranked[0]
        for position in ranked[1:]:
            same = _say_the_same(documents[winner].annotation, documents[position].annotation)
            equal_rank = choices[position].by_stem == choices[winner].by_stem
            choices[position] = Choice(image, choices[position].by_stem, is_used=False)
            name, other = documents[position].name, documents[winner].name
            if same:
                findings.append(Finding("xml-copy", name, f"says the same about {image} as {other}"))
            elif documents[position].packed is not None:
                code = "annotations-conflict" if equal_rank else "xml-conflict"
                way_out = "keep one of the files, or name one folder with --annotation_dir"
                what = f"says something else about {image} than {other}"
                findings.append(Finding(code, name, what, way_out=way_out))
                if equal_rank:
                    choices[winner] = Choice(image, choices[winner].by_stem, is_used=False)
    return choices, findings


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
        way_out="give the image and the annotation file the same name",
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
    if filename.casefold() == name.casefold():
        what = "<filename> differs from the image's name in upper and lower case only"
    return [Finding("filename-differs", document.name, what, None, name, filename)]
