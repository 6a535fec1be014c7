"""Reads masks as PASCAL VOC has them: for each image a picture of the objects and one of the classes.

    SegmentationObject/a.png   the number of the object that each pixel belongs to: 0 is background, 1 the first object
    SegmentationClass/a.png    the number of its class: 0 is background

Both have a palette, or are grey with 8 or 16 bits; the numbers count, not the colours. In 8 bits, 255 marks pixels
that belong to nothing in particular, such as the rims in VOC. The class of an object is the one that most of its pixels
have. Without pictures of the classes, all objects are of the one class that the file of names has.

The file of names has one name per line, the first for the number 1; lines `__ignore__` and `_background_`, as
labelme2voc writes them, are left out.
"""

import pathlib
import posixpath

import numpy as np

from tfodhelper import errors, image_decoding, limits, spelling, user_files
from tfodhelper.annotations import masks
from tfodhelper.annotations.findings import IMAGE_LEFT_OUT, Finding
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.formats import collection
from tfodhelper.formats.collection import Collection, ListedImage

OBJECTS, CLASSES = ("SegmentationObject", "SegmentationObjectPNG"), ("SegmentationClass", "SegmentationClassPNG")
_VOID = 255
_NAMES_FILE = "class_names.txt"
_NOT_A_CLASS = ("__ignore__", "_background_", "background")
_MOST_OBJECTS = 10_000  # of a picture; more are a picture of colours


def read_folder(path, image_names, names_path=None):
    """Reads the pictures of a folder.

    Args:
      path: the folder around SegmentationObject, or that folder itself.
      image_names: names of the images, relative to the folder of the images.
      names_path: file with the names of the classes; by default class_names.txt in the folder.

    Returns:
      A `Collection`; class ids are those of the pictures.

    Raises:
      DatasetError: there are no such pictures.
      AnnotationError: the file of names cannot be read.
    """
    folder = pathlib.Path(path)
    objects_dir = folder if folder.name in OBJECTS else _find(folder, OBJECTS)
    pictures = [] if objects_dir is None else sorted(
        name for name in user_files.list_folder(objects_dir)[1] if name.lower().endswith(".png")
    )  # fmt: skip
    if not pictures:
        raise errors.DatasetError(
            f"{folder}: no pictures of objects",
            expected="PNG files in a folder SegmentationObject, and those of their classes in SegmentationClass",
            fix="give the folder around SegmentationObject as --input",
        )
    folder = objects_dir.parent
    classes_dir, names = _find(folder, CLASSES), _read_names(names_path, folder)
    if classes_dir is None and len(names) != 1:
        raise errors.DatasetError(
            f"{folder}: no folder SegmentationClass, which says of what class the objects are",
            expected="SegmentationClass, or a file with the name of one class",
            fix="give a file with a single name with --classes",
        )
    stems = {}
    for name in image_names:
        stems.setdefault(posixpath.splitext(posixpath.basename(name))[0].casefold(), []).append(name)
    listed, findings, unnamed = [], [], {}
    for name in pictures:
        same = stems.get(posixpath.splitext(name)[0].casefold(), [])
        if len(same) != 1:
            problem = "no image has its name" if not same else f"the name fits several images: {', '.join(same[:3])}"
            findings.append(Finding("image-ambiguous" if same else "image-missing", name, problem))
            continue
        image, more = _read_image(objects_dir / name, classes_dir and classes_dir / name, same[0], names, unnamed)
        listed += [image] if image else []
        findings += more
    findings += collection.report_unnamed(unnamed, "--classes")
    ids = {name: number for number, name in names.items()}
    return Collection(tuple(listed), ids, {}, tuple(findings))


def _find(folder, names):
    return next((folder / name for name in names if (folder / name).is_dir()), None)


def _read_names(path, folder):
    """{number: name} of the classes."""
    if path is None:
        path = folder / _NAMES_FILE
        if not path.is_file():
            return {}
    try:
        lines = limits.read_text(path, errors.AnnotationError).splitlines()
    except OSError as error:
        raise errors.AnnotationError(f"{path}: cannot be read ({error.strerror})") from error
    names = [name for line in lines if (name := collection.to_class_name(line)) and name not in _NOT_A_CLASS]
    limits.check_class_count(len(names), path)
    if not names:
        raise errors.AnnotationError(f"{path}: has no name of a class", expected="one name per line")
    return dict(enumerate(names, start=1))


def _read_image(objects_path, classes_path, image, names, unnamed):
    """Returns (a `ListedImage` or None, findings)."""
    try:
        objects, is_void = _read_numbers(objects_path)
        classes = None
        if classes_path is not None:
            classes, more = _read_numbers(classes_path)
            if classes.shape != objects.shape:
                raise ValueError(f"{classes_path}: is not as large as the picture of the objects")
            is_void = is_void | more
        objects = np.where(is_void, 0, objects)
        try:
            masks_of = masks.make_from_numbers(objects, _MOST_OBJECTS)
        except ValueError as error:
            raise ValueError(f"{objects_path}: {error}") from None
    except ValueError as error:
        return None, [Finding("mask-unusable", image, str(error), action=IMAGE_LEFT_OUT)]
    boxes, lost = [], []
    height, width = objects.shape
    commonest = None if classes is None else _find_commonest(objects, classes)
    for number, mask in masks_of.items():
        label = _class_of(None if commonest is None else commonest[number], names, unnamed)
        if label is None:
            problem = "most of its pixels are background in the picture of the classes"
            lost.append(Finding("box-unnamed", image, problem, f"object {number}"))
            continue
        boxes.append(Box(label, *masks.measure(mask, height, width)[1], mask=mask))
    annotation = Annotation(collection.base_name(image), width, height, tuple(boxes))
    return ListedImage(image, annotation, tuple(lost)), []


def _find_commonest(objects, classes):
    """{number of an object: the class that most of its pixels have, of several the first}."""
    pairs = np.stack([objects.ravel(), classes.ravel()])
    starts = np.flatnonzero(np.append(True, (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)))
    lengths = np.diff(np.append(starts, objects.size))
    unique, index = np.unique(pairs[:, starts], axis=1, return_inverse=True)
    counts = np.bincount(index.ravel(), lengths)
    commonest = {}
    for (number, class_), count in zip(unique.T.tolist(), counts.tolist()):
        if number not in commonest or count > commonest[number][1]:
            commonest[number] = class_, count
    return {number: class_ for number, (class_, _) in commonest.items()}


def _class_of(number, names, unnamed):
    """The name of the class with a number; None for the background."""
    if number is None:
        return names[1]
    if number <= 0:
        return None
    if number not in names:
        unnamed[number] = unnamed.get(number, 0) + 1
    return names.get(number) or collection.unnamed_class(number)


def _read_numbers(path):
    """(integers [height, width], whether each pixel belongs to nothing in particular).

    Raises:
      ValueError: with the reason in words.
    """
    try:
        data, _ = user_files.read_bytes(path, image_decoding.MAX_BYTES)
        image = image_decoding.open_image(data)
        image_decoding.load(image)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except image_decoding.UndecodableImageError as error:
        raise ValueError(f"{path}: cannot be decoded ({error})") from error
    array = np.asarray(image)
    if array.ndim != 2 or array.dtype.kind not in "iu" and array.dtype != bool:
        received = spelling.count(1 if array.ndim == 2 else array.shape[2], "channel")
        raise ValueError(
            f"{path}: is a picture of colours ({received}), not of numbers: a palette, or 8 or 16 bit grey"
        )
    has_void = array.dtype == np.uint8
    array = array.astype(np.uint8) if array.dtype == bool else array
    return array, (array == _VOID) if has_void else np.zeros(array.shape, bool)
