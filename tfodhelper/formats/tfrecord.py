"""Record files to images with LabelImg XML: what `import --from=records` does."""

import collections
import os

from tfodhelper import console, storage
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset import placing
from tfodhelper.formats import importing, tfrecord_reader

_ENDINGS = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "BMP": ".bmp", "WEBP": ".webp"}


def import_records(pattern, output_dir, label_map=None):
    """Writes the images of record files as they are encoded, each with its XML.

    Images are named by image/filename, with the ending of their real format; a name without folder parts that lead
    elsewhere, and one of its own where two are alike.

    Args:
      pattern: of the record files.
      output_dir: an empty or new folder.
      label_map: `LabelMap` for records that hold ids of classes alone, or None.

    Returns:
      An `importing.Imported`.

    Raises:
      DatasetError, StorageError: files that cannot be read or written.
    """
    output_dir = placing.make_new_folder(output_dir)
    names = {item.id: item.shown_name for item in label_map} if label_map is not None else {}
    own_names, findings = placing.Names([]), []
    counts, num_images, num_negatives = collections.Counter(), 0, 0
    with console.Progress("records imported") as progress:
        for one in tfrecord_reader.read_records(pattern, names):
            progress.advance()
            if isinstance(one, Finding):
                findings.append(one)
                continue
            findings += one.findings
            name, own = own_names.take(_safe_name(one), _ENDINGS.get(one.facts.format))
            target = output_dir / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with storage.open_whole(target, "wb") as file:
                file.write(one.data)
            placing.write_annotation(output_dir / f"{own}.xml", target, one.annotation)
            counts.update(box.name for box in one.annotation.boxes)
            num_negatives += not one.annotation.boxes
            num_images += 1
    return importing.Imported(
        output_dir=output_dir,
        num_images=num_images,
        num_boxes=sum(counts.values()),
        num_negatives=num_negatives,
        counts=dict(sorted(counts.items())),
        unlisted=(),
        has_lists=False,
        findings=tuple(findings),
    )


def _safe_name(one):
    """The record's own name where it stays in its folder, else its last part; a number where there is none."""
    name = "".join(c if c.isprintable() else "_" for c in one.name)
    if not placing.is_inside(name) or ":" in name:
        name = os.path.basename(name.replace(":", "/"))
    if not name.strip(". ") or len(os.fsencode(name)) > 200:
        name = "record_" + one.where.rsplit(" ", 1)[-1]
    return name
