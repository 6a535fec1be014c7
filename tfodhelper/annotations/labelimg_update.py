"""Changes to LabelImg's annotation files that keep whatever else is in them.

Elements and attributes that this program does not read, comments and objects without a readable box stay in the file,
in their order, and a box that was not touched keeps its corners exactly as they were written. What is new or changed
is written as LabelImg saves it.

While an image is being reviewed, an object that a person has confirmed has the attribute `verified="yes"`, which
LabelImg and all readers here ignore. Once the image as a whole is verified, these attributes are removed, and the file
is what LabelImg itself would have written.
"""

import dataclasses
import math
import pathlib

from lxml import etree

from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box

_MARK, _MARKED = "verified", "yes"


@dataclasses.dataclass(frozen=True)
class EditedBox:
    """One object of an annotation file that is being edited.

    Attributes:
      box: its content, in the frame of the file.
      source: index among the `<object>` elements of the file, from 0; None for a new object.
      is_confirmed: whether a person has confirmed it.
    """

    box: Box
    source: int | None = None
    is_confirmed: bool = False


def read_objects(data, path):
    """Reads the objects of an annotation file that have a readable box.

    Args:
      data: the bytes of the file.
      path: their source, for messages.

    Returns:
      List of `EditedBox`, in the order of the file.

    Raises:
      UnusableFile: see `labelimg.read_labelimg`.
    """
    root, _ = labelimg.parse_root(data, path)
    objects = []
    for index, element in enumerate(root.findall("object")):
        box = labelimg.read_box(element, index + 1)
        if isinstance(box, Box):
            objects.append(EditedBox(box, index, element.get(_MARK) == _MARKED))
    return objects


def make_empty(path, image_path, size, depth=3):
    """The bytes of a new annotation file without objects, for `update`.

    Args:
      path: where it will be written.
      image_path: of its image.
      size: (width, height) of the image.
      depth: number of colour channels.
    """
    image_path = pathlib.Path(image_path)
    annotation = Annotation(image_path.name, *size, ())
    return labelimg.format_labelimg(path, annotation, image_path, depth=depth).encode("utf-8")


def update(data, path, objects, size, verified):
    """The text of an annotation file with changed objects.

    Args:
      data: the bytes of the file before the changes.
      path: their source, for messages.
      objects: `EditedBox`es; objects of the file with a readable box that are not among them are removed.
      size: (width, height) of the frame of the boxes.
      verified: whether a person has accepted the image as a whole.

    Returns:
      The new text, in LabelImg's layout.

    Raises:
      UnusableFile: the bytes are not an annotation.
      AnnotationError: a class name that cannot be written.
    """
    root, _ = labelimg.parse_root(data, path, keeps_comments=True)
    kept = {each.source: each for each in objects if each.source is not None}
    for index, element in enumerate(root.findall("object")):
        before = labelimg.read_box(element, index + 1)
        if not isinstance(before, Box):
            continue
        if index not in kept:
            root.remove(element)
            continue
        _change(element, before, kept[index].box, path)
        _mark(element, kept[index].is_confirmed and not verified)
    for each in objects:
        if each.source is None:
            _mark(labelimg.add_object(root, each.box, path), each.is_confirmed and not verified)
    _set_size(root, size)
    if verified:
        root.set(_MARK, _MARKED)
    else:
        root.attrib.pop(_MARK, None)
    return labelimg.to_text(root)


def _change(element, before, after, path):
    """Writes what differs between two boxes to an `<object>`."""
    if after.name != before.name:
        labelimg.check_text(after.name, "class name", path)
        _set_text(element, "name", after.name)
    if after.difficult != before.difficult:
        _set_text(element, "difficult", str(int(after.difficult)))
    corners = element.find("bndbox")
    moved = [tag for tag in labelimg.CORNERS if getattr(after, tag) != getattr(before, tag)]
    for tag in moved:
        _set_text(corners, tag, labelimg.format_number(getattr(after, tag)))
    if moved and after.truncated != before.truncated:
        _set_text(element, "truncated", str(int(after.truncated)))


def _mark(element, is_confirmed):
    if is_confirmed:
        element.set(_MARK, _MARKED)
    elif element.get(_MARK) == _MARKED:
        del element.attrib[_MARK]


def _set_text(parent, tag, text):
    child = parent.find(tag)
    if child is None:
        child = etree.SubElement(parent, tag)
    del child[:]  # comments
    child.text = text


def _set_size(root, size):
    element = root.find("size")
    if element is None:
        element = etree.Element("size")
        first = root.find("object")
        root.insert(len(root) if first is None else root.index(first), element)
    for tag, value in zip(("width", "height"), size):
        if (element.findtext(tag) or "").strip() != str(value):
            _set_text(element, tag, str(value))


def as_labelimg_saves(box, width, height):
    """The box as LabelImg writes it: whole pixels, xmin and ymin at least 1, truncated where it touches the border.

    Source: `convert_points_to_bnd_box` and `append_objects` of LabelImg 1.8.6.

    Args:
      box: an `annotations.structures.Box`.
      width, height: of the image, pixels.
    """
    xmin, ymin = (float(max(1, math.trunc(side))) for side in (box.xmin, box.ymin))
    xmax, ymax = (float(math.trunc(side)) for side in (box.xmax, box.ymax))
    truncated = xmin == 1 or ymin == 1 or xmax == width or ymax == height
    return dataclasses.replace(box, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax, truncated=truncated)
