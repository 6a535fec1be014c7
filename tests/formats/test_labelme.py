"""labelme, X-AnyLabeling and VOC's pictures of objects: shapes by hand, and what cannot be an object is said."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from tests.dataset.scan.picture_set import save_image
from tfodhelper import errors
from tfodhelper.annotations import labelimg, masks
from tfodhelper.cli import main
from tfodhelper.formats import importing, instance_pictures, labelme

SIZE = {"imageHeight": 48, "imageWidth": 64}


def polygon_shape(label, *points, **more):
    points = points or ((2, 3), (20, 3), (20, 30))
    return {"label": label, "points": [list(map(float, point)) for point in points], "shape_type": "polygon"} | more


def save_shapes(path, shapes, **content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"shapes": shapes, "imagePath": f"{path.stem}.jpg", **SIZE} | content))
    return path


def save_pictures(folder, stem, objects, classes=None, mode="P", bits=np.uint8):
    """Saves a picture of objects, and one of classes."""
    for name, array in (("SegmentationObject", objects), ("SegmentationClass", classes)):
        if array is not None:
            (folder / name).mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(np.asarray(array, bits))
            if mode == "P" and bits == np.uint8:
                picture = picture.convert("L")
                picture = Image.frombytes("P", picture.size, picture.tobytes())
                picture.putpalette([value * 7 % 256 for value in range(768)])
            picture.save(folder / name / f"{stem}.png")


def read(tmp_path, shapes, **content):
    save_shapes(tmp_path / "a.json", shapes, **content)
    collection = labelme.read_folder(tmp_path, ["a.jpg"])
    (image,) = collection.images
    return image, [finding.code for finding in (*image.lost, *collection.findings)]


def test_shapes_by_hand(tmp_path):
    circle = {"label": "disc", "points": [[30, 20], [30, 30]], "shape_type": "circle"}
    rectangle = {"label": "box", "points": [[40, 30], [10, 5]], "shape_type": "rectangle", "difficult": True}
    corners = {"label": "box", "points": [[1, 2], [9, 2], [9, 8], [1, 8]], "shape_type": "rectangle"}
    turned = {"label": "box", "points": [[10, 0], [20, 10], [10, 20], [0, 10]], "shape_type": "rotation"}
    image, codes = read(tmp_path, [polygon_shape("cat"), circle, rectangle, corners, turned])
    assert image.name == "a.jpg" and (image.annotation.width, image.annotation.height) == (64, 48)
    cat, disc, first, second, third = image.annotation.boxes
    assert (cat.xmin, cat.ymin, cat.xmax, cat.ymax) == (2, 3, 20, 30)
    assert cat.mask.polygons == ((2, 3, 20, 3, 20, 30),)
    assert (disc.xmin, disc.ymin, disc.xmax, disc.ymax) == (20, 10, 40, 30)
    assert masks.measure(disc.mask, 48, 64)[0] == pytest.approx(np.pi * 100, rel=0.03)
    assert (first.xmin, first.ymin, first.xmax, first.ymax) == (10, 5, 40, 30) and first.difficult
    assert (second.xmin, second.ymax) == (1, 8) and (third.xmin, third.xmax) == (0, 20)
    assert first.mask is second.mask is third.mask is None
    assert codes == ["box-approximated"]


def test_groups_are_one_object(tmp_path):
    shapes = [
        polygon_shape("cat", group_id=1),
        polygon_shape("dog", group_id=1),
        polygon_shape("cat", (40, 5), (50, 5), (50, 20), group_id=1),
        polygon_shape("cat", group_id=None),
    ]
    image, codes = read(tmp_path, shapes)
    assert [box.name for box in image.annotation.boxes] == ["cat", "dog", "cat"] and not codes
    assert len(image.annotation.boxes[0].mask.polygons) == 2
    assert (image.annotation.boxes[0].xmin, image.annotation.boxes[0].xmax) == (2, 50)


def test_small_pictures_are_masks(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.tril(np.ones([10, 10], bool))).save(buffer, "PNG")
    shape = {"label": "cat", "points": [[-2, 4], [7, 13]], "shape_type": "mask"}
    shape["mask"] = base64.b64encode(buffer.getvalue()).decode()
    image, codes = read(tmp_path, [shape])
    expected = np.zeros([48, 64], np.uint8)
    expected[4:14, 0:8] = np.tril(np.ones([10, 10]))[:, 2:]
    (box,) = image.annotation.boxes
    np.testing.assert_array_equal(box.mask.to_array(), expected)
    assert (box.xmin, box.ymin, box.xmax, box.ymax) == (0, 6, 8, 14) and not codes


@pytest.mark.parametrize(
    "shape",
    [
        *({}, None, {"label": "a"}, {"label": "a", "points": [[1]]}, {"label": "a", "points": [[1, None]] * 3}),
        {"label": "a", "points": [[1, 1], [2, 2]], "shape_type": "line"},
        {"label": "a", "points": [[1, 1]], "shape_type": "point"},
        {"label": "a", "points": [[1, 1], [2, 2]], "shape_type": "mask", "mask": "no"},
        polygon_shape("", (1, 1), (2, 2), (3, 3)),
    ],
)
def test_what_is_no_object_is_said(tmp_path, shape):
    image, codes = read(tmp_path, [shape])
    assert not image.annotation.boxes and codes[0] in ("box-unnamed", "entry-unusable")


def test_folders_without_shapes_are_refused(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    (tmp_path / "b.json").write_text("{")
    (tmp_path / "c.masks.json").write_text("{}")
    with pytest.raises(errors.DatasetError, match="2 JSON files"):
        labelme.read_folder(tmp_path, ["a.jpg"])


def test_through_the_verb(tmp_path):
    for seed, name in enumerate(("a.jpg", "sub/b.jpg", "c.jpg")):
        save_image(tmp_path / "in" / name, seed=seed)
    save_shapes(tmp_path / "in" / "a.json", [polygon_shape("cat")])
    save_shapes(tmp_path / "in" / "sub" / "b.json", [], imagePath="..\\..\\x\\b.jpg")
    save_shapes(tmp_path / "in" / "moved.json", [polygon_shape("dog")], imagePath="c.jpg")
    arguments = [f"--input={tmp_path / 'in'}", f"--output_dir={tmp_path / 'out'}"]
    assert main.main(["import", "--from=labelme", *arguments]) == 0
    assert labelimg.read_labelimg(tmp_path / "out" / "a.xml").boxes[0].mask.polygons == ((2, 3, 20, 3, 20, 30),)
    assert labelimg.read_labelimg(tmp_path / "out" / "sub" / "b.xml").boxes == ()
    assert labelimg.read_labelimg(tmp_path / "out" / "c.xml").boxes[0].name == "dog"


OBJECTS = np.zeros([48, 64], int)
OBJECTS[5:20, 5:20], OBJECTS[10:40, 30:60], OBJECTS[10:12] = 1, 7, 255
KINDS = np.where(OBJECTS == 255, 255, np.where(OBJECTS == 1, 2, np.where(OBJECTS == 7, 1, 0)))


def read_pictures(folder, **more):
    return instance_pictures.read_folder(folder, ["JPEGImages/a.jpg"], **more)


@pytest.mark.parametrize("mode", ["P", "L"])
def test_pictures_of_objects_by_hand(tmp_path, mode):
    save_pictures(tmp_path, "a", OBJECTS, KINDS, mode)
    (tmp_path / "class_names.txt").write_text("__ignore__\n_background_\ncat\ndog\n")
    collection = read_pictures(tmp_path)
    (image,) = collection.images
    assert image.name == "JPEGImages/a.jpg" and collection.class_ids == {"cat": 1, "dog": 2}
    dog, cat = image.annotation.boxes
    assert (dog.name, cat.name) == ("dog", "cat")
    assert (dog.xmin, dog.ymin, dog.xmax, dog.ymax) == (5, 5, 20, 20)
    np.testing.assert_array_equal(dog.mask.to_array(), OBJECTS == 1)  # without the rim
    np.testing.assert_array_equal(cat.mask.to_array(), OBJECTS == 7)


def test_sixteen_bits_have_no_rim(tmp_path):
    objects = np.where(OBJECTS == 7, 300, OBJECTS)
    save_pictures(tmp_path, "a", objects, bits=np.uint16)
    (tmp_path / "names.txt").write_text("thing\n")
    (image,) = read_pictures(tmp_path, names_path=tmp_path / "names.txt").images
    assert [box.name for box in image.annotation.boxes] == ["thing"] * 3
    np.testing.assert_array_equal(image.annotation.boxes[2].mask.to_array(), objects == 300)


def test_pictures_of_colours_and_classes_without_names_are_said(tmp_path):
    save_pictures(tmp_path, "a", OBJECTS, KINDS)
    save_pictures(tmp_path, "other", OBJECTS, KINDS)
    collection = read_pictures(tmp_path)
    assert [finding.code for finding in collection.findings] == ["image-missing", "class-unnamed", "class-unnamed"]
    Image.fromarray(np.zeros([48, 64, 3], np.uint8)).save(tmp_path / "SegmentationObject" / "a.png")
    collection = read_pictures(tmp_path)
    assert "colours" in collection.findings[0].what and not collection.images
    save_pictures(tmp_path, "a", OBJECTS[:40], KINDS)
    assert "not as large" in read_pictures(tmp_path).findings[0].what


def test_folders_without_pictures_are_refused(tmp_path):
    with pytest.raises(errors.DatasetError, match="no pictures of objects"):
        read_pictures(tmp_path)
    save_pictures(tmp_path, "a", OBJECTS)
    with pytest.raises(errors.DatasetError, match="SegmentationClass"):
        read_pictures(tmp_path)


def test_a_voc_tree_is_imported(tmp_path):
    save_image(tmp_path / "voc" / "JPEGImages" / "a.jpg")
    save_pictures(tmp_path / "voc", "a", OBJECTS, KINDS)
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    made = importing.import_set(
        "voc-masks", {"train": [tmp_path / "voc"]}, tmp_path / "out", classes=tmp_path / "names.txt"
    )
    assert (made.num_images, made.num_masks, made.counts) == (1, 2, {"cat": 1, "dog": 1}) and not made.findings
    (xml,) = (tmp_path / "out").rglob("*.xml")
    np.testing.assert_array_equal(labelimg.read_labelimg(xml).boxes[0].mask.to_array(), OBJECTS == 1)
