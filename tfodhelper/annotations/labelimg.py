"""LabelImg's annotation files (Pascal VOC XML), read as they occur in practice and written as LabelImg writes them.

Elements are looked up by name, never by position; only direct children of `<object>` count, because VOC's `<part>`
has its own name and box. Nothing is fetched or expanded while reading: no entities, no network, bounded size.
"""

import functools
import math
import pathlib
import re

from lxml import etree

from tfodhelper import errors, limits, plain_text, storage, user_files
from tfodhelper.annotations import mask_files, weight_files
from tfodhelper.annotations.structures import Annotation, Box, SkippedObject, UnusableFile

MAX_BYTES = 8 << 20  # an annotation file is a few kilobytes; ten thousand objects are about 3 MB
LFS_MARK = b"version https://git-lfs.github.com/spec/"
CORNERS = ("xmin", "ymin", "xmax", "ymax")
_PADDING = b"\0 \t\r\n"
_MIN_KOREAN = 6  # different characters
_BYTE_ORDER_MARK = "\ufeff"
_SYNTAX_ERROR_END = re.compile(r" \(<string>, line \d+\)$")  # repeats the line
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2


def read_labelimg(path):
    """Reads one annotation file, and the masks and weights next to it.

    Args:
      path: the XML file.

    Returns:
      An `Annotation`; objects without a readable box, masks and weights without an object are in its `skipped`.

    Raises:
      UnusableFile: when it cannot be read, is empty, is not XML, its root is not `<annotation>`, or its masks or
        weights cannot be read.
    """
    path = pathlib.Path(path)
    try:
        data, _ = user_files.read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise UnusableFile("xml-unreadable", path, f"cannot be read ({error.strerror})") from error
    return weight_files.attach_to(mask_files.attach_to(parse_labelimg(data, path), path), path)


def parse_labelimg(data, path):
    """Parses the bytes of an annotation file, without masks and weights; see `read_labelimg`.

    Args:
      data: the bytes.
      path: their source, for messages.
    """
    root, encoding = parse_root(data, path)
    boxes, skipped, blanks = [], [], []
    for number, element in enumerate(root.findall("object"), start=1):
        for box in _read_object(element, number):
            (boxes if isinstance(box, Box) else skipped).append(box)
        blanks += _find_blanks(element, number)
    filename = re.split(r"[/\\]", _text(root, "filename"))[-1]
    return Annotation(
        filename=filename,
        width=_read_size(root, "width"),
        height=_read_size(root, "height"),
        boxes=tuple(boxes),
        verified=root.get("verified", "").strip().lower() in ("yes", "true", "1"),
        path=pathlib.Path(path),
        skipped=tuple(skipped),
        encoding=encoding,
        blanks=tuple(blanks),
    )


def parse_root(data, path, keeps_comments=False):
    """Parses the bytes of an annotation file as XML.

    Returns:
      (root `<annotation>`, the encoding if it had to be guessed, or None).

    Raises:
      UnusableFile: see `read_labelimg`; `path` is for messages.
    """
    _check_bytes(data, path)
    root, encoding = _parse(data, path, keeps_comments)
    _check_tags(root, path)
    return root, encoding


def _check_bytes(data, path):
    if not data.strip():
        raise UnusableFile("xml-empty", path, "the file is empty", fix="label the image again, or remove the file")
    if data.startswith(LFS_MARK):
        raise UnusableFile("git-lfs-pointer", path, "is a git-lfs pointer, not an annotation", fix="run: git lfs pull")
    if len(data) > MAX_BYTES:
        raise UnusableFile(
            "xml-unreadable", path, "is too large for an annotation", expected=f"at most {MAX_BYTES >> 20} MB"
        )


def _check_tags(root, path):
    """Rejects other XML, and annotations whose tags are spelt differently and would be silently ignored."""
    if root.tag != "annotation":
        is_spelt_otherwise = etree.QName(root).localname.casefold() == "annotation"
        is_cvat = root.tag == "annotations" and root.find("image") is not None
        raise UnusableFile(
            "xml-unreadable" if is_spelt_otherwise else "not-an-annotation",
            path,
            "is not an annotation",
            expected="root <annotation>",
            received=f"root <{plain_text.shorten(root.tag, 80)}>",
            fix="import it with `tfodhelper import --from=cvat`" if is_cvat else None,
        )
    children = [child for child in root if isinstance(child.tag, str)]  # without comments
    odd = [
        child.tag for child in children if child.tag != "object" and etree.QName(child).localname.casefold() == "object"
    ]
    if odd:
        raise UnusableFile(
            "xml-unreadable",
            path,
            "has objects with a different tag",
            expected="<object>",
            received=f"<{plain_text.shorten(odd[0], 80)}>",
        )


def _parse(data, path, keeps_comments):
    """Returns the root element and the encoding that had to be guessed, or None."""
    try:
        return _parse_whole(data, path, keeps_comments)
    except UnusableFile:
        bare = data.strip(_PADDING)  # left by disks and editors; not needed for UTF-16 files
        if bare == data:
            raise
        return _parse_whole(bare, path, keeps_comments)


def _parse_whole(data, path, keeps_comments):
    guessed = None
    try:
        root = etree.fromstring(data, _parser(keeps_comments))
    except etree.XMLSyntaxError as error:
        guessed = _guess_encoding(data)
        if guessed is None:
            raise _not_well_formed(path, error) from None
        text = re.sub(r"^\s*<\?xml[^>]*\?>", "", data.decode(guessed).lstrip(_BYTE_ORDER_MARK))
        try:
            root = etree.fromstring(text.encode("utf-8"), _parser(keeps_comments))
        except etree.XMLSyntaxError:
            raise _not_well_formed(path, error) from None
    # Without its own document type a file cannot declare entities, and the parser rejects unknown ones.
    if root.getroottree().docinfo.internalDTD is not None and any(
        isinstance(node, etree._Entity) for node in root.iter()
    ):
        raise UnusableFile(
            "xml-unreadable",
            path,
            "declares its own entities, which are not expanded",
            fix="replace the entities by their text",
        )
    return root, guessed


@functools.cache
def _parser(keeps_comments):
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        recover=False,
        remove_comments=not keeps_comments,
        remove_pis=True,
    )


def _not_well_formed(path, error):
    return UnusableFile(
        "xml-unreadable",
        path,
        "is not well-formed XML",
        expected="an annotation as LabelImg writes it",
        received=_SYNTAX_ERROR_END.sub("", str(error)).strip(),
        fix="correct or remove the file, or label the image again",
    )


def _guess_encoding(data):
    """The likely encoding of bytes that are not UTF-8: gb18030, cp949 or cp1252; None when none of them fits."""
    try:
        data.decode("utf-8")
        return None
    except UnicodeDecodeError:
        pass
    runs = re.findall(rb"[\x80-\xff]+", data)
    order = ("gb18030", "cp1252") if all(len(run) % 2 == 0 for run in runs) else ("cp1252", "gb18030")
    for encoding in ("cp949", *order) if _looks_korean(runs) else order:
        try:
            data.decode(encoding)
            return encoding
        except UnicodeDecodeError:
            continue
    return None


def _looks_korean(runs):
    """Whether pairs of bytes are Korean rather than Chinese; most decoders accept either.

    Hangul begins with B0 to C8, half of the common Chinese characters with larger bytes. Six different characters
    within that range are therefore almost certainly Korean; fewer are not conclusive.
    """
    pairs = {run[i : i + 2] for run in runs if len(run) % 2 == 0 for i in range(0, len(run), 2)}
    return len(pairs) >= _MIN_KOREAN and all(0xB0 <= first <= 0xC8 and second >= 0xA1 for first, second in pairs)


def _text(element, tag):
    """The stripped text of a direct child, "" when it is missing or empty."""
    return _text_of(element.find(tag))


def _text_of(child):
    text = None if child is None else child.text
    return "" if text is None else text.replace(_BYTE_ORDER_MARK, "").strip()


def _children(element):
    """{tag: its first direct child}."""
    return {child.tag: child for child in reversed(element)}


def _read_size(root, tag):
    size = root.find("size")
    number = _to_number(_text(size, tag)) if size is not None else None
    return int(number) if number is not None and number >= 1 else None


def _to_number(text):
    """A finite float, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _to_flag(text):
    """0, "", "Unspecified" and their like are False."""
    if text in ("0", "1"):
        return text == "1"
    number = _to_number(text)
    return bool(number) if number is not None else text.lower() in ("yes", "true")


def _read_object(element, number):
    """A list of one `Box` or `SkippedObject`, followed by a `SkippedObject` for each further box of the object."""
    first, more = read_box(element, number), element.findall("bndbox")[1:]
    problem = "has several <bndbox>; only the first is read"
    return [first, *(SkippedObject("box-missing", f"object {number}", problem) for _ in more)]


def _find_blanks(element, number):
    """[(object, class name as written)] if blanks were removed from it; line breaks on both sides are layout."""
    written, name = element.findtext("name") or "", _text(element, "name")
    if written == name or not name:
        return []
    before, _, after = written.partition(name)
    return [] if "\n" in before and "\n" in after else [(f"object {number} ({name})", written)]


def read_box(element, number):
    """The `Box` of an `<object>`, or a `SkippedObject` with the reason why there is none; `number` is from 1."""
    children = _children(element)
    name = _text_of(children.get("name"))
    where = f"object {number} ({plain_text.shorten(name, 80) or 'no name'})"
    corners = children.get("bndbox")
    if corners is None:
        turned = "robndbox" in children
        problem = "has a rotated box <robndbox> but no upright one" if turned else "has no <bndbox>"
        return SkippedObject("box-missing", where, problem)
    sides = _children(corners)
    texts = [_text_of(sides.get(tag)) for tag in CORNERS]
    values = [_to_number(text) for text in texts]
    if None in values:
        bad = ", ".join(
            f"{tag} {plain_text.shorten(text, 40)!r}"
            for tag, text, value in zip(CORNERS, texts, values)
            if value is None
        )
        return SkippedObject("box-not-a-number", where, f"expected numbers, received {bad}")
    if not name:
        return SkippedObject("box-unnamed", where, "has no class name")
    if problem := limits.name_problem(name):
        return SkippedObject("box-unnamed", where, problem)
    return Box(
        name,
        *values,
        difficult=_to_flag(_text_of(children.get("difficult"))),
        truncated=_to_flag(_text_of(children.get("truncated"))),
        pose=_text_of(children.get("pose")) or "Unspecified",
    )


def write_labelimg(path, annotation, image_path=None, folder=None, depth=3):
    """Atomically writes an annotation file in LabelImg's exact layout (tabs, LF, no declaration).

    Masks and weights are written next to it first (`mask_files`, `weight_files`).

    `read_labelimg` returns an equal annotation, provided that it has a size and no skipped objects. In file names,
    characters that XML cannot represent are replaced; the image is then found by the name of the XML file.

    Args:
      path: the XML file; an existing one is replaced.
      annotation: the content; whole numbers are written without a decimal point.
      image_path: value of `<path>`; by default the image's name in the folder of the XML file.
      folder: value of `<folder>`; by default the name of the image's folder.
      depth: number of colour channels.

    Raises:
      AnnotationError: a class name or pose that XML cannot represent or that would change on reading; StorageError.
    """
    text = format_labelimg(path, annotation, image_path, folder, depth)
    mask_files.write(path, annotation)
    weight_files.write(path, annotation)
    storage.write_text(path, text)


def format_labelimg(path, annotation, image_path=None, folder=None, depth=3):
    """The text that `write_labelimg` writes; arguments and errors as there, but nothing is written."""
    path = pathlib.Path(path)
    image_path = pathlib.Path(image_path) if image_path else path.parent / annotation.filename
    image_path = image_path.absolute()
    root = etree.Element("annotation")
    if annotation.verified:
        root.set("verified", "yes")
    _add(root, "folder", replace_invalid(image_path.parent.name if folder is None else folder))
    _add(root, "filename", replace_invalid(annotation.filename))
    _add(root, "path", replace_invalid(str(image_path)))
    _add(_add(root, "source"), "database", "Unknown")
    size = _add(root, "size")
    for tag, value in (("width", annotation.width or 0), ("height", annotation.height or 0), ("depth", depth)):
        _add(size, tag, str(value))
    _add(root, "segmented", "0")
    for box in annotation.boxes:
        add_object(root, box, path)
    return to_text(root)


def to_text(root):
    """An `<annotation>` as text, in LabelImg's layout."""
    etree.indent(root, space="\t")
    return etree.tostring(root, encoding="unicode") + "\n"


def replace_invalid(text):
    """The text with U+FFFD for each character that XML 1.0 cannot represent."""
    return _NOT_IN_XML.sub("\ufffd", text)


def check_text(text, kind, path):
    """Raises AnnotationError for a text that XML cannot represent, or that would change on reading."""
    if not text or text != text.strip() or _NOT_IN_XML.search(text) or _BYTE_ORDER_MARK in text:
        raise errors.AnnotationError(
            f"{path}: the {kind} {text!r} cannot be written",
            expected="text without control characters and without surrounding blanks",
            fix="rename it at its source",
        )


def _add(parent, tag, text=None):
    child = etree.SubElement(parent, tag)
    child.text = text
    return child


def add_object(root, box, path):
    """Adds the `<object>` of a `Box` to a root; `path` is for messages. Raises AnnotationError as `write_labelimg`."""
    check_text(box.name, "class name", path)
    check_text(box.pose, "pose", path)
    element = _add(root, "object")
    _add(element, "name", box.name)
    _add(element, "pose", box.pose)
    _add(element, "truncated", str(int(box.truncated)))
    _add(element, "difficult", str(int(box.difficult)))
    corners = _add(element, "bndbox")
    for tag in CORNERS:
        _add(corners, tag, format_number(getattr(box, tag)))
    return element


def format_number(value):
    """12 for 12.0; the shortest exact text of other floats."""
    value = float(value)
    text = repr(value)
    return text[:-2] if text.endswith(".0") else str(int(value)) if value.is_integer() else text
