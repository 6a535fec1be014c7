"""The records listed in the manifest of a converted folder, in columns."""

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
      encoded: by number, hex digests of re-encoded images, else None.
      locations: for each record, the shard of its side and its position there, alternating; a `columns.Column`.
    """

    def __init__(self, manifest, folder=None):
        self._shards = manifest.shards
        self._names = columns.Texts(folder=folder)
        self._sides = columns.Column("b", folder=folder)
        self.source_ids, self._contents = (columns.Column("Q", folder=folder) for _ in range(2))
        self.locations = columns.Column("I", folder=folder)
        self.encoded = columns.Digests(len(manifest.images), folder)
        for number, image in enumerate(manifest.images):
            self._names.append(image["path"])
            self._sides.append(SPLITS.index(image["split"]))
            self.source_ids.append(int(image["source_id"]))
            self._contents.append(int(image["content"], 16))
            for value in image["record"]:
                self.locations.append(value)
            if "encoded_sha256" in image:
                self.encoded[number] = image["encoded_sha256"]
        self._lookup = sorting.Lookup(self._names, folder)

    def __len__(self):
        return len(self._names)

    def find(self, name):
        """The number of an image's record; -1 if it has none."""
        return next(iter(self._lookup.find(name)), _NO_RECORD)

    def get(self, name):
        """The side of an image, or None."""
        number = self.find(name)
        return None if number == _NO_RECORD else SPLITS[self._sides[number]]

    def is_current(self, number, side, content):
        """Whether a record is still up to date.

        Args:
          number: of the record; -1 for none.
          side: side of the split that the image is on.
          content: see `usable_images.UsableImage.content`.
        """
        if number == _NO_RECORD:
            return False
        return self._sides[number] == SPLITS.index(side) and self._contents[number] == int(content, 16)

    def kept_images(self, side, image_of, folder=None):
        """Which images stay in the shards of a side.

        Args:
          side: of the split.
          image_of: for each record the index of its image among the usable images if it stays, else -1; a
            `columns.Column`.
          folder: see `columns.Column`.

        Yields:
          (number of the shard, its entry in the manifest, array with -1 or the index of the image for each record).
        """
        starts, total = [], 0
        for shard in self._shards.get(side, []):
            starts.append(total)
            total += shard["records"]
        kept = columns.filled("q", -1, total, folder)
        for number, image in enumerate(image_of):
            if image >= 0 and SPLITS[self._sides[number]] == side:
                kept[starts[self.locations[2 * number]] + self.locations[2 * number + 1]] = image
        for number, (shard, start) in enumerate(zip(self._shards.get(side, []), starts)):
            yield number, shard, kept[start : start + shard["records"]]
