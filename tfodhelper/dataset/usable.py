"""The images of a set that can be trained on, each read from the notes when it is asked for."""

import array
import collections.abc
import functools
import pathlib

import numpy as np

from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.images import ImageFacts
from tfodhelper.dataset import entries, looked


class UsableImage:
    """An image that can be trained on.

    Attributes:
      name: relative to the image folder, POSIX.
      position: of its entry.
    """

    __slots__ = ("name", "position", "_entry", "_index")

    def __init__(self, name, position, index):
        self.name, self.position, self._index, self._entry = name, position, index, None

    @property
    def entry(self):
        """What is known of it, an `entries.Entry`."""
        if self._entry is None:
            self._entry = self._index.looked[self.position]
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
        """Checked; the size is the one of the frame that goes into the record."""
        return entries.unpack(self.entry.usable)

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
        return self._index.looked.num_bytes[self.position]

    @property
    def turn(self):
        """Whether EXIF's turn has to be carried out."""
        return self.entry.turn

    @property
    def kind(self):
        """(class names of the boxes, letters of their sizes), in their order; equal ones are one object."""
        return self._index.looked.kinds[self._index.looked.kind_of[self.position]]

    @property
    def labels(self):
        """Class names of the boxes, in their order."""
        return self.kind[0]

    @property
    def content(self):
        """A short digest of all that its record depends on, but for ids."""
        return entries.content_digest(self.entry)

    @property
    def findings(self):
        """What was found about this image."""
        if not self._index.looked.flags[self.position] & looked.HAS_REMARKS:
            return ()
        return tuple(Finding(*values) for values in self.entry.findings)


class Images(collections.abc.Sequence):
    """All `UsableImage`s of an index, sorted by name; each is made when it is asked for.

    Attributes:
      positions: of their entries.
    """

    def __init__(self, index):
        self._index = index
        images, flags = index.choices.image, index.looked.flags
        usable = [position for position in index.paired if flags[position] & looked.IS_USABLE]
        usable.sort(key=images.__getitem__)  # names of images are sorted, so that their numbers are in the same order
        self.positions = array.array("q", usable)

    def __len__(self):
        return len(self.positions)

    def __getitem__(self, number):
        if isinstance(number, slice):
            return [self[n] for n in range(*number.indices(len(self)))]
        position = self.positions[number]
        return UsableImage(self._index.image_names[self._index.choices.image[position]], position, self._index)

    def name_of(self, number):
        """The name of an image by its place here."""
        return self._index.image_names[self._index.choices.image[self.positions[number]]]

    def names(self):
        """All names, in order."""
        names, images = self._index.image_names, self._index.choices.image
        return (names[images[position]] for position in self.positions)

    def kinds(self):
        """`UsableImage.kind` of all, in order."""
        kinds, kind_of = self._index.looked.kinds, self._index.looked.kind_of
        return (kinds[kind_of[position]] for position in self.positions)

    def count_labels(self):
        """A Counter of the class names of all boxes."""
        kind_of, counts = self._index.looked.kind_of, collections.Counter()
        for number, count in collections.Counter(kind_of[position] for position in self.positions).items():
            for label in self._index.looked.kinds[number][0]:
                counts[label] += count
        return counts

    def repeated(self):
        """The images whose bytes are those of another one."""
        return [self[number] for number in self._repeated]

    def identities(self):
        """A text for each image, in order, that is equal for equal bytes only."""
        repeated = set(self._repeated)
        for number, name in enumerate(self.names()):
            # Images that are alone are known by their name, which cannot be a digest of others: it has an ending.
            yield self._index.looked.image_digest(self.positions[number]).hex() if number in repeated else name

    @functools.cached_property
    def _repeated(self):
        digests = np.frombuffer(bytes(self._index.looked.digests), ">u8").reshape(len(self._index.looked), -1)
        digests = digests[np.asarray(self.positions, np.int64)][:, 2:]
        order = np.lexsort((digests[:, 1], digests[:, 0]))
        same = (digests[order[1:]] == digests[order[:-1]]).all(axis=1)
        found = np.zeros(len(order), bool)
        found[order[1:][same]] = found[order[:-1][same]] = True
        return np.flatnonzero(found).tolist()
