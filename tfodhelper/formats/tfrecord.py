"""Converts record files to images with LabelImg XML: implements `import --from=records`."""

import collections
import os

from tfodhelper import console, storage
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset import placing
from tfodhelper.formats import importing, tfrecord_reader

_ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "BMP": ".bmp", "WEBP": ".webp"}


def import_records(pattern, output_dir, label_map=None):
    """Writes the images of record files, as they are encoded, each with its XML file.

    Images are named after image/filename, with the extension of their real format. Names that would lead out of the
    folder are reduced to their last part; repeated names are made unique.

    Args:
      pattern: glob pattern of the record files.
      output_dir: an empty or new folder.
      label_map: a `LabelMap` for records that contain only class ids, or None.

    Returns:
      An `importing.ImportResult`.

    Raises:
      DatasetError, StorageError: files that cannot be read or written.
    """
    output_dir = placing.make_new_folder(output_dir)
    names = {item.id: item.shown_name for item in label_map} if label_map is not None else {}
    own_names, findings = placing.Names([]), []
    counts, num_images, num_negatives = collections.Counter(), 0, 0
    with console.Progress("records imported") as progress:
        for record in tfrecord_reader.read_records(pattern, names):
            progress.advance()
            if isinstance(record, Finding):
                findings.append(record)
                continue
            findings += record.findings
            name, own = own_names.take(_safe_name(record), _ENDINGS.get(record.facts.format))
            target = output_dir / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with storage.open_whole(target, "wb") as file:
                file.write(record.data)
            placing.write_annotation(output_dir / f"{own}.xml", target, record.annotation)
            counts.update(box.name for box in record.annotation.boxes)
            num_negatives += not record.annotation.boxes
            num_images += 1
    return importing.ImportResult(
        output_dir=output_dir,
        num_images=num_images,
        num_boxes=sum(counts.values()),
        num_negatives=num_negatives,
        counts=dict(sorted(counts.items())),
        unlisted=(),
        has_lists=False,
        findings=tuple(findings),
    )


def _safe_name(record):
    """The record's name if it stays inside the folder, else its last part; a numbered name if there is none."""
    name = "".join(c if c.isprintable() else "_" for c in record.name)
    if not placing.is_inside(name) or ":" in name:
        name = os.path.basename(name.replace(":", "/"))
    if not name.strip(". ") or len(os.fsencode(name)) > 200:
        name = "record_" + record.where.rsplit(" ", 1)[-1]
    return name
