"""What the manifest of a converted folder says of its records, in columns."""

from tfodhelper.dataset.split.split import SPLITS
from tfodhelper.outofcore import columns, sorting

_NO_RECORD = -1


class PreviousRecords:
    """The records of a converted folder, numbered in the order of its manifest.

    Args:
      manifest: a `Manifest`; its images are read once.
      folder: see `columns.Column`.

    Attributes:
      source_ids: of the images; a `columns.Column`.
      encoded: by number, hex digests of images that were encoded anew, else None.
      places: shard of its side and position in it of each record, one after the other; a `columns.Column`.
    """

    def __init__(self, manifest, folder=None):
        self._shards = manifest.shards
        self._names = columns.Texts(folder=folder)
        self._sides = columns.Column("b", folder=folder)
        self.source_ids, self._contents = (columns.Column("Q", folder=folder) for _ in range(2))
        self.places = columns.Column("I", folder=folder)
        self.encoded = columns.Digests(len(manifest.images), folder)
        for number, image in enumerate(manifest.images):
            self._names.append(image["path"])
            self._sides.append(SPLITS.index(image["split"]))
            self.source_ids.append(int(image["source_id"]))
            self._contents.append(int(image["content"], 16))
            for value in image["record"]:
                self.places.append(value)
            if "encoded_sha256" in image:
                self.encoded[number] = image["encoded_sha256"]
        self._lookup = sorting.Lookup(self._names, folder)

    def __len__(self):
        return len(self._names)

    def find(self, name):
        """The number of an image; -1 when it has no record."""
        return next(iter(self._lookup.find(name)), _NO_RECORD)

    def get(self, name):
        """The side of an image, or None."""
        number = self.find(name)
        return None if number == _NO_RECORD else SPLITS[self._sides[number]]

    def holds(self, number, side, content):
        """Whether a record is still what an image asks for.

        Args:
          number: of the record; -1 for none.
          side: of the split, that the image is on.
          content: see `usable.UsableImage.content`.
        """
        if number == _NO_RECORD:
            return False
        return self._sides[number] == SPLITS.index(side) and self._contents[number] == int(content, 16)

    def kept_places(self, side, place_of, folder=None):
        """What stays of the shards of a side.

        Args:
          side: of the split.
          place_of: for each record the place of its image among the usable ones if it stays, else -1; a
            `columns.Column`.
          folder: see `columns.Column`.

        Yields:
          (number of the shard, its entry in the manifest, array with -1 or the place of the image for each record).
        """
        starts, total = [], 0
        for shard in self._shards.get(side, []):
            starts.append(total)
            total += shard["records"]
        kept = columns.filled("q", -1, total, folder)
        for number, place in enumerate(place_of):
            if place >= 0 and SPLITS[self._sides[number]] == side:
                kept[starts[self.places[2 * number]] + self.places[2 * number + 1]] = place
        for number, (shard, start) in enumerate(zip(self._shards.get(side, []), starts)):
            yield number, shard, kept[start : start + shard["records"]]
