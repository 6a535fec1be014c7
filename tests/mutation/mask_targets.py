"""Parsers of masks: files next to the XML, labelme's and COCO's JSON, pictures of objects, records, predictions."""

import base64
import json

import numpy as np
from PIL import Image

from tests.mutation import mutators as m
from tests.mutation.base import JSON, LABEL_MAP, TEXT, Target, encoded, png, write
from tests.mutation.data_targets import FACTS
from tfodhelper.annotations import checks, labelimg, mask_files, masks
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.formats import coco, instance_pictures, labelme, tfrecord_reader
from tfodhelper.prediction import detections
from tfodhelper.records import example, framing

WIDTH, HEIGHT = 64, 48


def _disc():
    rows, columns = np.ogrid[:HEIGHT, :WIDTH]
    return (rows - 20) ** 2 + (columns - 30) ** 2 < 100


def _boxes():
    outline = masks.make_from_polygons([[1, 2, 30, 2, 30, 40], [3, 3, 9, 3, 9, 9.5]])
    return (
        Box("cat", 1, 2, 30, 40, mask=outline),
        Box("dog", 20, 10, 40, 30, mask=masks.make_from_array(_disc())),
        Box("dog", 5, 5, 20, 20),
    )


def _use(annotation, folder):
    """What `convert` and the exports do with an annotation: check it, draw its masks, write it."""
    found = checks.check_annotation(annotation, FACTS, "a.xml", LABEL_MAP)
    [finding.message for finding in found.findings[:100]]
    if found.annotation is None:
        return
    for box in found.annotation.boxes[:20]:
        if box.mask is not None:
            assert masks.to_array(box.mask, HEIGHT, WIDTH).shape == (HEIGHT, WIDTH)
    labelimg.write_labelimg(folder / "again.xml", found.annotation)
    again = mask_files.attach_to(labelimg.read_labelimg(folder / "again.xml"), folder / "again.xml")
    assert sum(box.mask is not None for box in again.boxes) == sum(
        box.mask is not None for box in found.annotation.boxes
    )


def _mask_file(folder, data):
    labelimg.write_labelimg(folder / "a.xml", Annotation("a.jpg", WIDTH, HEIGHT, _boxes()))
    write(folder, "a.masks.json", data)
    _use(mask_files.attach_to(labelimg.read_labelimg(folder / "a.xml"), folder / "a.xml"), folder)


def _mask_file_seeds():
    head = {"masks_of": "a.xml", "version": mask_files.VERSION, "width": WIDTH, "height": HEIGHT}
    lines = [json.loads(mask_files._to_line(box)) for box in _boxes()[:2]]
    listed = {"name": "dog", "bndbox": [5, 5, 20, 20], "rle": {"size": [2, 2], "counts": [1, 3]}}
    return [json.dumps(head | {"objects": objects}).encode() for objects in (lines, [*lines, listed], lines * 40)]


def _labelme(folder, data):
    write(folder, "a.json", data)
    for image in labelme.read_folder(folder, ["a.jpg", "b.jpg"]).images:
        _use(image.annotation, folder)


def _labelme_seeds():
    part = base64.b64encode(encoded(Image.fromarray(np.full([9, 7], 255, np.uint8)), "PNG")).decode()
    points = [[1, 2], [30, 2.5], [30, 40]]
    shapes = [
        {"label": "cat", "shape_type": "polygon", "points": points, "group_id": 1, "flags": {}},
        {"label": "cat", "shape_type": "polygon", "points": [[40, 40], [50, 40], [50, 45]], "group_id": 1},
        {"label": "dog", "shape_type": "rectangle", "points": [[1, 2], [30, 40]], "difficult": True},
        {"label": "dog", "shape_type": "rotation", "points": [[1, 2], [30, 2], [30, 40], [1, 40]]},
        {"label": "dog", "shape_type": "circle", "points": [[20, 20], [20, 30]]},
        {"label": "dog", "shape_type": "mask", "points": [[5, 6], [12, 15]], "mask": part, "group_id": 2},
        {"label": "dog", "shape_type": "mask", "points": [[-5, 36], [2, 45]], "mask": part, "group_id": 2},
    ]
    value = {"version": "5.0", "imagePath": "a.jpg", "imageHeight": HEIGHT, "imageWidth": WIDTH, "imageData": None}
    return [json.dumps(value | {"shapes": chosen}).encode() for chosen in (shapes, shapes[5:], shapes * 10)]


def _pictures(of_classes):
    """A parser of one of the two pictures of VOC; the other one is whole."""

    def parse(folder, data):
        for name, content in zip(("SegmentationObject", "SegmentationClass"), _picture_seeds()):
            write(folder, f"{name}/a.png", data if (name == "SegmentationClass") == of_classes else content)
        write(folder, "class_names.txt", b"__ignore__\n_background_\ncat\ndog\n")
        for image in instance_pictures.read_folder(folder, ["a.jpg"]).images:
            _use(image.annotation, folder)

    return parse


def _picture_seeds():
    objects = np.zeros([HEIGHT, WIDTH], np.uint8)
    objects[2:20, 3:30], objects[_disc()], objects[40:, 40:] = 1, 2, 255
    palette = Image.fromarray(np.minimum(objects, 2)).convert("P")
    wide = Image.fromarray(objects.astype(np.uint16) * 200)
    return [encoded(Image.fromarray(objects), "PNG"), encoded(palette, "PNG"), encoded(wide, "PNG")]


def _class_names(folder, data):
    for name, content in zip(("SegmentationObject", "SegmentationClass"), _picture_seeds()):
        write(folder, f"{name}/a.png", content)
    instance_pictures.read_folder(folder, ["a.jpg"], write(folder, "names.txt", data))


def _class_name_seeds():
    return [b"__ignore__\n_background_\ncat\ndog\n"]


def _coco(folder, data):
    for image in coco.read_coco(write(folder, "a.json", data)).images[:20]:
        _use(image.annotation, folder)


def _coco_seeds():
    code = mask_files.to_json(_boxes()[1].mask)
    runs = {"size": code["size"], "counts": masks.decode_counts(code["counts"])}
    outlines = [[[1, 2, 30, 2, 30, 40], [3, 3, 9, 3, 9, 9.5]], code, runs]
    objects = [
        {"id": number, "image_id": 1, "category_id": 2, "bbox": [1, 2, 40, 40], "iscrowd": 0, "segmentation": outline}
        for number, outline in enumerate(outlines, start=1)
    ]
    objects += [{key: entry[key] for key in entry if key != "bbox"} for entry in objects]
    value = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": objects,
    }
    return [json.dumps(value).encode()]


def _records(folder, data):
    path = write(folder, "a.record", data)
    for record in tfrecord_reader.read_records([str(path)], {1: "cat", 2: "dog"}):
        if hasattr(record, "listed"):
            _use(record.listed.annotation, folder)


def _record_seeds():
    boxes = [(box.name, *_corners(box), False, False, "Unspecified", box.mask) for box in _boxes()]
    made = example.make_example(boxes, WIDTH, HEIGHT, png(WIDTH, HEIGHT), "png", 1, "0" * 64, LABEL_MAP, "a.png")
    return [b"".join(framing.frame(made))]


def _corners(box):
    return box.xmin, box.ymin, box.xmax, box.ymax


def _detections(folder, data):
    for found in detections.read_json_lines(write(folder, "a.jsonl", data)):
        found.to_annotation()
        detections.to_line(found)
        if found.width * found.height < 1 << 20 and all(each.mask is not None for each in found.detections):
            try:
                detections.to_rles(found), detections.to_drawn(found)
            except ValueError:
                continue


def _detection_seeds():
    box = {"xmin": 20, "ymin": 10, "xmax": 40, "ymax": 30}
    one = {"class": "c", "id": 1, "score": 0.5, "box": box, "mask": mask_files.to_json(_boxes()[1].mask)}
    line = {"path": "a", "width": WIDTH, "height": HEIGHT, "detections": [one, one | {"score": 0.25}]}
    return [(json.dumps(line) + "\n").encode() * 2]


JSON = (*(m.change_json,) * 12, *JSON)  # deep inside, where the masks are
PICTURES = (*m.BYTES, *(m.change_png,) * 4, m.replace_all)
TARGETS = (
    Target("masks next to the XML", _mask_file, _mask_file_seeds, JSON, ("pycocotools",)),
    Target("labelme", _labelme, _labelme_seeds, JSON, ("pycocotools",)),
    Target("pictures of objects", _pictures(False), _picture_seeds, PICTURES, ("pycocotools",)),
    Target("pictures of classes", _pictures(True), _picture_seeds, PICTURES, ("pycocotools",)),
    Target(
        "names of pictures", _class_names, lambda: [b"__ignore__\n_background_\ncat\ndog\n"], TEXT, ("pycocotools",)
    ),
    Target("masks of coco", _coco, _coco_seeds, JSON, ("pycocotools",)),
    Target(
        "masks of records",
        _records,
        _record_seeds,
        (m.with_frames((*m.BYTES, *(m.change_example,) * 6)),),
        ("pycocotools",),
    ),
    Target("masks of detections", _detections, _detection_seeds, JSON, ("pycocotools",)),
)
