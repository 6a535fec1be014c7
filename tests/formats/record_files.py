"""Makes record files of a few images."""

import io

from PIL import Image

from tfodhelper.annotations.label_map import make_label_map
from tfodhelper.annotations.structures import Annotation
from tfodhelper.dataset.scan import entry
from tfodhelper.records import example, framing


def make_image(format="JPEG", size=(64, 48)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 30, 30)).save(buffer, format)
    return buffer.getvalue()


def make_record(boxes, encoded=None, format="jpeg", filename="a.jpg", label_map=None):
    annotation = Annotation("a.jpg", 64, 48, tuple(boxes))
    label_map = label_map or make_label_map(["cat", "dog"])
    boxes = entry.pack_annotation(annotation)[3]
    return example.make_example(boxes, 64, 48, encoded or make_image(), format, 7, "ab", label_map, filename)


def write_records(path, *records):
    path.write_bytes(b"".join(part for record in records for part in framing.frame(record)))
    return path
