"""Converts record files to images with LabelImg XML: implements `import --from=records`."""

import collections
import dataclasses
import os
import posixpath

from tfodhelper import console, result_folder, storage
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset import placing
from tfodhelper.formats import collection, tfrecord_reader
from tfodhelper.formats.class_ids import ClassIds
from tfodhelper.formats.import_result import Tally

_ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "BMP": ".bmp", "WEBP": ".webp"}
_MAX_PATH_BYTES = 1000  # a system allows 4096 for the whole path


def import_records(patterns_of, output_dir, label_map=None, maker=None):
    """Writes the images of record files, as they are encoded, each with its XML file.

    Images are named after image/filename, with the extension of their real format. Names that would lead out of the
    folder are reduced to their last part; repeated names are made unique.

    Args:
      patterns_of: {side: glob pattern of the record files}; if there are several, the images are assigned to them.
      output_dir: an empty or new folder.
      label_map: a `LabelMap` for records that contain only class ids, or None.
      maker: see `result_folder.whole_folder`.

    Returns:
      An `import_result.ImportResult`.

    Raises:
      DatasetError, StorageError: files that cannot be read or written, or that contain no record.
    """
    paths_of = {side: tfrecord_reader.list_filled(pattern) for side, pattern in patterns_of.items()}
    names = {item.id: item.shown_name for item in label_map} if label_map is not None else {}
    output_dir = placing.check_new_folder(output_dir, maker=maker)
    with result_folder.whole_folder(output_dir, maker) as filled, console.Progress("records imported") as progress:
        writer = _Writer(filled, output_dir, names)
        for side, paths in paths_of.items():
            for record in tfrecord_reader.read_records(paths, names):
                progress.advance()
                writer.add(record, {side} if len(paths_of) > 1 else ())
        made = writer.finish()
    return dataclasses.replace(made, output_dir=output_dir)


class _Writer:
    """Writes images and their XML files, and collects what concerns all of them.

    Args:
      filled: the folder to fill, which will be `output_dir`.
      output_dir: see `import_records`.
      names: {id: name} of the classes, or {}.
    """

    def __init__(self, filled, output_dir, names):
        self._filled, self._output_dir, self._names = filled, output_dir, names
        self._own_names, self._tally, self._class_ids = placing.Names([]), Tally(), ClassIds()
        self._unnamed, self._class_texts = collections.Counter(), collections.Counter()

    def add(self, record, sides):
        """Writes one image.

        Args:
          record: an `tfrecord_reader.UnpackedRecord`, or a `Finding` why there is none.
          sides: see `Tally.add`.
        """
        if isinstance(record, Finding):
            self._tally.report([record])
            return
        self._tally.report([*record.findings, *collection.findings_of(record.listed)])
        if not collection.is_usable(record.listed):
            return
        name, own = self._own_names.take(_safe_name(record), _ENDINGS.get(record.facts.format))
        target = self._filled / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with storage.open_whole(target, "wb") as file:
            file.write(record.data)
        placing.write_annotation(self._filled / f"{own}.xml", self._output_dir / name, record.listed.annotation)
        self._tally.add(name, record.listed.annotation, sides)
        self._class_ids.add(record.class_ids)
        self._unnamed.update(record.unnamed)
        self._class_texts.update(record.class_texts)

    def finish(self):
        """Writes the files about all images; returns the `ImportResult`."""
        source = "--classes" if self._names else "the records"
        self._tally.report(collection.report_unnamed(self._unnamed, source))
        self._tally.report(collection.report_changed(self._class_texts, "the records"))
        if self._names:
            self._class_ids.add((name, id_) for id_, name in self._names.items())
        return self._tally.finish(self._filled, self._class_ids)


def _safe_name(record):
    """The record's name if it stays inside the folder, else its last part; a numbered name if there is none.

    Parts that begin with a dot, which would hide the image from every search, begin with "_" instead.
    """
    name = "".join(c if c.isprintable() else "_" for c in record.listed.name)
    if not placing.is_inside(name) or ":" in name or len(os.fsencode(name)) > _MAX_PATH_BYTES:
        name = os.path.basename(name.replace(":", "/"))
    if not name.strip(". "):
        return "record_" + record.where.rsplit(" ", 1)[-1]
    parts = posixpath.normpath(name).split("/")
    return "/".join("_" + part[1:] if part.startswith(".") else part for part in parts)
