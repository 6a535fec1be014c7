"""Reads LabelImg's own layout, which nearly all annotation files have, with two patterns and without an XML parser.

The patterns match nothing that an XML parser could interpret differently: no references, no comments, no invalid
characters, elements in LabelImg's order only. Everything else is left to `labelimg.parse_labelimg`, which returns the
same for the files that are read here.
"""

import re

from tfodhelper import limits

_TEXT = "[^<&>\x00-\x1f\x7f-\x9f\ud800-\udfff\ufeff\ufffe\uffff]*"
_BLANK = "[\t\n\r ]*"
_NUMBER = r"-?[0-9]{1,9}(?:\.[0-9]{1,20})?"


def _element(tag, content, capture=True):
    return f"<{tag}>({content})</{tag}>{_BLANK}" if capture else f"<{tag}>{content}</{tag}>{_BLANK}"


_HEAD = re.compile(
    rf'(?:<\?xml version="1\.0"(?: encoding="(?:utf-8|UTF-8)")? ?\?>{_BLANK})?'
    rf'<annotation( verified="yes")?>{_BLANK}'
    f"(?:{_element('folder', _TEXT, False)})?"
    + _element("filename", _TEXT)
    + f"(?:{_element('path', _TEXT, False)})?"
    + f"(?:<source>{_BLANK}{_element('database', _TEXT, False)}</source>{_BLANK})?"
    + f"<size>{_BLANK}{_element('width', '[0-9]{1,9}')}{_element('height', '[0-9]{1,9}')}"
    + f"(?:{_element('depth', '[0-9]{0,9}', False)})?</size>{_BLANK}"
    + f"(?:{_element('segmented', '[0-9]', False)})?"
)
_OBJECT = re.compile(
    f"<object>{_BLANK}{_element('name', _TEXT)}{_element('pose', _TEXT)}{_element('truncated', '[01]')}"
    f"{_element('difficult', '[01]')}<bndbox>{_BLANK}"
    + "".join(_element(tag, _NUMBER) for tag in ("xmin", "ymin", "xmax", "ymax"))
    + f"</bndbox>{_BLANK}</object>{_BLANK}"
)
_END = re.compile(f"</annotation>{_BLANK}")


def read(data):
    """Reads an annotation file in the usual layout.

    Args:
      data: its bytes.

    Returns:
      (filename, width, height, boxes, verified), the boxes as tuples of the fields of `structures.Box`; None for any
      other file.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    head = _HEAD.match(text)
    if head is None:
        return None
    boxes, position = [], head.end()
    while (match := _OBJECT.match(text, position)) is not None:
        name, pose, truncated, difficult, xmin, ymin, xmax, ymax = match.groups()
        if not name or name != name.strip() or limits.name_problem(name):
            return None
        corners = float(xmin), float(ymin), float(xmax), float(ymax)
        boxes.append((name, *corners, difficult == "1", truncated == "1", pose.strip() or "Unspecified"))
        position = match.end()
    if _END.fullmatch(text, position) is None:
        return None
    verified, filename, width, height = head.groups()
    filename = filename.strip().replace("\\", "/").rpartition("/")[2]
    return filename, int(width) or None, int(height) or None, tuple(boxes), verified is not None
