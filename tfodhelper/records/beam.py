"""The conversion of `convert` as an Apache Beam pipeline, for images in a bucket.

Records are made by the same function. Decisions that would need the whole dataset are made differently: the label map
is given, an image and an XML file with the same stem are a pair, and the side follows from a digest of the image. Beam
is installed by the extra `beam`; its runner (Dataflow, Flink, Spark, or the local one) decides where the work is done.
Users call `tfodhelper.convert_with_beam`.
"""

import hashlib
import os
import pathlib

import apache_beam
from apache_beam.io import fileio, filesystems
from apache_beam.options import pipeline_options

from tfodhelper import spelling
from tfodhelper.annotations import checks, headers, images, labelimg, mask_files, weight_files
from tfodhelper.annotations.structures import UnusableFile
from tfodhelper.dataset.scan import entry
from tfodhelper.dataset.split.split import TRAIN, VALIDATE
from tfodhelper.records import writer

_LEFT_OUT = "left_out"
_BESIDE_XML = (mask_files.ENDING, weight_files.ENDING)
_HASH_SPAN = 1 << 32


class MakeRecords(apache_beam.DoFn):
    """Maps (stem, its files) to (side, serialized tf.train.Example), or to a line of the side output LEFT_OUT.

    Args:
      label_map: a `LabelMap`; images with other classes are left out.
      val_fraction: share of validation; images are assigned by the digest of their content, so that identical images
        stay together.
      seed: of the split.
      decode: whether to decode images to verify that they are complete.
    """

    LEFT_OUT = _LEFT_OUT

    def __init__(self, label_map, val_fraction=0.2, seed=0, decode=False):
        super().__init__()
        self._label_map, self._decode = label_map, decode
        self._val_fraction, self._seed = val_fraction, seed

    def process(self, element):
        """Yields a record or the reason why there is none."""
        stem, paths = element
        try:
            yield convert_image(
                stem, list(paths), self._label_map, self._val_fraction, self._seed, self._decode, read_file
            )
        except UnusableFile as error:
            yield apache_beam.pvalue.TaggedOutput(_LEFT_OUT, f"{stem}: {error.code}: {error.reason}")


def convert_image(stem, paths, label_map, val_fraction, seed, decode, read):
    """Converts one image with its annotation to a record.

    Args:
      stem: the common stem of both names.
      paths: of the image and the XML file, and of the files with its masks and weights if there are any.
      label_map, val_fraction, seed, decode: see `MakeRecords`.
      read: function that reads the bytes of a path.

    Returns:
      (side, bytes).

    Raises:
      UnusableFile: the image is left out.
    """
    xml = [path for path in paths if path.lower().endswith(".xml")]
    mask_paths, weight_paths = ([path for path in paths if path.endswith(ending)] for ending in _BESIDE_XML)
    image_paths = [path for path in paths if path not in (*xml, *mask_paths, *weight_paths)]
    if len(xml) != 1 or len(image_paths) != 1:
        code = "image-missing" if not image_paths else "unlabelled" if not xml else "image-ambiguous"
        files = f"{spelling.count(len(image_paths), 'image')} and {spelling.count(len(xml), 'annotation file')}"
        raise UnusableFile(code, stem, f"{files} with this name")
    name = os.path.basename(image_paths[0])
    data = read(image_paths[0])
    facts = headers.inspect(data, image_paths[0], decode)
    annotation = labelimg.parse_labelimg(read(xml[0]), xml[0])
    for path in mask_paths:
        annotation = mask_files.add_masks(annotation, read(path), path)
    for path in weight_paths:
        annotation = weight_files.add_weights(annotation, read(path), path)
    checked = checks.check_annotation(annotation, facts, xml[0], label_map, image_file=name)
    if checked.annotation is None:
        reasons = [finding for finding in checked.findings if finding.severity == "error"]
        raise UnusableFile(reasons[0].code, stem, reasons[0].message)
    number = int.from_bytes(hashlib.sha256(f"{seed}/{facts.sha256}".encode()).digest()[:4], "big")
    side = VALIDATE if number < val_fraction * _HASH_SPAN else TRAIN
    source_id = int.from_bytes(hashlib.sha256(stem.encode()).digest()[:7], "big")
    content = entry.pack_annotation(checked.annotation)
    record, _ = writer.make_record(data, facts, checked.turn, content, source_id, name, label_map)
    return side, record


def read_file(path):
    """The bytes of a file, local or in a bucket."""
    with filesystems.FileSystems.open(path, compression_type="uncompressed") as file:
        return file.read()


def run_pipeline(pattern, output_dir, make_records, num_shards, argv):
    """Runs the pipeline and waits until it has finished; see `api.clusters.convert_with_beam`.

    Args:
      pattern: pattern of all images and XML files, in the syntax of Beam's file systems.
      output_dir: folder for train.record-*, validate.record-* and left_out.txt-*.
      make_records: a `MakeRecords`.
      num_shards: number of shards per side; 0 leaves it to the runner.
      argv: flags for Beam, such as --runner.
    """
    with apache_beam.Pipeline(options=pipeline_options.PipelineOptions(list(argv))) as pipeline:
        records = (
            pipeline
            | "match" >> fileio.MatchFiles(pattern)
            | "keep" >> apache_beam.Filter(lambda match: _is_wanted(match.path))
            | "key" >> apache_beam.Map(lambda match: (_stem_of(match.path), match.path))
            | "pair" >> apache_beam.GroupByKey()
            | "make" >> apache_beam.ParDo(make_records).with_outputs(_LEFT_OUT, main="made")
        )
        for side in (TRAIN, VALIDATE):
            _write_side(records.made, side, _join(output_dir, f"{side}.record"), num_shards)
        records[_LEFT_OUT] | "left out" >> apache_beam.io.WriteToText(_join(output_dir, "left_out.txt"))


def _is_wanted(path):
    return path.lower().endswith((".xml", *_BESIDE_XML, *images.EXTENSIONS))


def _stem_of(path):
    """What the names of an image, its annotation, its masks and its weights have in common."""
    ending = next((ending for ending in _BESIDE_XML if path.endswith(ending)), None)
    return os.path.splitext(path)[0] if ending is None else path.removesuffix(ending)


def _join(folder, name):
    return f"{folder.rstrip('/')}/{name}" if isinstance(folder, str) else str(pathlib.Path(folder) / name)


def _write_side(made, side, prefix, num_shards):
    records = made | f"choose {side}" >> apache_beam.Filter(lambda pair, side=side: pair[0] == side)
    values = records | f"values {side}" >> apache_beam.Values()
    values | f"write {side}" >> apache_beam.io.WriteToTFRecord(prefix, num_shards=num_shards)
