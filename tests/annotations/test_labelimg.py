"""Reading and writing LabelImg files."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.shared_data import shared
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box, UnusableFile

# Written by hand, modelled on a file written by LabelImg.
EXACT = """<annotation verified="yes">
\t<folder>pictures</folder>
\t<filename>a cat.jpg</filename>
\t<path>/data/pictures/a cat.jpg</path>
\t<source>
\t\t<database>Unknown</database>
\t</source>
\t<size>
\t\t<width>640</width>
\t\t<height>480</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
\t<object>
\t\t<name>cat &amp; dog</name>
\t\t<pose>Unspecified</pose>
\t\t<truncated>1</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox>
\t\t\t<xmin>1</xmin>
\t\t\t<ymin>22</ymin>
\t\t\t<xmax>333</xmax>
\t\t\t<ymax>444</ymax>
\t\t</bndbox>
\t</object>
</annotation>
"""


def parse(body, head="<annotation>"):
    return labelimg.parse_labelimg(f"{head}{body}</annotation>".encode(), "a.xml")


def object_with(corners, name="cat", rest=""):
    tags = "".join(f"<{tag}>{value}</{tag}>" for tag, value in corners)
    return f"<object><name>{name}</name>{rest}<bndbox>{tags}</bndbox></object>"


CORNERS = (("xmin", 1), ("ymin", 2), ("xmax", 3), ("ymax", 4))


def test_writes_the_layout_of_labelimg_byte_for_byte(tmp_path):
    annotation = Annotation("a cat.jpg", 640, 480, (Box("cat & dog", 1, 22, 333, 444, truncated=True),), verified=True)
    path = tmp_path / "a cat.xml"
    labelimg.write_labelimg(path, annotation, image_path="/data/pictures/a cat.jpg")
    assert path.read_bytes() == EXACT.encode()
    assert labelimg.read_labelimg(path) == annotation


def test_a_file_of_labelimg_is_reproduced_byte_for_byte(tmp_path):
    original = shared("data/bccd/BCCD/Annotations") / "BloodImage_00338.xml"
    image_path = "/home/pi/detection_dataset/JPEGImages/BloodImage_00338.jpg"
    labelimg.write_labelimg(tmp_path / "a.xml", labelimg.read_labelimg(original), image_path=image_path)
    assert (tmp_path / "a.xml").read_bytes().rstrip() == original.read_bytes().rstrip()


_TEXT = st.text(string.ascii_letters + string.digits + " äß日-_&<>'\"", min_size=1).map(str.strip).filter(bool)
_NUMBER = st.floats(-1e6, 1e6, allow_nan=False) | st.integers(-5, 5000).map(float)
_BOX = st.builds(Box, _TEXT, _NUMBER, _NUMBER, _NUMBER, _NUMBER, st.booleans(), st.booleans(), _TEXT)
_ANNOTATION = st.builds(
    Annotation,
    filename=_TEXT,
    width=st.integers(1, 99999),
    height=st.integers(1, 99999),
    boxes=st.lists(_BOX, max_size=4).map(tuple),
    verified=st.booleans(),
)


@given(_ANNOTATION)
def test_what_is_written_is_read_back_equal(tmp_path_factory, annotation):
    path = tmp_path_factory.mktemp("round") / "a.xml"
    labelimg.write_labelimg(path, annotation)
    assert labelimg.read_labelimg(path) == annotation


def test_reads_by_tag_in_any_order_and_subtracts_nothing():
    roboflow = object_with((("xmin", 5), ("xmax", 50), ("ymin", 6), ("ymax", 60)))
    (box,) = parse(roboflow).boxes
    assert (box.xmin, box.ymin, box.xmax, box.ymax) == (5, 6, 50, 60)


def test_parts_of_an_object_are_not_mistaken_for_it():
    part = "<part><name>head</name><bndbox><xmin>88</xmin><ymin>1</ymin><xmax>100</xmax><ymax>9</ymax></bndbox></part>"
    (box,) = parse(f"<object>{part}<name>person</name>{object_with(CORNERS)[len('<object><name>cat</name>') :]}").boxes
    assert (box.name, box.xmin) == ("person", 1)


@pytest.mark.parametrize("text", ["", "0", "Unspecified"])
def test_an_empty_difficult_means_no(text):
    (box,) = parse(object_with(CORNERS, rest=f"<difficult>{text}</difficult><truncated>{text}</truncated>")).boxes
    assert not box.difficult
    assert not box.truncated


def test_windows_paths_spaces_and_byte_order_marks():
    corners = (("xmin", "\ufeff16"), ("ymin", " 2.5 "), ("xmax", "1484.83984375"), ("ymax", "4e2"))
    annotation = parse("<filename>C:\\data\\a.b.jpg</filename>" + object_with(corners, "\n cat \n"))
    (box,) = annotation.boxes
    assert annotation.filename == "a.b.jpg"
    assert (box.name, box.xmin, box.ymin, box.xmax, box.ymax) == ("cat", 16, 2.5, 1484.83984375, 400)


@pytest.mark.parametrize("size", ["", "<size/>", "<size><width>0</width><height>0</height></size>",
                                  "<size><width>x</width><height>-3</height></size>"])  # fmt: skip
def test_an_unusable_size_is_none(size):
    annotation = parse(size)
    assert (annotation.width, annotation.height) == (None, None)


@pytest.mark.parametrize(
    ("element", "code"),
    [
        ("<object><name>cat</name><robndbox><cx>1</cx></robndbox></object>", "box-missing"),
        (object_with((("xmin", "nan"), *CORNERS[1:])), "box-not-a-number"),
        (object_with((("xmin", "inf"), *CORNERS[1:])), "box-not-a-number"),
        (object_with((("xmin", ""), *CORNERS[1:])), "box-not-a-number"),
        (object_with(CORNERS[:3]), "box-not-a-number"),
        (object_with(CORNERS, name=" "), "box-unnamed"),
    ],
)
def test_an_object_without_a_usable_box_does_not_spoil_the_file(element, code):
    annotation = parse(element + object_with(CORNERS))
    assert [skipped.code for skipped in annotation.skipped] == [code]
    assert len(annotation.boxes) == 1


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "xml-empty"),
        (b" \n", "xml-empty"),
        (b"<annotation><object>", "xml-unreadable"),
        (b"\xff\xd8\xff\xe0 a JPEG", "xml-unreadable"),
        (b"<project/>", "not-an-annotation"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs-pointer"),
        (b"<!DOCTYPE a [<!ENTITY x 'y'>]><annotation><filename>&x;</filename></annotation>", "xml-unreadable"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(data, code, tmp_path):
    path = tmp_path / "broken.xml"
    path.write_bytes(data)
    with pytest.raises(UnusableFile) as caught:
        labelimg.read_labelimg(path)
    assert caught.value.code == code
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UnusableFile, match="nothing.xml"):
        labelimg.read_labelimg(tmp_path / "nothing.xml")


def test_entities_are_neither_expanded_nor_fetched(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    bomb = "<!ENTITY a0 'x'>" + "".join(f"<!ENTITY a{i} '{f'&a{i - 1};' * 10}'>" for i in range(1, 12))
    for entities, use in ((bomb, "&a11;"), (f"<!ENTITY s SYSTEM '{secret.as_uri()}'>", "&s;")):
        text = f"<!DOCTYPE a [{entities}]><annotation><folder>{use}</folder></annotation>"
        with pytest.raises(UnusableFile) as caught:
            labelimg.parse_labelimg(text.encode(), "a.xml")
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "name"), [("gb18030", "红细胞"), ("cp1252", "Schlüssel"), ("cp949", "빨간 자동차와 트럭")]
)
def test_other_encodings_are_guessed_and_reported(encoding, name):
    text = f'<?xml version="1.0"?><annotation>{object_with(CORNERS, name)}</annotation>'
    annotation = labelimg.parse_labelimg(text.encode(encoding), "a.xml")
    assert annotation.boxes[0].name == name
    assert annotation.encoding == encoding


def test_utf8_with_a_byte_order_mark_needs_no_guess():
    annotation = labelimg.parse_labelimg(
        b"\xef\xbb\xbf" + f"<annotation>{object_with(CORNERS)}</annotation>".encode(), ""
    )
    assert annotation.encoding is None
    assert len(annotation.boxes) == 1


def test_verified_without_objects_is_read_as_such():
    annotation = parse("", '<annotation verified="yes">')
    assert annotation.verified
    assert annotation.boxes == ()


@pytest.mark.parametrize(
    ("name", "blanks"),
    [
        ("cat ", (("object 1 (cat)", "cat "),)),
        ("\u00a0cat", (("object 1 (cat)", "\u00a0cat"),)),
        ("cat\n", (("object 1 (cat)", "cat\n"),)),
        ("\ufeffcat", (("object 1 (cat)", "\ufeffcat"),)),
        ("\n\t\t\tcat\n\t\t", ()),  # layout
        ("black cat", ()),
    ],
)
def test_blanks_that_are_removed_from_names_are_remembered(name, blanks):
    annotation = parse(object_with(CORNERS, name))
    assert annotation.boxes[0].name == name.replace("\ufeff", "").strip()
    assert annotation.blanks == blanks


def test_an_error_of_the_xml_parser_gives_its_line_once():
    with pytest.raises(UnusableFile) as caught:
        labelimg.parse_labelimg(b"<annotation>\n<object></object><", "a.xml")
    assert caught.value.received.count("line 2") == 1 and "<string>" not in caught.value.received
