"""Sharded record files that appear whole or not at all.

Each shard is written under a temporary name and renamed when it is on disk; shards are written in parallel. The same
images in the same order give the same bytes.
"""

import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
import threading

from tfodhelper import errors, storage
from tfodhelper.annotations import images
from tfodhelper.records import example, framing

MAX_SHARD_BYTES = 150 << 20
DEFAULT_TRAIN_SHARDS = 4  # some shards make the order of training more random and the reading parallel


@dataclasses.dataclass(frozen=True)
class RecordItem:
    """What becomes one record.

    Attributes:
      image: an `examine.UsableImage`.
      source_id: whole number, unique in the set.
    """

    image: object
    source_id: int


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


def write_shards(folder, side, items, num_shards, label_map, progress=None):
    """Writes the records of one side.

    Args:
      folder: where.
      side: "train" or "validate".
      items: `RecordItem`s; the first goes into the first shard, the second into the second, and so on.
      num_shards: how many files; 0 when there are no items.
      label_map: a `LabelMap`.
      progress: a `console.Progress` to advance, or None.

    Returns:
      (list of {name, records, bytes}, {image name: hex digest of what was written for it}).

    Raises:
      DatasetError: an image changed since it was examined.
      StorageError: the disk is full, or the folder cannot be written.
    """
    folder = pathlib.Path(folder)
    shards, digests = [], {}
    lock = threading.Lock()

    def advance():
        if progress is not None:
            with lock:
                progress.advance()

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [
            pool.submit(
                _write_shard, folder / shard_name(side, n, num_shards), items[n::num_shards], label_map, advance
            )
            for n in range(num_shards)
        ]
        try:
            for future in futures:
                shard, written = future.result()
                shards.append(shard)
                digests |= written
        except BaseException:
            for future in futures:
                future.cancel()
            raise
    return shards, digests


def _write_shard(path, items, label_map, advance):
    temporary = path.with_name(f".{path.name}.tmp")
    digests = {}
    try:
        with open(temporary, "wb") as file:
            for item in items:
                serialized, digests[item.image.name] = _make_record(item, label_map)
                file.writelines(framing.frame(serialized))
                advance()
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise storage.explain_os_error(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)
    return {"name": path.name, "records": len(items), "bytes": path.stat().st_size}, digests


def _make_record(item, label_map):
    """Returns the serialized example of one image and the digest of the encoded image in it."""
    image = item.image
    data = images.read_image(image.path)
    if hashlib.sha256(data).hexdigest() != image.facts.sha256:
        raise errors.DatasetError(f"{image.path}: the file has changed while it was converted", way_out="start again")
    encoded, format = images.encode_for_record(data, image.facts, image.turn)
    digest = image.facts.sha256 if encoded is data else hashlib.sha256(encoded).hexdigest()
    made = example.to_features(image.annotation, encoded, format, item.source_id, digest, label_map, image.name)
    return example.serialize(made), digest
