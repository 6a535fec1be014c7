"""Serialized records in an order that follows from the seed and the epoch, starting at any position.

An epoch reads every record once: the files in random order, several at a time, through a shuffle buffer of serialized
records. To start in the middle, the records before are read, but neither decoded nor augmented.
"""

import dataclasses
import os
import pathlib
import threading

import tensorflow as tf

from tfodhelper import console, errors
from tfodhelper.records import framing
from tfodhelper.records import reader as records_reader

_READ_BYTES = 1 << 20  # read ahead of each open file
_PARALLEL_FILES = 4
_MOST_OPEN_FILES = 100
_MEMORY_FRACTION = 0.2  # of the free memory, for the shuffle buffer
_FOREVER = 1 << 60


@dataclasses.dataclass(frozen=True)
class Source:
    """Record files and how they are read.

    Attributes:
      paths: of the files, sorted.
      count: number of records in all of them.
      shuffle: whether the order is random.
      shuffle_buffer_size: maximum number of records from which the next one is drawn.
      num_epochs: 0: endless.
      num_readers: maximum number of files that are read at a time.
      read_block_length: records that are read from one file before the next file.
      sample_1_of_n_examples: 1 for all records, n for every n-th.
    """

    paths: tuple
    count: int
    shuffle: bool = True
    shuffle_buffer_size: int = 2048
    num_epochs: int = 0
    num_readers: int = 64
    read_block_length: int = 32
    sample_1_of_n_examples: int = 1


@dataclasses.dataclass(frozen=True)
class Share:
    """Which records one of several input pipelines reads: every `count`-th, starting at `index`."""

    index: int = 0
    count: int = 1


def make_source(config, name):
    """Finds and counts the records of an `InputReader` message.

    Args:
      config: the message.
      name: of the message in the config, for errors.

    Raises:
      ConfigError: for a kind of source that is not supported.
      DatasetError: when there are no files, no records, or a file is cut off.
    """
    if config.WhichOneof("input_reader") != "tf_record_input_reader" or not config.tf_record_input_reader.input_path:
        raise errors.ConfigError(
            f"{name}: no record files are named", expected="tf_record_input_reader { input_path: ... }"
        )
    if len(config.sample_from_datasets_weights):
        raise errors.ConfigError(
            f"{name}.sample_from_datasets_weights: every record is read once per epoch",
            expected="weights in train_input_reader alone, without --sampling and --negatives",
            fix="remove it",
        )
    paths = tuple(str(path) for path in records_reader.list_shards(list(config.tf_record_input_reader.input_path)))
    count = records_reader.count_records(paths)
    if not count:
        raise errors.DatasetError(f"{name}: no records in {', '.join(paths[:3])}", fix="convert the images again")
    return Source(
        paths=paths,
        count=count,
        shuffle=config.shuffle,
        shuffle_buffer_size=max(1, config.shuffle_buffer_size),
        num_epochs=config.num_epochs,
        num_readers=max(1, config.num_readers),
        read_block_length=max(1, config.read_block_length),
        sample_1_of_n_examples=max(1, config.sample_1_of_n_examples),
    )


def epoch_length(source, share=Share()):
    """How many records a pipeline reads in an epoch."""
    own = -((share.index - source.count) // share.count)
    return max(0, -(-own // source.sample_1_of_n_examples))


def read_records(source, seed, share=Share(), start=0):
    """Reads epoch after epoch.

    Args:
      source: `Source`.
      seed: an int; the same seed gives the same order.
      share: of this input pipeline.
      start: number of records of this pipeline that are skipped.

    Returns:
      a dataset of (index, serialized): an int64 that counts the records of the whole run over all pipelines, and a
      string.

    Raises:
      DatasetError: when there are fewer records than pipelines.
    """
    length = epoch_length(source, share)
    if not length:
        raise errors.DatasetError(
            f"{source.paths[0]} ...: not enough records", expected=f"at least {share.count}", received=source.count
        )
    first_epoch, passed_over = divmod(start, length)
    buffer_size = bound_buffer_size(source, share)

    def read_epoch(epoch):
        records = _read_epoch(source, seed, epoch, share, buffer_size)
        return records.skip(tf.where(epoch == first_epoch, tf.constant(passed_over, tf.int64), 0))

    epochs = tf.data.Dataset.range(first_epoch, source.num_epochs or _FOREVER)
    positions = tf.data.Dataset.range(start * share.count + share.index, _FOREVER, share.count)
    return tf.data.Dataset.zip((positions, epochs.flat_map(read_epoch)))


def read_drawn(catalogue, draw, share=Share(), start=0, num_epochs=0):
    """Reads the records that a draw names, epoch after epoch.

    Records before the start are not read.

    Args:
      catalogue: a `sampling.Catalogue`.
      draw: a `sampling.Draw` of it.
      share: of this input pipeline.
      start: number of records of this pipeline that are skipped.
      num_epochs: 0: endless.

    Returns:
      As `read_records`.
    """
    total = num_epochs * len(draw) if num_epochs else _FOREVER
    files = _OpenFiles(catalogue.paths)

    def read(position):
        epoch, within = divmod(int(position), len(draw))
        number = draw.epoch(epoch)[within]
        return files.read(int(catalogue.files[number]), int(catalogue.offsets[number]), int(catalogue.lengths[number]))

    positions = tf.data.Dataset.range(start * share.count + share.index, total, share.count)

    def with_record(position):
        return position, tf.ensure_shape(tf.numpy_function(read, [position], tf.string, stateful=False), [])

    return positions.map(with_record, num_parallel_calls=_PARALLEL_FILES, deterministic=True)


class _OpenFiles:
    """Record files that stay open, for several threads."""

    def __init__(self, paths):
        self._paths, self._lock, self._open = paths, threading.Lock(), {}

    def read(self, number, offset, length):
        """The content of a record, whose checksum is checked as TensorFlow does it for whole files.

        Raises:
          ValueError: the content does not fit the checksum; `diagnose.explain_input_error` then finds the record.
        """
        record = self._read_bytes(number, offset, length + framing.FOOTER.size)
        if framing.FOOTER.pack(framing.masked_crc(record[:length])) != record[length:]:
            raise ValueError(f"{self._paths[number]}: the record at byte {offset} does not fit its checksum")
        return record[:length]

    def _read_bytes(self, number, offset, length):
        with self._lock:
            if number not in self._open:
                while len(self._open) >= _MOST_OPEN_FILES:
                    self._open.pop(next(iter(self._open))).close()
                self._open[number] = open(self._paths[number], "rb", 0)  # noqa: SIM115 - stays open
            file = self._open[number]
            file.seek(offset)
            return file.read(length)


def _read_epoch(source, seed, epoch, share, buffer_size):
    paths = tf.constant(source.paths)
    if source.shuffle:
        # The function's own seed, so that one set elsewhere in the program does not change the order; never 0, which
        # TensorFlow would compare with the seed of the operation, a tensor here.
        tf.compat.v1.set_random_seed(seed + 1)
        paths = tf.random.experimental.stateless_shuffle(paths, tf.stack([tf.cast(seed, tf.int64), epoch]))
    cycle = min(source.num_readers, len(source.paths))
    records = tf.data.Dataset.from_tensor_slices(paths).interleave(
        lambda path: tf.data.TFRecordDataset(path, buffer_size=_READ_BYTES),
        cycle_length=cycle,
        block_length=source.read_block_length,
        num_parallel_calls=min(cycle, _PARALLEL_FILES),
        deterministic=True,
    )
    if share.count > 1:
        records = records.shard(share.count, share.index)
    if source.shuffle:
        records = records.shuffle(buffer_size, seed=epoch + 1, reshuffle_each_iteration=False)
    if source.sample_1_of_n_examples > 1:
        records = records.shard(source.sample_1_of_n_examples, 0)
    return records


def without_tuning(dataset):
    """The dataset without TensorFlow's thread that tunes it while it is read.

    The thread sleeps for up to a minute between two looks, and an iterator that is dropped waits for its end: on a busy
    machine it is woken before it can know that it is to end, and sleeps on.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def bound_buffer_size(source, share=Share()):
    """Size of the shuffle buffer: that of the config, limited by the number of records and the free memory."""
    own = -((share.index - source.count) // share.count)
    size = min(source.shuffle_buffer_size, own)
    total = sum(os.path.getsize(path) for path in source.paths if "://" not in path)
    mean = max(1, total // source.count)
    room = max(16, int(_MEMORY_FRACTION * _free_memory() / mean))
    if source.shuffle and room < size:
        console.warn(f"shuffle_buffer_size: {room} records instead of {size}, because more would not fit into memory")
        return room
    return size


def _free_memory():
    """Bytes that can be allocated without swapping; a guess where the system does not say."""
    try:
        for line in pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 4 << 30
