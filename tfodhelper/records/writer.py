"""Sharded record files that appear whole or not at all.

A shard belongs to one task, which one process works off: it reads the images, makes the records and writes them under a
temporary name that is changed when all is on disk. Nothing but names and counts goes back. The same images in the same
order give the same bytes, however many processes there are.
"""

import hashlib
import os
import pathlib
import typing

from tfodhelper import errors, storage
from tfodhelper.annotations import images, labelimg
from tfodhelper.annotations.images import ImageFacts
from tfodhelper.dataset import entries, index
from tfodhelper.records import example, framing

MAX_SHARD_BYTES = 150 << 20
DEFAULT_TRAIN_SHARDS = 4  # some shards make the order of training more random and the reading parallel


class RecordItem(typing.NamedTuple):
    """What becomes one record; plain values, so that it travels to a worker process.

    Attributes:
      name: of the image.
      path: of the file.
      source_id: whole number, unique in the set.
      facts: fields of the `ImageFacts`.
      turn: whether EXIF's turn has to be carried out.
      packed: the checked annotation, see `entries.pack`.
    """

    name: str
    path: str
    source_id: int
    facts: tuple
    turn: bool
    packed: str


class Written(typing.NamedTuple):
    """What is worth telling of a record that was written.

    Attributes:
      width, height: of the encoded image, pixels.
      encoded_sha256: hex digest of the encoded image where it is not the file's own; else None.
      csv: its lines of train.csv and its like.
    """

    width: int
    height: int
    encoded_sha256: str | None
    csv: str


class ShardTask(typing.NamedTuple):
    """The work of one process on one shard: where it goes, what goes into it, and the classes."""

    path: str
    items: list
    label_map: object


def make_item(image, source_id):
    """The `RecordItem` of an `entries.UsableImage`."""
    entry = image.entry
    return RecordItem(image.name, f"{image.image_dir}/{entry.image}", source_id, entry.facts, entry.turn, entry.checked)


def choose_num_shards(num_images, num_bytes, wanted=0, least=1):
    """How many shards to write: what is wanted, else enough for their size; never more than images.

    Args:
      num_images, num_bytes: of the images to write.
      wanted: number that was asked for; 0 leaves it to this function.
      least: at least so many, when it is left to this function.
    """
    number = wanted or max(least, -(-num_bytes // MAX_SHARD_BYTES))
    return min(number, num_images)


def shard_name(side, number, total):
    """Name of a record file, for instance train.record-00000-of-00004."""
    return f"{side}.record-{number:05d}-of-{total:05d}"


def make_tasks(folder, side, items, num_shards, label_map):
    """The tasks of one side: every num_shards-th item goes into the same shard."""
    folder = pathlib.Path(folder)
    return [
        ShardTask(str(folder / shard_name(side, number, num_shards)), items[number::num_shards], label_map)
        for number in range(num_shards)
    ]


def write_shards(tasks, num_workers=0, progress=None):
    """Writes shards, each in one process; see `index.look_in_parallel` for when there are several.

    Args:
      tasks: `ShardTask`s.
      num_workers: processes; 0 leaves it to the program.
      progress: a `console.Progress`, or None.

    Yields:
      ({name, records, bytes} of the shard, {image name: `Written`}) for each task, in order.

    Raises:
      DatasetError: an image changed since it was examined.
      StorageError: the disk is full, or the folder cannot be written.
    """
    count = sum(len(task.items) for task in tasks)
    with index.look_in_parallel(count, False, num_workers) as (run, _):
        for shard, written in run(write_shard, tasks):
            if progress is not None:
                progress.advance(shard["records"])
            yield shard, written


def write_shard(task):
    """Writes one shard; see `write_shards`."""
    path = pathlib.Path(task.path)
    temporary = path.with_name(f".{path.name}.tmp")
    written = {}
    try:
        with open(temporary, "wb", 1 << 20) as file:
            for item in task.items:
                serialized, written[item.name] = _make_record(item, task.label_map)
                file.writelines(framing.frame(serialized))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise storage.explain_os_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)
    return {"name": path.name, "records": len(task.items), "bytes": path.stat().st_size}, written


def _make_record(item, label_map):
    """Reads one image; returns its serialized example and a `Written`."""
    data, _ = entries.read_with_stamp(item.path)
    facts = ImageFacts(*item.facts)
    if hashlib.sha256(data).hexdigest() != facts.sha256:
        raise errors.DatasetError(f"{item.path}: the file has changed while it was converted", way_out="start again")
    return make_record(data, facts, item.turn, entries.unpack(item.packed), item.source_id, item.name, label_map)


def make_record(data, facts, turn, annotation, source_id, name, label_map):
    """One image as a record; every way of converting ends here.

    Args:
      data: the bytes of the image file.
      facts: its `ImageFacts`.
      turn: whether EXIF's turn has to be carried out.
      annotation: checked against the image.
      source_id: whole number, unique in the set.
      name: what `image/filename` says.
      label_map: with all classes of the boxes.

    Returns:
      (the serialized tf.train.Example, a `Written`).
    """
    encoded, format = images.encode_for_record(data, facts, turn)
    digest = facts.sha256 if encoded is data else hashlib.sha256(encoded).hexdigest()
    made = example.to_features(annotation, encoded, format, source_id, digest, label_map, name)
    changed = digest if digest != facts.sha256 else None
    csv = to_csv(name, annotation, label_map)
    return example.serialize(made), Written(annotation.width, annotation.height, changed, csv)


def to_csv(name, annotation, label_map):
    """One line a box, in pixels of the encoded image: name, width, height, class, xmin, ymin, xmax, ymax."""
    start = f"{quote(name)},{annotation.width},{annotation.height}"
    lines = []
    for box in annotation.boxes:
        shown = quote(label_map.name_of(label_map.id_of(box.name)))
        corners = ",".join([labelimg.format_number(getattr(box, tag)) for tag in labelimg.CORNERS])
        lines.append(f"{start},{shown},{corners}\n")
    return "".join(lines)


def quote(text):
    """A cell of a CSV file: in quotation marks where it needs them."""
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
