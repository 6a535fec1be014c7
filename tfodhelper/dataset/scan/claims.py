"""Decides which annotation file keeps an image that several claim, and reports images from unrelated folders.

The folders decide first, then the file's own name, the size in the XML and `<filename>`. A file that is farther away,
or whose size or `<filename>` belongs to a different image, is one whose image is missing. If nothing decides, or if the
size contradicts the folders, none of the files is used.
"""

import collections
import functools
import os
import posixpath
import unicodedata

from tfodhelper import spelling
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset.scan import entry_store
from tfodhelper.outofcore import columns

_BESIDE = float("inf")  # nearness of equal folders
_SHOWN = 5
_FOLDERS, _STEM, _NEARNESS, _CONTENT, _SIZE, _NAME = range(6)  # what decides, in order
_REASONS = {
    _FOLDERS: "which is in a folder that belongs to it",
    _NEARNESS: "which is in a nearer folder",
    _SIZE: "which gives its size",
    _NAME: "which names it in <filename>",
}


def settle(documents, names, finder, choices, read_size):
    """Leaves each image to at most one document, and finds images that come from an unrelated folder.

    Args:
      documents: an `entry_store.EntryStore`.
      names: of the documents, sorted.
      finder: a `pairing.ImageFinder`.
      choices: `pairing.Choices`, which are changed.
      read_size: maps the name of an image to (width, height, EXIF orientation) or None.

    Returns:
      List of findings.
    """
    folders = _Folders(names, finder.image_names, choices)
    findings = []
    for image, positions in _list_claims(choices, finder).items():
        findings += _Claims(documents, names, finder.image_names[image], choices, folders, read_size).settle(positions)
    return findings + folders.find_strangers(choices)


@functools.lru_cache(maxsize=4096)
def nearness(folder, other):
    """Infinite for equal folders, else the number of common leading and trailing parts."""
    if folder == other:
        return _BESIDE
    first, second = folder.split("/"), other.split("/")
    front = os.path.commonprefix([first, second])
    back = os.path.commonprefix([first[len(front) :][::-1], second[len(front) :][::-1]])
    return len(front) + len(back)


def has_size(document, size):
    """Whether the size in the XML is the stored size, or the size after the EXIF rotation."""
    if size is None or document.width is None or document.height is None:
        return False
    width, height, orientation = size
    given = (document.width, document.height)
    return given == (width, height) or (orientation >= 5 and given == (height, width))


def fold(name):
    """A name with case removed and with accents composed; macOS stores them as separate characters."""
    return unicodedata.normalize("NFC", name).casefold()


def _list_claims(choices, finder):
    """{number of an image: positions of the documents that claim it} of the images with several."""
    counts, claims = columns.filled("B", 0, len(finder.image_names), finder.folder), {}
    for image in choices.image:
        if image >= 0:
            counts[image] = min(counts[image] + 1, 2)
    for position, image in enumerate(choices.image):
        if image >= 0 and counts[image] > 1:
            claims.setdefault(image, []).append(position)
    return claims


class _Folders:
    """Which folders of images belong to which folders of annotation files, as most of their files show.

    A pair is far if its folders are farther apart than other pairs of the same folder are, or if most pairs of the
    dataset share a folder and it does not.

    Args:
      names: of the documents.
      image_names: of all images.
      choices: `pairing.Choices`.
    """

    def __init__(self, names, image_names, choices):
        self._names, self._image_names = names, image_names
        self._apart, self._best, num_beside = columns.Column("q", folder=choices.image.folder), {}, 0
        for position in choices.paired():
            folder, other = self._folders_of(position, choices.image[position])
            if folder == other:
                num_beside += 1
            else:
                self._apart.append(position)
        self._are_usually_beside = num_beside > len(self._apart)
        if self._apart:
            self._find_best(choices)

    def _folders_of(self, position, image):
        return self._names[position].rpartition("/")[0], self._image_names[image].rpartition("/")[0]

    def _find_best(self, choices):
        """Finds the greatest nearness of the pairs of each folder; pairs that the file's name made come first."""
        for position in choices.paired():
            folder, other = self._folders_of(position, choices.image[position])
            value = (choices.by_stem[position], nearness(folder, other))
            for key in (("xml", folder), ("image", other)):
                self._best[key] = max(value, self._best.get(key, value))

    def is_far(self, position, image):
        """Whether the folders of a document and of an image are unrelated."""
        folder, other = self._folders_of(position, image)
        value = nearness(folder, other)
        if value == _BESIDE or not self._best:
            return False
        return self._are_usually_beside or any(
            value < self._best.get(key, (0, value))[1] for key in (("xml", folder), ("image", other))
        )

    def find_strangers(self, choices):
        """One finding per pair of unrelated folders whose files were paired."""
        by_folders = collections.defaultdict(list)
        for position in self._apart:
            image = choices.image[position]
            if image >= 0 and choices.is_used[position] and self.is_far(position, image):
                by_folders[self._folders_of(position, image)].append(position)
        return [self._describe(positions, choices) for positions in by_folders.values()]

    def _describe(self, positions, choices):
        first = positions[0]
        problem = (
            f"there is no image near it; {self._image_names[choices.image[first]]} is used, in an unrelated folder"
        )
        others = [self._names[position] for position in positions[1 : _SHOWN + 1]]
        if others:
            more = ", ..." if len(positions) > _SHOWN + 1 else ""
            problem += f" (likewise {spelling.count(len(positions) - 1, 'file')}: {', '.join(others)}{more})"
        fix = "compare the boxes with the image; if it is the wrong one, add the right image or remove the XML file"
        return Finding("image-elsewhere", self._names[first], problem, fix=fix)


class _Claims:
    """The documents that claim one image."""

    def __init__(self, documents, names, image, choices, folders, read_size):
        self._documents, self._names, self._image, self._choices = documents, names, image, choices
        self._folders, self._read_size = folders, read_size

    def settle(self, positions):
        """Leaves the image to one of the documents, or to none; returns findings."""
        ranks = {position: self._rank(position) for position in positions}
        winner, *rivals = sorted(positions, key=lambda position: ([-value for value in ranks[position]], position))
        findings = []
        for rival in rivals:
            findings += self._dismiss(rival, winner, ranks[rival], ranks[winner])
        return findings

    def _rank(self, position):
        """How well a document fits the image, by each of the criteria; more is better."""
        image, name = self._choices.image[position], self._names[position]
        document = self._documents[position]
        has_content = bool(self._documents.flags[position] & entry_store.HAS_CONTENT)
        return (
            not self._folders.is_far(position, image),
            self._choices.by_stem[position],
            nearness(posixpath.dirname(name), posixpath.dirname(self._image)),
            has_content,
            _size_evidence(document, self._read_size(self._image)),
            _name_evidence(document.filename, posixpath.basename(self._image)),
        )

    def _dismiss(self, rival, winner, rank, best):
        """Takes the image from a document; from the winner as well if nothing decides between them."""
        name, other = self._names[rival], self._names[winner]
        if _have_equal_content(self._documents[winner].annotation, self._documents[rival].annotation):
            self._choices.is_used[rival] = False
            return [Finding("xml-copy", name, f"has the same content for {self._image} as {other}")]
        decisive = next((number for number, pair in enumerate(zip(rank, best)) if pair[0] != pair[1]), None)
        contradicts = rank[_SIZE] > 0 > best[_SIZE]
        if decisive in _REASONS and not contradicts:
            self._choices.image[rival], self._choices.by_stem[rival] = -1, False
            return [self._without_image(name, other, _REASONS[decisive], best[_NEARNESS] == _BESIDE)]
        self._choices.is_used[rival] = False
        if not rank[_CONTENT]:
            return []
        is_decided = decisive is not None and not contradicts
        self._choices.is_used[winner] &= is_decided
        return [self._conflict("xml-conflict" if is_decided else "annotations-conflict", name, other)]

    def _without_image(self, name, other, reason, is_beside):
        if is_beside and reason in (_REASONS[_FOLDERS], _REASONS[_NEARNESS]):
            reason = "which is in the same folder"
        return Finding(
            "image-missing",
            name,
            f"its image does not exist: {self._image} belongs to {other}, {reason}",
            fix="copy its own image, or remove the annotation file",
        )

    def _conflict(self, code, name, other):
        fix = "keep only one of the files, or select one folder with --annotation_dir"
        return Finding(code, name, f"has different content for {self._image} than {other}", fix=fix)


def _size_evidence(document, size):
    """1 if the XML gives the size of the image, -1 if it gives a different one, 0 if it is unknown."""
    if size is None or document.width is None or document.height is None:
        return 0
    return 1 if has_size(document, size) else -1


def _name_evidence(filename, image):
    """1 unless `<filename>` names a different image, 0 if only the extension differs, -1 otherwise."""
    if filename == "" or fold(filename) in (fold(image), fold(os.path.splitext(image)[0])):
        return 1
    return 0 if fold(os.path.splitext(filename)[0]) == fold(os.path.splitext(image)[0]) else -1


def _have_equal_content(first, second):
    if first is None or second is None:
        return False
    return set(first.boxes) == set(second.boxes) and first.skipped == second.skipped
