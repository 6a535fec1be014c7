"""Conversions, and what they wrote, as tests compare it."""

import tensorflow as tf

from tfodhelper.records import convert, result


def convert_set(data, output, **options):
    """Converts a folder into another one; returns the `result.ConvertResult`."""
    return convert.convert(convert.ConvertOptions(data_dir=data, output_dir=output, **options))


def contents(folder):
    """{name: bytes} of the files of a conversion, without its log and its lock."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.name not in (result.LOG, ".lock")}


def read_examples(paths):
    """{image/filename: {name: tf.train.Feature}} of the records in some files."""
    examples = {}
    for path in paths:
        for record in tf.data.TFRecordDataset(str(path)):
            example = tf.train.Example.FromString(record.numpy())
            examples[example.features.feature["image/filename"].bytes_list.value[0].decode()] = example.features.feature
    return examples
