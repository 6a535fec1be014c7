"""Changes to annotation files: what is edited changes, everything else stays."""

import pathlib

import pytest

from tfodhelper import errors
from tfodhelper.annotations import labelimg, labelimg_update, usual_layout
from tfodhelper.annotations.labelimg_update import EditedBox
from tfodhelper.annotations.structures import Annotation, Box

FOREIGN = b"""<annotation verified="yes" tool="X"><!-- by hand -->
  <folder>f</folder><filename>a.jpg</filename>
  <size><width>640</width><height>480</height><depth>3</depth></size>
  <object id="7"><name>cat</name><occluded>1</occluded><difficult>0</difficult>
    <part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>
    <bndbox><xmin>10.700</xmin><ymin>20</ymin><xmax>110</xmax><ymax>95.5</ymax></bndbox></object>
  <object><name>car</name><robndbox><cx>4</cx></robndbox></object>
  <object><name>dog</name><pose>Left</pose><truncated>1</truncated><difficult>1</difficult>
    <bndbox><xmin>200</xmin><ymin>40</ymin><xmax>260</xmax><ymax>90</ymax></bndbox></object>
  <metadata><camera>north</camera></metadata>
</annotation>"""
PATH = pathlib.Path("a.xml")
SIZE = (640, 480)


def change(objects, verified=True, data=FOREIGN, size=SIZE):
    return labelimg_update.update(data, PATH, objects, size, verified)


def read(text):
    return labelimg.parse_labelimg(text.encode(), PATH)


def test_objects_without_a_readable_box_are_left_out_and_numbered():
    objects = labelimg_update.read_objects(FOREIGN, PATH)
    assert [(each.source, each.box.name, each.is_confirmed) for each in objects] == [
        (0, "cat", False),
        (2, "dog", False),
    ]


def test_what_nobody_touched_stays_as_it_was_written():
    text = change(labelimg_update.read_objects(FOREIGN, PATH))
    for part in (
        *('<annotation verified="yes" tool="X">', "<!-- by hand -->", '<object id="7">', "<occluded>1</occluded>"),
        *("<xmin>10.700</xmin>", "<part>", "<cx>4</cx>", "<camera>north</camera>", "<pose>Left</pose>"),
    ):
        assert part in text
    assert text.index("cat") < text.index("car") < text.index("dog") < text.index("camera")
    assert change(labelimg_update.read_objects(text.encode(), PATH), data=text.encode()) == text


def test_only_what_differs_is_written():
    cat, dog = labelimg_update.read_objects(FOREIGN, PATH)
    moved = EditedBox(Box("cow", 12, 20, 110, 95.5), 0)
    text = change([moved, dog])
    assert "<xmin>12</xmin>" in text and "<ymax>95.5</ymax>" in text and "<occluded>1</occluded>" in text
    assert read(text).boxes == (moved.box, dog.box)
    assert cat.box.name == "cat"


def test_a_removed_object_comes_back_with_all_that_belonged_to_it():
    cat, dog = labelimg_update.read_objects(FOREIGN, PATH)
    without = change([dog])
    assert "occluded" not in without and "<cx>4</cx>" in without
    assert change([cat, dog]) == change(labelimg_update.read_objects(FOREIGN, PATH))


def test_new_objects_come_last_and_the_mark_of_the_image_goes():
    objects = [*labelimg_update.read_objects(FOREIGN, PATH), EditedBox(Box("Käfer & <1>", 5, 6, 7, 8), None)]
    text = change(objects, verified=False)
    assert read(text).boxes[-1] == objects[-1].box and not read(text).verified
    assert "Käfer &amp; &lt;1&gt;" in text


def test_confirmed_objects_are_marked_until_the_image_is_verified():
    cat, dog = labelimg_update.read_objects(FOREIGN, PATH)
    text = change([EditedBox(cat.box, 0, True), dog, EditedBox(Box("new", 1, 1, 9, 9), None, True)], verified=False)
    marked = labelimg_update.read_objects(text.encode(), PATH)
    assert [each.is_confirmed for each in marked] == [True, False, True]
    assert [box.name for box in read(text).boxes] == ["cat", "dog", "new"]  # every reader ignores the mark
    assert text.count("verified") == 2
    assert change(marked, data=text.encode()).count("verified") == 1  # that of the image


def test_a_new_file_is_what_the_writer_makes(tmp_path):
    boxes = (Box("cat", 1, 20, 60, 80, truncated=True), Box("dog", 100, 10, 160, 90, difficult=True))
    labelimg.write_labelimg(tmp_path / "a.xml", Annotation("a.jpg", *SIZE, boxes, True), tmp_path / "a.jpg")
    empty = labelimg_update.make_empty(tmp_path / "a.xml", tmp_path / "a.jpg", SIZE)
    text = labelimg_update.update(empty, PATH, [EditedBox(box) for box in boxes], SIZE, True)
    assert text == (tmp_path / "a.xml").read_text(encoding="utf-8")
    assert usual_layout.read(text.encode()) is not None


@pytest.mark.parametrize(
    "size", [b"", b"<size><width>0</width><height>0</height></size>", b"<size><width>640</width></size>"]
)
def test_a_size_that_is_missing_or_wrong_is_written(size):
    data = b"<annotation><filename>a.jpg</filename>" + size + b"</annotation>"
    written = read(labelimg_update.update(data, PATH, [EditedBox(Box("cat", 1, 2, 3, 4))], SIZE, False))
    assert (written.width, written.height) == SIZE and len(written.boxes) == 1


@pytest.mark.parametrize("name", ["", " cat", "a\x00b", "\ufeffcat"])
def test_a_name_that_xml_cannot_hold_is_refused(name):
    for source in (0, None):
        with pytest.raises(errors.AnnotationError, match="class name"):
            change([EditedBox(Box(name, 1, 2, 3, 4), source)])
