"""A YOLO set as it lies on a disk: where labels, names and the two sides are, and the same written.

Labels lie beside their images, or under "labels" where the images are under "images". An image without a label file is
not taken for a negative; an empty label file says that nothing is there.
"""

import os
import pathlib
import posixpath

from tfodhelper import errors, storage
from tfodhelper.annotations import images
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.structures import Annotation
from tfodhelper.dataset import placing
from tfodhelper.dataset.scan import discover
from tfodhelper.dataset.split.split import TRAIN, VALIDATE
from tfodhelper.formats import yolo
from tfodhelper.formats.collection import Collection, ListedImage, base_name, to_posix

DATA_YAML = "data.yaml"
_NAME_FILES = (DATA_YAML, "data.yml", "dataset.yaml", "obj.names", "classes.txt", "predefined_classes.txt")
_KEYS = {TRAIN: "train", VALIDATE: "val", "test": "test"}  # the program's words: those of data.yaml


def read_folder(path, image_dir, image_names, classes=None):
    """Reads the labels of all images of a set.

    Args:
      path: the data.yaml, or the folder of the set or of its labels.
      image_dir: folder of the images.
      image_names: their names, relative to it.
      classes: file with the class names; else `path`, or data.yaml, obj.names or classes.txt near it.

    Returns:
      A `Collection` of the images that have a label file.

    Raises:
      AnnotationError, DatasetError: no names of classes, or no label file at all.
    """
    path = pathlib.Path(path)
    folder = path if path.is_dir() else path.parent
    names, content, findings = yolo.read_names(classes or _find_names(path, image_dir))
    texts = [name for name in discover.list_files(folder) if name.lower().endswith(".txt")]
    known = {name.casefold(): name for name in texts}
    stems = {}
    for name in texts:
        stems.setdefault(base_name(name).casefold(), []).append(name)
    prefix = os.path.relpath(image_dir, folder).replace(os.sep, "/")
    listed, used = [], set()
    for name in image_names:
        label = _find_label(posixpath.normpath(f"{prefix}/{name}"), known, stems)
        if label is not None:
            used.add(label)
            found, more = _read_one(folder / label, image_dir / name, name, names)
            findings += more
            listed += [found] if found else []
    if not listed:
        raise errors.DatasetError(
            f"{folder}: no label file belongs to an image",
            expected="labels/a.txt for images/a.jpg, or a.txt beside a.jpg",
            received=f"{len(texts)} text files and {len(image_names)} images",
            fix="name the folder of the images with --image_dir",
        )
    findings += _find_unclaimed(folder, texts, used)
    ids = {name: number for number, name in enumerate(names, start=1)}
    return Collection(tuple(listed), ids, _read_sides(content, folder, prefix, image_names), tuple(findings))


def _find_names(path, image_dir):
    if path.is_file():
        return path
    for folder in (path, path.parent, image_dir, image_dir.parent):
        for name in _NAME_FILES:
            if (folder / name).is_file():
                return folder / name
    raise errors.DatasetError(
        f"{path}: the names of the classes are nowhere to be found",
        expected="data.yaml with `names`, or classes.txt",
        fix="name the file with --classes",
    )


def _find_label(image, known, stems):
    """The label file of an image, by its name relative to the folder of the set, or None."""
    stem = os.path.splitext(image)[0]
    parts = stem.split("/")
    wanted = [stem]
    for position in range(len(parts) - 2, -1, -1):
        if parts[position].casefold() == "images":
            wanted.append("/".join([*parts[:position], "labels", *parts[position + 1 :]]))
    for name in wanted:
        if f"{name}.txt".casefold() in known:
            return known[f"{name}.txt".casefold()]
    same = stems.get(f"{parts[-1]}.txt".casefold(), [])
    return same[0] if len(same) == 1 else None


def _read_one(label_path, image_path, name, names):
    size = images.read_size(image_path)
    if size is None:
        return None, [Finding("image-unreadable", name, "its size cannot be read, which YOLO's fractions need")]
    width, height, orientation = size
    findings = []
    if orientation >= 5:  # the tools that read YOLO's labels turn images as EXIF says
        width, height = height, width
        what = f"EXIF orientation {orientation}: the fractions are taken for those of the turned image"
        findings.append(Finding("orientation-undecided", name, what, fix="look at the image"))
    try:
        text = yolo.read_text(label_path)
    except errors.AnnotationError as error:
        return None, [*findings, Finding("entry-unusable", label_path.name, str(error.what))]
    boxes, skipped, num_outlines = yolo.parse_labels(text, names, width, height)
    findings += [Finding(one.code, label_path.name, one.what, one.where) for one in skipped]
    if num_outlines:
        what = f"{num_outlines} outlines; the boxes around them are used"
        findings.append(Finding("box-approximated", label_path.name, what))
    if skipped and not boxes:
        findings.append(Finding("no-box-left", label_path.name, f"none of its {len(skipped)} lines can be used"))
        return None, findings
    return ListedImage(name, Annotation(base_name(name), width, height, tuple(boxes))), findings


def _find_unclaimed(folder, texts, used):
    findings = []
    for name in texts:
        if name in used or base_name(name) in _NAME_FILES:
            continue
        try:
            is_label = yolo.looks_like_labels(yolo.read_text(folder / name))
        except errors.AnnotationError:
            is_label = False
        if is_label:
            findings.append(Finding("image-missing", name, "no image belongs to these labels"))
    return findings


def _read_sides(content, folder, prefix, image_names):
    """{image name: side} where data.yaml names folders for the sides, as paths from its own folder or from `path`."""
    sides = {}
    own_names = {name: posixpath.normpath(f"{prefix}/{name}") for name in image_names}
    for side, key in _KEYS.items():
        given = content.get(key)
        for entry in given if isinstance(given, list) else [given]:
            if isinstance(entry, str):
                places = tuple(place + "/" for place in _places_of(entry, content.get("path"), folder))
                sides |= {name: side for name, own in own_names.items() if own.startswith(places)}
    return sides


def _places_of(entry, root, folder):
    """The folders, relative to the one of data.yaml, that an entry may mean; some tools write a "../" too much."""
    entry, root = to_posix(entry), to_posix(root or ".")
    bare = entry.lstrip("./")
    places = {entry, bare, f"{root}/{entry}", f"{root}/{bare}"}
    places = {os.path.relpath(place, folder) if os.path.isabs(place) else place for place in places if place}
    return {posixpath.normpath(place) for place in places} - {"."}


def write_folder(output_dir, images_of, label_map, how):
    """Writes a YOLO set: images/SIDE, labels/SIDE and data.yaml.

    Folders in names become part of the file's name, since readers replace the last "images" of a path.

    Args:
      output_dir: an empty folder.
      images_of: {side: list of (path of the image, `ListedImage`)}.
      label_map: `LabelMap`; its order gives the indices from 0.
      how: `placing.LINK`, COPY or NONE.
    """
    index_of = {}
    for position, item in enumerate(label_map):
        index_of |= {name: position for name in (item.name, item.display_name) if name}
    for side, pairs in images_of.items():
        stems = placing.FreeNames()
        for path, image in pairs:
            stem, ending = os.path.splitext(image.name.replace("/", "__"))
            own = stems.take(stem)
            placing.place_image(path, output_dir / "images" / _KEYS[side] / (own + ending), how)
            target = output_dir / "labels" / _KEYS[side] / f"{own}.txt"
            target.parent.mkdir(parents=True, exist_ok=True)
            storage.write_text(target, yolo.format_labels(image.annotation, index_of))
    folders = {_KEYS[side]: f"images/{_KEYS[side]}" for side in images_of}
    storage.write_text(output_dir / DATA_YAML, yolo.format_data([item.name for item in label_map], folders))
