"""Records for the tests of the input pipeline."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image

from tfodhelper import protos
from tfodhelper.fields import Record
from tfodhelper.inputs import pixels
from tfodhelper.inputs import sample as samples


def encode(image, format="JPEG", **options):
    """Bytes of an image, uint8 [h, w, 3]."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format, **({"quality": 95} if format == "JPEG" else {}), **options)
    return file.getvalue()


def make_example(encoded, boxes=(), labels=(), *, filename="a.jpg", source_id="1", **features):
    """A serialized tf.train.Example.

    Args:
      encoded: bytes of the image.
      boxes: normalized ymin, xmin, ymax, xmax.
      labels: 1-based ids.
      filename: image/filename.
      source_id: image/source_id.
      **features: lists of further features, by the names of `fields.Record` in lower case.
    """
    columns = list(zip(*boxes)) if len(boxes) else [[]] * 4
    values = {
        Record.ENCODED: [encoded],
        Record.FILENAME: [filename.encode()],
        Record.SOURCE_ID: [source_id.encode()],
        Record.CLASS_LABEL: list(labels),
        **dict(zip((Record.YMIN, Record.XMIN, Record.YMAX, Record.XMAX), map(list, columns))),
        **{getattr(Record, key.upper()): value for key, value in features.items()},
    }
    example = tf.train.Example()
    for key, items in values.items():
        feature = example.features.feature[key]
        if items and isinstance(items[0], bytes):
            feature.bytes_list.value.extend(items)
        elif items and isinstance(items[0], (int, np.integer)):
            feature.int64_list.value.extend(items)
        elif items:
            feature.float_list.value.extend(items)
    return example.SerializeToString()


def write_records(path, serialized):
    """Writes one record file."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in serialized:
            writer.write(record)
    return str(path)


def write_numbered(folder, count, shards=1):
    """Small records whose file name is their number; image i has the gray level i."""
    for shard in range(shards):
        records = [
            make_example(
                encode(np.full((8, 8, 3), i % 256, np.uint8), "PNG"),
                [(0.1, 0.2, 0.6, 0.7)],
                [1],
                filename=str(i),
                source_id=str(i),
            )
            for i in range(shard, count, shards)
        ]
        write_records(folder / f"train.record-{shard:05d}-of-{shards:05d}", records)
    return str(folder / "train.record-?????-of-?????")


def make_sample(image, boxes=((0.25, 0.5, 0.5, 0.75),), classes=None):
    """A `Sample` of pixels, uint8 [h, w, 3]."""
    boxes = tf.reshape(tf.constant(boxes, tf.float32), [-1, 4])
    count = len(boxes)
    return samples.Sample(
        pixels.make_picture_from_pixels(tf.constant(image)),
        boxes,
        tf.constant(list(range(count)) if classes is None else classes, tf.int32),
        tf.range(count),
    )


def step_message(text):
    """A `PreprocessingStep` from text."""
    from google.protobuf import text_format

    return text_format.Parse(text, protos.message("PreprocessingStep")())


def run_many(step, make, count, seed=0):
    """Runs a step on `make()` for `count` indices in one compiled function.

    Returns:
      (images, boxes, classes): lists of numpy arrays.
    """

    def run(index):
        result = step(make(), samples.Draws(seed, index))
        return pixels.read_pixels(result.picture), result.boxes, result.classes

    dataset = tf.data.Dataset.range(count).map(run, num_parallel_calls=2)
    return [list(column) for column in zip(*dataset.as_numpy_iterator())]
