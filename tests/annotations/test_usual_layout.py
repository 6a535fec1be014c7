"""The fast reader of LabelImg's layout returns what the XML reader returns, or None."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfodhelper.annotations import checks, labelimg, usual_layout
from tfodhelper.annotations.images import ImageFacts
from tfodhelper.annotations.label_map import make_label_map
from tfodhelper.annotations.structures import Annotation, Box, UnusableFile
from tfodhelper.dataset.scan import entry

TEXT = """<annotation{verified}>
\t<folder>images</folder>
\t<filename>{filename}</filename>
\t<path>C:\\data\\{filename}</path>
\t<source>
\t\t<database>Unknown</database>
\t</source>
\t<size>
\t\t<width>64</width>
\t\t<height>48</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
{objects}</annotation>
"""
OBJECT = """\t<object>
\t\t<name>{name}</name>
\t\t<pose>{pose}</pose>
\t\t<truncated>{flag}</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox>
\t\t\t<xmin>{corner}</xmin>
\t\t\t<ymin>2</ymin>
\t\t\t<xmax>30</xmax>
\t\t\t<ymax>40</ymax>
\t\t</bndbox>
\t</object>
"""
WORDS = st.one_of(
    st.sampled_from(["cat", " cat ", "dog house", "ä猫", "", " ", "a\\b/c.jpg", "&lt;", "]]>", "\u00a0", "\x85", "1"]),
    st.text(max_size=6),
)
CORNERS = st.one_of(
    st.sampled_from(
        ["1", "-4", "1.5", "45.70000076293945", "", "nan", "1e3", "1_0", "\u0663", " 7 ", "\ufeff16", "007"]
    ),
    st.integers(-(10**12), 10**12).map(str),
    st.floats().map(repr),
)


def read_with_parser(data):
    try:
        return entry.pack_annotation(labelimg.parse_labelimg(data, "a.xml"))
    except UnusableFile:
        return None


def test_usual_files_are_read_and_unusual_ones_are_not():
    objects = OBJECT.format(name="cat", pose="Left", flag=1, corner=1.5)
    text = TEXT.format(verified=' verified="yes"', filename="a.jpg", objects=objects)
    box = ("cat", 1.5, 2.0, 30.0, 40.0, False, True, "Left")
    assert usual_layout.read(text.encode()) == ("a.jpg", 64, 48, (box,), True)
    assert usual_layout.read(text.replace("<width>64", "<width>0").encode())[1] is None
    assert usual_layout.read(('<?xml version="1.0" encoding="utf-8"?>\n' + text).encode()) is not None
    for old, new in [
        ("<annotation", "<!-- a --><annotation"),
        ("<name>cat", "<name>c&amp;t"),
        ("<pose>Left</pose>", "<part/>"),
        ("<xmin>1.5</xmin>", "<xmin/>"),
        ("</annotation>", "</annotation>x"),
        ('verified="yes"', 'verified="no"'),
    ]:
        assert usual_layout.read(text.replace(old, new).encode()) is None
    assert usual_layout.read(text.encode("utf-16")) is None
    assert usual_layout.read(text.replace("cat", "ü").encode("latin-1")) is None


@given(
    st.sampled_from(["", ' verified="yes"']), WORDS, st.lists(st.tuples(WORDS, WORDS, st.sampled_from("012"), CORNERS))
)
@settings(max_examples=300)
def test_both_readers_agree(verified, filename, objects):
    parts = [OBJECT.format(name=n, pose=p, flag=f, corner=c) for n, p, f, c in objects]
    text = TEXT.format(verified=verified, filename=filename, objects="".join(parts))
    data = text.encode("utf-8", "surrogatepass")
    content = usual_layout.read(data)
    assert content is None or content == read_with_parser(data)


@given(st.integers(0, 700), st.integers(0, 3), st.text("<>/&;!-[]?x\n\"' \x00\x0b\ufeff猫", max_size=3))
@settings(max_examples=500)
def test_readers_agree_on_an_edited_file(start, removed, added):
    text = TEXT.format(verified="", filename="a.jpg", objects=2 * OBJECT.format(name="cat", pose="", flag=0, corner=1))
    start = min(start, len(text))
    data = (text[:start] + added + text[start + removed :]).encode()
    content = usual_layout.read(data)
    assert content is None or content == read_with_parser(data)


BOXES = st.builds(
    Box,
    st.sampled_from(["cat", "dog", "cow"]),
    *(st.one_of(st.integers(-2, 66), st.floats(-3, 70)).map(float) for _ in range(4)),
)


@given(
    st.lists(BOXES, max_size=4),
    st.sampled_from([(64, 48), (48, 64), (65, 48), (None, None)]),
    st.sampled_from(
        [(64, 48, "JPEG", 1, None), (64, 48, "JPEG", 6, None), (64, 48, "PNG", 1, None), (64, 48, "JPEG", 1, "x")]
    ),
    st.sampled_from([None, make_label_map(["cat", "dog"])]),
)
@settings(max_examples=300)
def test_faultless_annotations_are_unchanged_and_have_no_findings(boxes, size, image, label_map):
    width, height, format_, orientation, reason = image
    facts = ImageFacts(format_, width, height, "RGB", orientation, "00", 1, reason)
    annotation = Annotation("a.jpg", *size, tuple(boxes))
    if checks.is_faultless(entry.pack_annotation(annotation), facts, "a.jpg", label_map):
        checked = checks.check_annotation(annotation, facts, "a.xml", label_map, image_file="a.jpg")
        assert (checked.annotation, checked.findings, checked.turn) == (annotation, (), False)


@pytest.mark.parametrize("second", [(1, 2, 30, 40), (2, 2, 30, 40), (20, 20, 60, 44)])
def test_most_images_are_faultless(second):
    facts = ImageFacts("JPEG", 64, 48, "RGB", 1, "00", 1)
    boxes = (("cat", 1.0, 2.0, 30.0, 40.0, False, False, ""), ("cat", *map(float, second), False, False, ""))
    assert checks.is_faultless(("a.jpg", 64, 48, boxes, False), facts, "a.JPG") == (second[0] == 20)
