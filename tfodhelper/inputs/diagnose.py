"""Which record is to blame when reading the input fails.

An error from inside of `tf.data` tells neither file nor record, and carrying both along with each record would slow all
the good ones down. So the files are read again, once, when something has already failed.
"""

import tensorflow as tf

from tfodhelper import errors
from tfodhelper.fields import Record
from tfodhelper.inputs import decoder, pixels
from tfodhelper.records import reader as records_reader

_WAY_OUT = "mend or remove that image and convert again, or copy the record file again"


def explain_input_error(error, patterns):
    """Finds the first record that cannot be read or decoded.

    Args:
      error: the exception that reading a dataset raised.
      patterns: record files, patterns or both, as in `tf_record_input_reader.input_path`.

    Returns:
      a `DatasetError` that names the record file, the record and the image, or None when all records are whole, that is
      when the error has another cause.
    """
    if not isinstance(error, tf.errors.OpError):
        return None
    for path in records_reader.list_shards(patterns):
        found = _first_unreadable(path) or _first_undecodable(path)
        if found is not None:
            return found
    return None


def _first_unreadable(path):
    number = 0
    try:
        for _ in tf.data.TFRecordDataset(path).prefetch(16):
            number += 1
    except tf.errors.OpError as error:
        return errors.DatasetError(
            f"{path}: record {number} (from 0) cannot be read", received=_first_line(error), way_out=_WAY_OUT
        )
    return None


def _first_undecodable(path):
    records = tf.data.TFRecordDataset(path)
    numbered = records.enumerate().map(_decode_or_fail, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    expected = 0
    for number in numbered.ignore_errors().prefetch(16).as_numpy_iterator():
        if number != expected:
            break
        expected += 1
    for serialized in records.skip(expected).take(1):
        return _explain(path, expected, serialized)
    return None


def _decode_or_fail(number, serialized):
    """The number; that of a record that cannot be decoded is never reached."""
    sample, stored = decoder.Decoder().decode(serialized)
    image = pixels.read_pixels(sample.picture)
    rows = tf.stack([tf.size(tf.gather(values, sample.rows)) for values in (stored.weights, stored.area)])
    with tf.control_dependencies([tf.reduce_max(image), rows]):
        return tf.identity(number)


def _explain(path, number, serialized):
    name = "an unknown image"
    try:
        example = tf.train.Example.FromString(serialized.numpy())
        names = example.features.feature[Record.FILENAME].bytes_list.value
        name = names[0].decode("utf-8", "replace") if names else name
        _decode_or_fail(tf.constant(number, tf.int64), serialized)
        reason = None
    except tf.errors.OpError as error:
        reason = _first_line(error)
    except ValueError as error:  # the protobuf runtimes' DecodeError is one
        reason = f"no tf.train.Example ({error})"
    return errors.DatasetError(
        f"{path}: record {number} (from 0), {name}: cannot be decoded",
        expected="a tf.train.Example with a whole JPEG or PNG image",
        received=reason,
        way_out=_WAY_OUT,
    )


def _first_line(error):
    return str(error.message).strip().splitlines()[0]
