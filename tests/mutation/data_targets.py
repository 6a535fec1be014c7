"""Parsers of annotations, records and images."""

import dataclasses
import json

import numpy as np
from PIL import Image

from tests.mutation import mutators as m
from tests.mutation.base import JSON, LABEL_MAP, TABLE, TEXT, Target, encoded, png, write
from tfodhelper.annotations import checks, headers, images, label_map, labelimg
from tfodhelper.annotations.structures import Box
from tfodhelper.formats import box_table, brush_code, coco, cvat, label_studio, tfrecord_reader, yolo, yolo_folder
from tfodhelper.records import example, framing, labels, reader
from tfodhelper.zoo import base_configs

FACTS = images.ImageFacts("JPEG", 64, 48, "RGB", 1, "0" * 64, 1)


def _xml(folder, data):
    annotation = labelimg.read_labelimg(write(folder, "a.xml", data))
    for known in (None, LABEL_MAP):
        found = checks.check_annotation(annotation, FACTS, "a.xml", known)
        [finding.message for finding in found.findings[:100]]
        if found.annotation is not None:
            labelimg.write_labelimg(folder / "b.xml", found.annotation)


def _xml_seeds():
    head = "<annotation>\n\t<folder>f</folder>\n\t<filename>a.jpg</filename>\n\t<path>/x/a.jpg</path>\n\t<source>\n"
    head += "\t\t<database>Unknown</database>\n\t</source>\n\t<size>\n\t\t<width>64</width>\n\t\t<height>48</height>\n"
    head += "\t\t<depth>3</depth>\n\t</size>\n\t<segmented>0</segmented>\n"
    body = "\t<object>\n\t\t<name>{0}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>0</truncated>\n"
    body += "\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>{1}</xmin>\n\t\t\t<ymin>2</ymin>\n"
    body += "\t\t\t<xmax>30</xmax>\n\t\t\t<ymax>40</ymax>\n\t\t</bndbox>\n\t</object>\n"
    objects = "".join(body.format(name, place) for name, place in (("cat", 1), ("dog", 5), ("cow", 9.5)))
    return [(head + part + "</annotation>\n").encode() for part in ("", objects, objects * 5)]


def _label_map_seeds():
    made = label_map.format_label_map(LABEL_MAP)
    return [
        made.encode(),
        base_configs.label_map_path("pascal").read_bytes(),
        made.replace("item", "# x\nitem").encode(),
    ]


def _coco(folder, data):
    coco.read_coco(write(folder, "a.json", data))


def _coco_seeds():
    value = {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in (1, 2)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog", "supercategory": "x"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 10.5], "iscrowd": 0, "area": 100},
            {"id": 2, "image_id": 1, "category_id": 2, "segmentation": [[1, 2, 3, 4, 5, 6]], "pose": "Left"},
            {
                "id": 3,
                "image_id": 2,
                "category_id": 2,
                "bbox": [0, 0, 1, 1],
                "segmentation": {"counts": "a", "size": [1, 1]},
            },
        ],
    }
    return [json.dumps(value).encode()]


def _label_studio(folder, data):
    label_studio.read_tasks(write(folder, "a.json", data))


def _label_studio_seeds():
    size = {"original_width": 64, "original_height": 48, "image_rotation": 0}
    place = {"x": 10, "y": 20, "width": 30, "height": 40.5, "rotation": 0}
    rectangle = {"id": "a", "type": "rectanglelabels", **size, "value": place | {"rectanglelabels": ["cat"]}}
    flags = {"id": "a", "type": "choices", **size, "value": place | {"choices": ["difficult"]}}
    outline = {"points": [[1, 2], [30, 4], [20, 30]], "polygonlabels": ["dog"]}
    brush = {"format": "rle", "rle": brush_code.encode(np.eye(48, 64)), "brushlabels": ["cat"]}
    ellipse = {"x": 50, "y": 50, "radiusX": 10, "radiusY": 5, "rotation": 30, "ellipselabels": ["cow"]}
    result = [rectangle, flags, rectangle | {"id": "b", "value": place | {"rotation": 30, "rectanglelabels": ["dog"]}}]
    result += [
        {"id": kind, "type": kind, "parentID": "a", **size, "value": value}
        for kind, value in (("polygonlabels", outline), ("brushlabels", brush), ("ellipselabels", ellipse))
    ]
    annotation = {"result": result, "was_cancelled": False, "ground_truth": False, "lead_time": 3.5}
    predictions = [{"result": [rectangle | {"score": 0.5}], "score": 0.5, "model_version": "m"}]
    tasks = [
        {"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-a.jpg"}, "annotations": [annotation, annotation]},
        {"id": 2, "data": {"image": "/data/local-files/?d=b.jpg"}, "annotations": [], "predictions": predictions},
    ]
    return [json.dumps(tasks).encode()]


def _cvat(folder, data):
    cvat.read_cvat(write(folder, "a.xml", data))


def _cvat_seeds():
    attributes = '<attribute name="difficult">true</attribute><attribute name="score">0.5</attribute>'
    place = 'source="manual" occluded="0" xtl="1.5" ytl="2" xbr="30" ybr="40" rotation="30.0"'
    shapes = [
        f'<box label="cat" {place}>{attributes}</box>',
        '<polygon label="dog" points="1,2;30,4.5;20,30" group_id="1"/>',
        '<polygon label="dog" points="1,2;30,4;20,30" group_id="1"/>',
        '<mask label="cow" rle="1, 2, 3" left="4" top="5" width="3" height="2"/>',
        '<ellipse label="cow" cx="9" cy="9" rx="5" ry="6"/>',
    ]
    body = f'<image id="0" name="a.jpg" width="64" height="48">{"".join(shapes)}</image>'
    head = '<?xml version="1.0"?>\n<annotations><version>1.1</version>'
    return [f"{head}{part}</annotations>".encode() for part in (body, body * 3)]


def _yolo_labels(folder, data):
    text = yolo.read_text(write(folder, "a.txt", data))
    yolo.looks_like_labels(text)
    boxes, skipped = yolo.parse_labels(text, ["cat", None], 64, 48)
    [(box.describe(), box.area) for box in boxes[:100]]


def _yolo_names(folder, data):
    yolo.read_names(write(folder, "data.yaml", data))


def _yolo_folder(folder, data):
    write(folder, "data.yaml", data)
    write(folder, "images/train/a.png", png(8, 6))
    write(folder, "labels/train/a.txt", b"0 0.5 0.5 0.2 0.2\n")
    yolo_folder.read_folder(folder, folder, ["images/train/a.png"])


def _yolo_names_seeds():
    sides = {"train": "images/train", "val": ["images/val"]}
    block = b"path: ../x\ntrain: images/train\nval: images/val\nnc: 2\nnames:\n  0: cat\n  1: dog\n"
    flow = b"names: ['cat', \"dog\"]\ntrain: &t ../images/train\nval: *t\n# comment\n"
    return [yolo.format_data(["cat", "dog"], sides).encode(), block, flow]


def _box_table(folder, data):
    box_table.read_table(write(folder, "a.csv", data))


def _box_table_seeds():
    rows = "".join(f"{n}.jpg,64,48,cat,1,2,{n + 10},20\n" for n in range(5)) + "n.jpg,64,48,,,,,\n"
    return [("filename,width,height,class,xmin,ymin,xmax,ymax\n" + rows).encode()]


def _records(folder, data):
    path = write(folder, "a.record", data)
    reader.count_records(str(path))
    for record in tfrecord_reader.read_records([str(path)], {1: "cat"}):
        getattr(record, "message", None)


def _labels(folder, data):
    path = write(folder, "a.record", data)
    for offset, length in reader.iterate_spans(path):
        try:
            labels.read_labels(data, offset, offset + length)
        except labels.UNREADABLE:
            continue


def _example():
    data = png(8, 6)
    boxes = [dataclasses.astuple(Box("cat", 1, 1, 5, 5)), dataclasses.astuple(Box("dog", 0, 0, 8, 6))]
    return example.make_example(boxes, 8, 6, data, "png", 1, "0" * 64, LABEL_MAP, "a.png")


def _record_seeds():
    return [b"".join(part for _ in range(count) for part in framing.frame(_example())) for count in (1, 3)]


def _image(folder, data):
    path = write(folder, "a.img", data)
    images.read_size(path)
    headers.read_header(data)
    for decode in (False, True):
        facts = headers.inspect(data, path, decode=decode)
        [images.encode_for_record(data, facts, turn) for turn in (False, True) if decode]


def _image_seeds():
    picture = Image.effect_noise((40, 30), 50)
    color = Image.merge("RGB", [picture] * 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    seeds = [
        encoded(color, "JPEG", exif=exif),
        encoded(color, "JPEG", progressive=True),
        encoded(picture, "JPEG"),
    ]
    seeds += [
        encoded(color.convert("CMYK"), "JPEG"),
        encoded(color, "PNG"),
        encoded(color.convert("P"), "PNG"),
    ]
    seeds += [
        encoded(picture.convert("I;16"), "PNG"),
        encoded(color.convert("RGBA"), "PNG"),
        encoded(color, "WEBP"),
    ]
    return [
        *seeds,
        encoded(color, "BMP"),
        encoded(color, "GIF"),
        encoded(color, "TIFF", compression="tiff_lzw"),
    ]


TARGETS = (
    Target("xml", _xml, _xml_seeds, (*(m.change_xml,) * 12, *TEXT)),
    Target("label map", lambda f, d: label_map.read_label_map(write(f, "a.pbtxt", d)), _label_map_seeds, TEXT),
    Target("coco", _coco, _coco_seeds, JSON),
    Target("label studio", _label_studio, _label_studio_seeds, JSON),
    Target("cvat", _cvat, _cvat_seeds, (*(m.change_xml,) * 8, *TEXT)),
    Target(
        "yolo labels",
        _yolo_labels,
        lambda: [b"0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.2 0.2 0.9\n", b"0 0 0 1 0 1 1\n"],
        TEXT,
    ),
    Target("yolo names", _yolo_names, _yolo_names_seeds, TEXT),
    Target("yolo folder", _yolo_folder, _yolo_names_seeds, TEXT),
    Target("box table", _box_table, _box_table_seeds, TABLE),
    Target("records", _records, _record_seeds, (m.with_frames((*m.BYTES, *(m.change_example,) * 6)),)),
    Target("labels of records", _labels, _record_seeds, (m.with_frames((*m.BYTES, *(m.change_example,) * 6)),)),
    Target("images", _image, _image_seeds, (*m.BYTES, *(m.change_png,) * 4, m.replace_all)),
)
