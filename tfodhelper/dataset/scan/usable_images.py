"""The images of a dataset that can be used for training, each read from the entry store on demand."""

import bisect
import collections
import collections.abc
import functools
import pathlib

from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.images import ImageFacts
from tfodhelper.dataset.scan import entry_store
from tfodhelper.dataset.scan.entry import content_digest, unpack_annotation
from tfodhelper.outofcore import columns, sorting

_MAX_KINDS = 1 << 12  # that are counted in memory


class UsableImage:
    """An image that can be used for training.

    Attributes:
      name: relative to the image folder, POSIX.
      position: of its entry.
    """

    __slots__ = ("name", "position", "_entry", "_index")

    def __init__(self, name, position, index):
        self.name, self.position, self._index, self._entry = name, position, index, None

    @property
    def entry(self):
        """The `entry.Entry` of the image."""
        if self._entry is None:
            self._entry = self._index.entries[self.position]
        return self._entry

    @property
    def path(self):
        """The file."""
        return pathlib.Path(self._index.source.image_dir) / self.name

    @property
    def xml(self):
        """Name of the annotation file, relative to the annotation folder."""
        return self._index.xml_names[self.position]

    @property
    def annotation(self):
        """The checked annotation, with the size of the image in the record."""
        return unpack_annotation(self.entry.usable)

    @property
    def facts(self):
        """`ImageFacts` of the file."""
        return ImageFacts(*self.entry.facts)

    @property
    def sha256(self):
        """Hex digest of the file."""
        return self.entry.image_sha256

    @property
    def num_bytes(self):
        """Size of the file."""
        return self._index.entries.num_bytes[self.position]

    @property
    def turn(self):
        """Whether the image must be rotated according to its EXIF orientation."""
        return self.entry.turn

    @property
    def kind(self):
        """(class names, size letters) of the boxes, in order."""
        return self._index.entries.kind(self._index.entries.kind_of[self.position])

    @property
    def labels(self):
        """Class names of the boxes, in order."""
        return self.kind[0]

    @property
    def content(self):
        """A short digest of everything that its record depends on, except ids."""
        return content_digest(self.entry)

    @property
    def findings(self):
        """The findings about this image."""
        if not self._index.entries.flags[self.position] & entry_store.HAS_FINDINGS:
            return ()
        return tuple(Finding(*values) for values in self.entry.findings)


class Images(collections.abc.Sequence):
    """All `UsableImage`s of an index, sorted by name, each made on demand.

    Attributes:
      positions: of their entries; a `columns.Column`.
      folder: see `columns.Column`.
    """

    def __init__(self, index):
        self._index, self.folder = index, index.entries.folder
        self._position_of = columns.filled("q", -1, len(index.image_names), self.folder)
        for position in index.choices.paired():
            self._position_of[index.choices.image[position]] = position
        self.positions, self._numbers = (columns.Column("q", folder=self.folder) for _ in range(2))
        flags = index.entries.flags.view()
        for number, position in enumerate(self._position_of):
            if position >= 0 and flags[position] & entry_store.IS_USABLE:
                self.positions.append(position)
                self._numbers.append(number)
        index.entries.flags.release()

    def __len__(self):
        return len(self.positions)

    def __getitem__(self, number):
        if isinstance(number, slice):
            return [self[n] for n in range(*number.indices(len(self)))]
        return UsableImage(self.name_of(number), self.positions[number], self._index)

    def name_of(self, number):
        """The name of the image at an index of this sequence."""
        return self._index.image_names[self._numbers[number]]

    def find(self, name):
        """The index of an image in this sequence; -1 if it is not usable."""
        number = self._index.image_names.find(name)
        index = bisect.bisect_left(self._numbers, number)
        return index if number >= 0 and index < len(self) and self._numbers[index] == number else -1

    def position_of(self, image):
        """The position of the entry of an image, usable or not; -1 if it has none.

        Args:
          image: its number among the names of all images.
        """
        return self._position_of[image]

    def names(self):
        """All names, in order."""
        usable = iter(self._numbers)
        wanted = next(usable, None)
        for number, name in enumerate(self._index.image_names):
            if number == wanted:
                yield name
                wanted = next(usable, None)

    def kinds(self):
        """The `UsableImage.kind`s of all images, in order."""
        kind, kind_of = self._index.entries.kind, self._index.entries.kind_of
        return (kind(kind_of[position]) for position in self.positions)

    def kind_at(self, number):
        """The `UsableImage.kind` of the image at an index of this sequence."""
        return self._index.entries.kind(self._index.entries.kind_of[self.positions[number]])

    def without_labels(self):
        """The images without boxes."""
        return (self[number] for number, kind in enumerate(self.kinds()) if not kind[0])

    def count_labels(self):
        """A Counter of the class names of all boxes."""
        counts = collections.Counter()
        for kind, number in count_kinds(self.kinds()):
            for label in kind[0]:
                counts[label] += number
        return counts

    def repeated(self):
        """The images that are byte-identical to another one."""
        return [self[number] for number in sorted(number for group in self.identical for number in group)]

    @functools.cached_property
    def identical(self):
        """Sorted lists of the indices of byte-identical images, each list sorted."""
        choices, entries = self._index.choices, self._index.entries
        keys, numbers, digests = (columns.Column(code, folder=self.folder) for code in "qqB")
        for is_used, image, flags, (_, digest) in zip(
            choices.is_used, choices.image, entries.flags, entries.digest_pairs()
        ):
            if is_used and image >= 0 and flags & entry_store.IS_USABLE:
                keys.append(int.from_bytes(digest[:8], "big", signed=True))
                numbers.append(image)
                digests.extend(digest)
        groups = []
        width = entry_store.DIGEST_BYTES
        for candidates in sorting.group_equal(keys):
            for group in sorting.tell_apart(candidates, lambda n: digests[width * n : width * (n + 1)].tobytes()):
                groups.append(sorted(bisect.bisect_left(self._numbers, numbers[n]) for n in group))
        return sorted(groups)


def count_kinds(kinds):
    """Yields (kind, count); a kind may be yielded more than once if there are very many.

    Args:
      kinds: hashable values.
    """
    counts = {}
    for kind in kinds:
        counts[kind] = counts.get(kind, 0) + 1
        if len(counts) > _MAX_KINDS:
            yield from counts.items()
            counts = {}
    yield from counts.items()
