"""Which record is to blame when reading the input fails.

An error from inside `tf.data` names neither file nor record, and carrying both along with each record would slow down
all the good ones. So the files are read again, once, after something has failed.
"""

import functools
import pathlib

import tensorflow as tf

from tfodhelper import errors
from tfodhelper.fields import Record
from tfodhelper.inputs import decoder, masks, pixels, reader
from tfodhelper.outofcore import workers
from tfodhelper.records import labels
from tfodhelper.records import reader as records_reader

# TensorFlow's message may hold the broken record itself, which is not text.
_ERRORS = (tf.errors.OpError, UnicodeDecodeError)
_FIX = "repair or remove that image and convert again, or copy the record file again"


def iterate(dataset, patterns):
    """Yields the elements of a dataset of records; an error that a record is to blame for names it.

    Args:
      dataset: of `build`.
      patterns: as for `explain_input_error`.

    Raises:
      DatasetError: a record cannot be read or decoded.
    """
    try:
        yield from dataset
    except _ERRORS as error:
        explained = explain_input_error(error, patterns)
        if explained is None:
            raise
        raise explained from error


def explain_input_error(error, patterns):
    """Finds the first record that cannot be read or decoded.

    Args:
      error: the exception raised while a dataset was read.
      patterns: record files, patterns or both, as in `tf_record_input_reader.input_path`.

    Returns:
      A `DatasetError` that names the record file, the record and the image, or None when all records can be read: then
      the error has another cause.
    """
    if not isinstance(error, _ERRORS):
        return None
    for path in records_reader.list_shards(patterns):
        explained = _first_unreadable(path) or _first_undecodable(path)
        if explained is None and Record.MASK in str(error):
            explained = _first_bad_masks(path)
        if explained is not None:
            return explained
    return None


def _first_unreadable(path):
    number = 0
    try:
        for _ in reader.without_tuning(tf.data.TFRecordDataset(path).prefetch(16)):
            number += 1
    except _ERRORS as error:
        if isinstance(error, tf.errors.DataLossError):
            return labels.explain_damage(path, number)
        return errors.DatasetError(
            f"{path}: record {number} (from 0) cannot be read", received=_first_line(error), fix=_FIX
        )
    return None


def _first_undecodable(path, mask_type=None):
    records = tf.data.TFRecordDataset(path)
    decode = functools.partial(_decode_or_fail, mask_type=mask_type)
    numbered = records.enumerate().map(decode, num_parallel_calls=workers.count_processors(), deterministic=True)
    expected = 0
    decoded = reader.without_tuning(numbered.ignore_errors().prefetch(16))
    for number, _, _ in decoded.as_numpy_iterator():
        if number != expected:
            break
        expected += 1
    for serialized in records.skip(expected).take(1):
        return _explain(path, expected, serialized, mask_type)
    return None


def _first_bad_masks(path):
    """As `_first_undecodable`, with the masks read as the first record with masks keeps them."""
    data = pathlib.Path(path).read_bytes()
    spans = records_reader.iterate_spans(path)
    kinds = (labels.read_labels(data, start, start + length).mask_type for start, length in spans)
    mask_type = next(filter(None, kinds), None)
    return None if mask_type is None else _first_undecodable(path, mask_type)


def _decode_or_fail(number, serialized, mask_type=None):
    """The number, and values that depend on the whole record, so that a broken record always fails."""
    sample, stored = decoder.Decoder(mask_type=mask_type).decode(serialized)
    rows = tf.gather(stored.weights, sample.rows) + tf.gather(stored.area, sample.rows)
    total = tf.reduce_sum(rows)
    if mask_type is not None:
        _, has_pixels = masks.read(sample.masks, sample.rows, tf.constant([1, 1, 1]), 1, 1)
        total += tf.reduce_sum(tf.cast(has_pixels, tf.float32))
    return number, tf.reduce_max(pixels.read_pixels(sample.picture)), total


def _explain(path, number, serialized, mask_type):
    name, reason = "not a tf.train.Example", None
    try:
        feature = {Record.FILENAME: tf.io.FixedLenFeature([], tf.string, "an unknown image")}
        name = tf.io.parse_single_example(serialized, feature)[Record.FILENAME].numpy().decode("utf-8", "replace")
        _decode_or_fail(tf.constant(number, tf.int64), serialized, mask_type)
    except _ERRORS as error:
        reason = _first_line(error)
    return errors.DatasetError(
        f"{path}: record {number} (from 0), {name}: cannot be decoded",
        expected="a tf.train.Example with a whole JPEG or PNG image"
        + (" and one mask of its size for each object" if mask_type else ""),
        received=reason,
        fix=_FIX,
    )


def _first_line(error):
    message = error.message if isinstance(error, tf.errors.OpError) else error.object.decode("utf-8", "replace")
    lines = str(message).strip().splitlines()
    about_masks = (line for line in lines if Record.MASK in line)  # after lines of the program's own, in such an error
    return next(about_masks, lines[0])[:200] if lines else type(error).__name__
