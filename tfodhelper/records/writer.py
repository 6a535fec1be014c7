"""Writes sharded record files atomically.

Each shard is one task for one process, which reads the entries and the images, makes the records and writes them to a
temporary file that is renamed when all data is on disk. Only counts are returned. The same images in the same order
give the same bytes, regardless of the number of processes.
"""

import array
import dataclasses
import hashlib
import pathlib
import typing

from tfodhelper import errors, storage
from tfodhelper.annotations import images, labelimg
from tfodhelper.annotations.images import ImageFacts
from tfodhelper.dataset.scan import discover, entry_store
from tfodhelper.dataset.scan.entry import read_with_stamp
from tfodhelper.records import example, framing

MAX_SHARD_BYTES = 150 << 20
DEFAULT_TRAIN_SHARDS = 4  # several shards allow parallel reading and a more random order of training


class ShardTask(typing.NamedTuple):
    """The work of one process on one shard.

    Attributes:
      path: path of the shard.
      image_dir: the folder that image names are relative to.
      notes: path of the file with the entries of the images.
      members: for each record, the index of its image among the usable images.
      offsets, lengths: for each record, the line in `notes`.
      ids: for each record, the source id, an integer that is unique in the dataset.
      label_map: the classes.
    """

    path: str
    image_dir: str
    notes: str
    members: array.array
    offsets: array.array
    lengths: array.array
    ids: array.array
    label_map: object


class RecordItem(typing.NamedTuple):
    """The data for one record.

    Attributes:
      name: of the image.
      path: of the file.
      source_id: an integer that is unique in the dataset.
      facts: fields of the `ImageFacts`.
      turn: whether to rotate the image according to its EXIF orientation.
      content: the checked annotation, see `entry.pack_annotation`.
    """

    name: str
    path: str
    source_id: int
    facts: tuple
    turn: bool
    content: tuple


def choose_num_shards(num_images, num_bytes, wanted=0, least=1):
    """How many shards to write: the wanted number, else enough for their size; never more than images.

    Args:
      num_images, num_bytes: of the images to write.
      wanted: the requested number; 0 chooses automatically.
      least: minimum number, if it is chosen automatically.
    """
    number = wanted or max(least, -(-num_bytes // MAX_SHARD_BYTES))
    return min(number, num_images)


def shard_name(side, number, total):
    """Name of a record file, for example train.record-00000-of-00004."""
    return f"{side}.record-{number:05d}-of-{total:05d}"


@dataclasses.dataclass(frozen=True)
class SideLayout:
    """The images of one side and their distribution: every num_shards-th image goes into the same shard.

    Attributes:
      side: of the split.
      examination: an `examine.Examination`.
      members: indices of the images in `examination.images`, in the order of writing; a `columns.Column`.
      id_of: source ids by these indices.
      num_shards: number of shards.
      label_map: the classes.
    """

    side: str
    examination: object
    members: object
    id_of: object
    num_shards: int
    label_map: object


@dataclasses.dataclass(frozen=True)
class Shard:
    """A shard to be written.

    Attributes:
      path: path of the shard.
      layout: the `SideLayout` that it belongs to.
      number: 0-based number of the shard in the layout.
    """

    path: str
    layout: SideLayout
    number: int

    @property
    def side(self):
        """The side of the split."""
        return self.layout.side

    def __len__(self):
        return len(range(self.number, len(self.layout.members), self.layout.num_shards))

    def members(self):
        """The indices of its images among the usable images, in order."""
        return self.layout.members[self.number :: self.layout.num_shards]

    def make_task(self):
        """The `ShardTask` for a worker process."""
        examination, members, id_of = self.layout.examination, self.members(), self.layout.id_of
        entries, positions = examination.index.entries, examination.images.positions
        entries.flush()
        lines = positions.take(members)
        return ShardTask(
            self.path,
            str(examination.source.image_dir),
            entries.path,
            members,
            entries.offsets.take(lines),
            entries.lengths.take(lines),
            id_of.take(members),
            self.layout.label_map,
        )


def make_shards(folder, layout):
    """The `Shard`s of a `SideLayout`, with paths in a folder."""
    names = [shard_name(layout.side, number, layout.num_shards) for number in range(layout.num_shards)]
    return [Shard(str(pathlib.Path(folder) / name), layout, number) for number, name in enumerate(names)]


def write_shards(shards, num_workers=0, progress=None):
    """Writes shards, each in one process; see `discover.run_in_parallel` for when several are used.

    Args:
      shards: `Shard`s.
      num_workers: number of processes; 0 chooses automatically.
      progress: a `console.Progress`, or None.

    Yields:
      For each shard, in order, ({name, records, bytes} of the shard, {index of a re-encoded image: its hex digest}).

    Raises:
      DatasetError: an image changed since it was examined.
      StorageError: the disk is full, or the folder cannot be written.
    """
    with discover.run_in_parallel(sum(map(len, shards)), False, num_workers) as (run, _):
        for shard, encoded in run(write_shard, (shard.make_task() for shard in shards)):
            if progress is not None:
                progress.advance(shard["records"])
            yield shard, encoded


def write_shard(task):
    """Writes one shard; see `write_shards`."""
    path = pathlib.Path(task.path)
    encoded, checksums = {}, hashlib.sha256()
    with storage.open_whole(path, "wb", 1 << 18) as file:
        entries = entry_store.read_entries(task.notes, zip(task.offsets, task.lengths))
        for entry, member, source_id in zip(entries, task.members, task.ids):
            image = f"{task.image_dir}/{entry.image}"
            item = RecordItem(entry.image, image, source_id, entry.facts, entry.turn, entry.usable)
            serialized, changed = _make_record(item, task.label_map)
            header, content, footer = framing.frame(serialized)
            file.writelines((header, content, footer))
            checksums.update(header + footer)
            if changed:
                encoded[member] = changed
    return describe_shard(path, len(task.members), checksums.hexdigest()), encoded


def describe_shard(path, num_records, checksums):
    """The entry of a shard in the manifest; `checksums` is what `reader.digest_checksums` gives."""
    return {"name": path.name, "records": num_records, "bytes": path.stat().st_size, "checksums": checksums}


def _make_record(item, label_map):
    """Reads one image and makes its record; returns the same as `make_record`."""
    data, _ = read_with_stamp(item.path)
    facts = ImageFacts(*item.facts)
    if not facts.are_of(data):
        raise errors.DatasetError(
            f"{item.path}: the file changed during the conversion", fix="start the conversion again"
        )
    return make_record(data, facts, item.turn, item.content, item.source_id, item.name, label_map)


def make_record(data, facts, turn, content, source_id, name, label_map):
    """Makes the record of one image; all kinds of conversion use this function.

    Args:
      data: the bytes of the image file.
      facts: its `ImageFacts`.
      turn: whether to rotate the image according to its EXIF orientation.
      content: the annotation, checked against the image; see `entry.pack_annotation`.
      source_id: an integer that is unique in the dataset.
      name: value of `image/filename`.
      label_map: with all classes of the boxes.

    Returns:
      (the serialized tf.train.Example, hex digest of the image if it was re-encoded, else None).
    """
    encoded, format = images.encode_for_record(data, facts, turn)
    changed = None if encoded is data else hashlib.sha256(encoded).hexdigest()
    _, width, height, boxes, *_ = content
    digest = changed or facts.sha256
    made = example.make_example(boxes, width, height, encoded, format, source_id, digest, label_map, name)
    return made, changed if changed != facts.sha256 else None


def to_csv(name, content, label_map):
    """One line per box, in pixels of the encoded image: name, width, height, class, xmin, ymin, xmax, ymax.

    Args:
      name: of the image.
      content: of the checked annotation, see `entry.pack_annotation`.
      label_map: the classes.
    """
    _, width, height, boxes, *_ = content
    start, number = f"{quote(name)},{width},{height}", labelimg.format_number
    lines = []
    for label, xmin, ymin, xmax, ymax, *_ in boxes:
        shown = quote(label_map.name_of(label_map.id_of(label)))
        lines.append(f"{start},{shown},{number(xmin)},{number(ymin)},{number(xmax)},{number(ymax)}\n")
    return "".join(lines)


def quote(text):
    """A cell of a CSV file, in quotation marks if necessary."""
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
