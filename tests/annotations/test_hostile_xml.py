"""Any bytes as XML: an annotation or a clear error, in bounded time and memory."""

import pathlib
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfodhelper import errors
from tfodhelper.annotations import findings, labelimg
from tfodhelper.annotations.structures import Annotation, Box, UnusableFile

LIMIT_S = 5.0
LIMIT_MB = 1200  # of the whole process, including lxml and numpy
GOOD = (
    b'<annotation verified="yes"><folder>f</folder><filename>a.jpg</filename><size><width>64</width><height>48</height>'
    b"<depth>3</depth></size><object><name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin>"
    b"<xmax>30</xmax><ymax>40.5</ymax></bndbox></object></annotation>"
)


def read(data):
    """The annotation or the error; any other exception fails the test."""
    try:
        return labelimg.parse_labelimg(data, "some/a.xml")
    except UnusableFile as error:
        assert error.code in findings.KINDS and "some/a.xml" in str(error)
        return error


@given(st.binary(max_size=2000))
def test_any_bytes(data):
    assert isinstance(read(data), (Annotation, UnusableFile))


@given(st.data())
def test_a_damaged_file(data):
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, len(damaged) - 1))
        piece = data.draw(
            st.one_of(st.binary(max_size=4), st.sampled_from([b"&a;", b"<", b">", b"NaN", b"\xff\xfe", b"1e999"]))
        )
        damaged[position : position + data.draw(st.integers(0, 4))] = piece
    result = read(bytes(damaged))
    if isinstance(result, Annotation):
        for box in result.boxes:
            assert all(abs(value) < float("inf") for value in (box.xmin, box.ymin, box.xmax, box.ymax))


@given(st.text(max_size=60))
def test_any_text_may_be_a_class_name(text):
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    data = GOOD.replace(b"cat", escaped.encode("utf-8", "surrogatepass")).replace(b"a.jpg", b"../../" + b"x.jpg")
    result = read(data)
    if isinstance(result, Annotation):
        assert result.filename == "x.jpg"


@pytest.mark.parametrize("name", ["../../x.jpg", "..\\..\\x.jpg", "/etc/x.jpg", "C:\\x.jpg", "a/../../x.jpg"])
def test_no_folder_of_a_file_name_survives(name):
    assert read(GOOD.replace(b"a.jpg", name.encode())).filename == "x.jpg"


@given(st.text(max_size=8), st.text(max_size=8), st.floats(-1e9, 1e9), st.booleans())
def test_any_annotation_is_read_back_equal_or_rejected(tmp_path_factory, name, pose, xmin, flag):
    path = tmp_path_factory.mktemp("any") / "a.xml"
    box = Box(name, xmin, 1.0, 2.5, 3.0, flag, not flag, pose)
    annotation = Annotation("a.jpg", 64, 48, (box, box), flag)
    try:
        labelimg.write_labelimg(path, annotation)
    except errors.AnnotationError as error:
        assert str(path) in str(error) and not path.exists()
    else:
        assert labelimg.read_labelimg(path) == annotation


@pytest.mark.parametrize("name", ["a\nb.jpg", "a\x01b.jpg", "\udcff.jpg", " .jpg", "a&<>.jpg", "\ufeffa.jpg"])
def test_annotations_of_images_with_odd_names_are_written(tmp_path, name):
    labelimg.write_labelimg(tmp_path / "a.xml", Annotation(name, 64, 48, ()), image_path="/x/" + name)
    assert labelimg.read_labelimg(tmp_path / "a.xml").filename.endswith(".jpg")


def make_laughs(in_attribute):
    """Ten levels of ten: ten billion letters if it were expanded."""
    lines = ['<!ENTITY a0 "ha">'] + [f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 11)]
    body = '<annotation verified="&a10;"/>' if in_attribute else "<annotation><filename>&a10;</filename></annotation>"
    return f"<!DOCTYPE annotation [{''.join(lines)}]>{body}".encode()


def make_quadratic():
    text = "a" * 100_000
    return f'<!DOCTYPE annotation [<!ENTITY a "{text}">]><annotation b="{"&a;" * 10_000}"/>'.encode()


HOSTILE = {
    "laughs": lambda: make_laughs(False),
    "laughs in an attribute": lambda: make_laughs(True),
    "quadratic": make_quadratic,
    "external entity": lambda: b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
    "external type": lambda: b'<!DOCTYPE a SYSTEM "http://192.0.2.1/a.dtd"><annotation/>',
    "deep": lambda: b"<annotation>" + b"<a>" * 1_000_000,
    "deep and closed": lambda: b"<annotation>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</annotation>",
    "100 MB of text": lambda: b"<annotation><filename>" + b"a" * 100_000_000 + b"</filename></annotation>",
    "text up to the limit": lambda: b"<annotation><filename>" + b"a" * 8_300_000 + b"</filename></annotation>",
    "many elements": lambda: b"<annotation>" + b"<object/>" * 900_000 + b"</annotation>",
    "many attributes": lambda: b"<annotation " + b" ".join(b"a%d=''" % i for i in range(700_000)) + b"/>",
    "one long tag": lambda: b"<" + b"a" * 8_000_000,
    "bytes of no encoding": lambda: b"\xff" * 8_000_000,
    "UTF-16 without end": lambda: b"\xff\xfe" + b"<\0a\0" * 1_000_000,
    "comments": lambda: b"<annotation>" + b"<!-- -->" * 1_000_000 + b"</annotation>",
    "digits": lambda: GOOD.replace(b"40.5", b"9" * 5_000_000),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_handled_quickly(name, tmp_path):
    path = tmp_path / "a.xml"
    path.write_bytes(HOSTILE[name]())
    code = (
        "import re, sys\n"
        "from tfodhelper.annotations import labelimg, structures\n"
        "try:\n"
        "    found = labelimg.read_labelimg(sys.argv[1])\n"
        "    print('annotation', len(found.filename), len(found.boxes))\n"
        "except structures.UnusableFile as error:\n"
        "    print(error.code, 'root' not in str(error) or len(str(error)) < 2000)\n"
        # Not getrusage: its maximum is inherited from the process that started this one.
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024)\n"
    )
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=pathlib.Path(__file__).parents[2],
    )
    first, memory = done.stdout.splitlines()
    assert first.split()[0] in {"annotation", *findings.KINDS}
    assert "passwd" not in done.stdout and "root:" not in done.stdout
    assert int(memory) < LIMIT_MB
    assert time.monotonic() - start < 10 * LIMIT_S  # far more than needed, so that a busy machine does not matter
