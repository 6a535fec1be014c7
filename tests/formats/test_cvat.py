"""CVAT's XML for images: read as it exports it, written and read back; what is lost is said."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given

from tests.formats.test_exchange import NAMES, make_listed
from tfodhelper import errors
from tfodhelper.annotations import masks
from tfodhelper.annotations.structures import Box
from tfodhelper.formats import cvat
from tfodhelper.formats.collection import PredictedImage

HEAD = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>4</id><name>t</name><size>2</size><mode>annotation</mode><labels><label><name>cat</name></label>
  </labels></task><dumped>2026-01-02 03:04:05+00:00</dumped></meta>
"""


def read(tmp_path, *images, head=HEAD):
    (tmp_path / "annotations.xml").write_text(head + "\n".join(images) + "</annotations>\n", encoding="utf-8")
    return cvat.read_cvat(tmp_path / "annotations.xml")


def image(*shapes, name="sub/a.jpg", size='width="64" height="48"'):
    return f'<image id="0" name="{name}" subset="Train" {size}>' + "".join(shapes) + "</image>"


def box(label="cat", corners=(1.5, 2, 30.25, 40), attributes="", **more):
    sides = dict(zip(("xtl", "ytl", "xbr", "ybr"), corners)) | {"source": "manual", "occluded": 0, "z_order": 0} | more
    texts = " ".join(f'{key}="{value}"' for key, value in sides.items())
    return f'<box label="{label}" {texts}>{attributes}</box>'


def attribute(name, value):
    return f'<attribute name="{name}">{value}</attribute>'


def codes_of(found):
    return sorted(finding.code for finding in found.findings)


def test_an_export_by_hand(tmp_path):
    flags = attribute("Difficult", "true") + attribute("colour", "red") + attribute("pose", "Left")
    found = read(tmp_path, image(box(attributes=flags), box("dog", (0, 0, 64, 48), occluded=1)), image(name="b.png"))
    first, second = found.images
    boxes = Box("cat", 1.5, 2, 30.25, 40, difficult=True, pose="Left"), Box("dog", 0, 0, 64, 48)
    assert (first.name, first.annotation.boxes, first.annotation.width) == ("sub/a.jpg", boxes, 64)
    assert second.annotation.boxes == () and codes_of(found) == ["detail-dropped"]
    assert "2 attributes" in found.findings[0].what


def test_boxes_turn_around_their_centre(tmp_path):
    found = read(tmp_path, image(box(corners=(10, 20, 30, 24), rotation="90.0")))
    (turned,) = found.images[0].annotation.boxes
    assert (turned.xmin, turned.ymin, turned.xmax, turned.ymax) == pytest.approx((18, 12, 22, 32))
    assert codes_of(found) == ["box-approximated"]


def test_groups_of_shapes_are_one_object(tmp_path):
    outline = '<polygon label="cat" points="1,1;9,1;9,9" group_id="3"/>'
    second = '<polygon label="cat" points="20,20;30,20;30,30" group_id="3"/>'
    mask = '<mask label="dog" rle="1, 2, 3" left="4" top="5" width="3" height="2"/>'
    circle = '<ellipse label="cow" cx="20" cy="20" rx="5" ry="10"/>'
    crowd = [box(group_id=7), box(corners=(3, 3, 9, 9), group_id=7)]
    found = read(tmp_path, image(outline, second, box(corners=(0, 0, 40, 40), group_id=3), mask, circle, *crowd))
    cat, dog, cow, *apart = found.images[0].annotation.boxes
    assert len(cat.mask.polygons) == 2 and (cat.xmin, cat.xmax) == (0, 40) and len(apart) == 2
    expected = np.zeros([48, 64])
    expected[5, 5:7] = 1
    np.testing.assert_array_equal(dog.mask.to_array(), expected)
    assert (dog.xmin, dog.ymin, dog.xmax, dog.ymax) == (5, 5, 7, 6)
    assert (cow.xmin, cow.ymin, cow.xmax, cow.ymax) == pytest.approx((15, 10, 25, 30)) and not found.findings


@pytest.mark.parametrize(
    "shape, code",
    [
        (box(""), "box-unnamed"),
        (box(corners=(1, 2, 3, "x")), "entry-unusable"),
        (box(corners=(1, 2, 3, "nan")), "entry-unusable"),
        ('<polyline label="cat" points="1,1;2,2"/>', "entry-unusable"),
        ('<polygon label="cat" points="1,1;2"/>', "entry-unusable"),
        ('<mask label="cat" rle="1,2" left="0" top="0" width="9" height="9"/>', "entry-unusable"),
        ('<mask label="cat" rle="1" left="0" top="0" width="9999999" height="9999999"/>', "entry-unusable"),
        ('<skeleton label="cat"><points label="x"/></skeleton>', "entry-unusable"),
    ],
)
def test_what_is_no_object_is_said(tmp_path, shape, code):
    found = read(tmp_path, image(shape))
    assert [finding.code for finding in found.images[0].lost] == [code] and not found.images[0].annotation.boxes


def test_tags_and_boxes_of_models_are_said(tmp_path):
    found = read(tmp_path, image('<tag label="night"/>', box(source="auto", attributes=attribute("score", "0.75"))))
    assert codes_of(found) == ["boxes-suggested", "detail-dropped"]
    assert found.predicted == (PredictedImage("sub/a.jpg", 64, 48, found.images[0].annotation.boxes, (0.75,)),)


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "well-formed"),
        ("<annotation/>", "not XML of CVAT"),
        ("<annotations><track id='0'/></annotations>", "for video"),
        ("<annotations/>", "no image"),
        ("PK\x03\x04", "ZIP"),
        ("<!DOCTYPE a [<!ENTITY b 'c'>]><annotations><image name='&b;'/></annotations>", "document type"),
        ("<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/hostname'>]><annotations>&b;</annotations>", "document type"),
    ],
)
def test_other_files_are_refused(tmp_path, text, words):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(errors.AnnotationError, match=words):
        cvat.read_cvat(tmp_path / "a.xml")


@given(make_listed(whole=False))
def test_boxes_read_back_exactly(tmp_path_factory, listed):
    path = tmp_path_factory.mktemp("cvat") / "a.xml"
    boxes, size = listed.annotation.boxes, (listed.annotation.width, listed.annotation.height)
    boxes = tuple(dataclasses.replace(one, pose="Left") if number else one for number, one in enumerate(boxes))
    scores = [None if number % 2 else 1 / (number + 3) for number in range(len(boxes))]
    cvat.write_cvat(path, [(listed.name, size, boxes, scores)], NAMES)
    found = cvat.read_cvat(path)
    assert [(each.name, each.annotation.boxes, each.lost) for each in found.images] == [(listed.name, boxes, ())]
    scored = tuple(zip(*[(one, score) for one, score in zip(boxes, scores) if score is not None]))
    assert [(each.boxes, each.scores) for each in found.predicted] == ([scored] if scored else [])


def test_masks_read_back_exactly(tmp_path):
    pixels = np.zeros([48, 64], bool)
    pixels[10:20, 5:30], pixels[12, 8] = True, False
    polygons = masks.make_from_polygons([[1, 1, 9.5, 1, 9, 9], [20, 20, 30, 20, 30, 30]])
    boxes = (
        Box("cat", 0, 0, 40, 40, mask=polygons, difficult=True),
        Box("cat", 5, 10, 30, 20, mask=masks.make_from_array(pixels)),
        Box("cat", 1, 1, 2, 2),
    )
    cvat.write_cvat(tmp_path / "a.xml", [("a.jpg", (64, 48), boxes, [None] * 3)], ["cat"])
    found = cvat.read_cvat(tmp_path / "a.xml")
    assert found.images[0].annotation.boxes == boxes and not found.findings
