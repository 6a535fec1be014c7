"""Reads and writes the folders of a YOLO dataset: where its images, labels, class names and sides are.

Labels are next to their images, or under "labels" if the images are under "images". An image without a label file is
not treated as a negative; an image with an empty label file is.
"""

import collections
import os
import pathlib
import posixpath

from tfodhelper import errors, spelling, storage, user_files
from tfodhelper.annotations import images
from tfodhelper.annotations.findings import IMAGE_LEFT_OUT, Finding, from_skipped
from tfodhelper.annotations.structures import Annotation
from tfodhelper.dataset import placing
from tfodhelper.dataset.split.split import TRAIN, VALIDATE
from tfodhelper.formats import yolo
from tfodhelper.formats.collection import Collection, ListedImage, base_name, report_unnamed, to_posix, unnamed_class

DATA_YAML = "data.yaml"
_NAME_FILES = (DATA_YAML, "data.yml", "dataset.yaml", "obj.names", "classes.txt", "predefined_classes.txt")
_KEYS = {TRAIN: "train", VALIDATE: "val", "test": "test"}  # our names: those of data.yaml


def read_folder(path, image_dir, image_names, classes=None):
    """Reads the labels of all images of a dataset.

    Args:
      path: the data.yaml, or the folder of the dataset or of its labels.
      image_dir: folder of the images.
      image_names: their names, relative to it.
      classes: file with the class names; by default `path`, or data.yaml, obj.names or classes.txt near it.

    Returns:
      A `Collection` of the images that have a label file.

    Raises:
      AnnotationError, DatasetError: no class names, or no label file at all.
    """
    path = pathlib.Path(path)
    folder = path if path.is_dir() else path.parent
    names_path = pathlib.Path(classes or _find_names(path, image_dir))
    names, content, findings = yolo.read_names(names_path)
    skipped = []
    texts = [name for name in user_files.list_files(folder, skipped.append) if name.lower().endswith(".txt")]
    findings += [from_skipped(entry) for entry in skipped if entry.name.lower().endswith(".txt")]
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
            image, more = _read_image(folder / label, image_dir / name, name, names)
            findings += more
            listed += [image] if image else []
    if not listed:
        raise errors.DatasetError(
            f"{folder}: none of the images has a label file",
            expected="labels/a.txt for images/a.jpg, or a.txt next to a.jpg",
            received=f"{spelling.count(len(texts), 'text file')} and {spelling.count(len(image_names), 'image')}",
            fix="give the folder of the images with --image_dir",
        )
    findings += _find_unclaimed(folder, texts, used) + _find_unnamed(listed, names, names_path)
    ids = {name or unnamed_class(index): index + 1 for index, name in enumerate(names)}
    return Collection(tuple(listed), ids, _read_sides(content, folder, prefix, image_names), tuple(findings))


def _find_unnamed(listed, names, names_path):
    """Findings about the indices without a name that boxes have."""
    unnamed = {unnamed_class(index): index for index, name in enumerate(names) if name is None}
    boxes = (box for image in listed for box in image.annotation.boxes)
    counts = collections.Counter(unnamed[box.name] for box in boxes if box.name in unnamed)
    return report_unnamed(counts, names_path.name)


def _find_names(path, image_dir):
    if path.is_file():
        return path
    for folder in (path, path.parent, image_dir, image_dir.parent):
        for name in _NAME_FILES:
            if (folder / name).is_file():
                return folder / name
    raise errors.DatasetError(
        f"{path}: no file with class names was found",
        expected="data.yaml with `names`, or classes.txt",
        fix="give the file with --classes",
    )


def _find_label(image, known, stems):
    """The label file of an image, or None; names are relative to the folder of the dataset."""
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


def _read_image(label_path, image_path, name, names):
    size = images.read_size(image_path)
    if size is None:
        return None, [Finding("image-unreadable", name, "its size cannot be read, but YOLO's fractions need it")]
    width, height, orientation = size
    findings = []
    if orientation >= 5:  # tools that read YOLO labels rotate images according to EXIF
        width, height = height, width
        problem = f"EXIF orientation {orientation}: the fractions are assumed to refer to the rotated image"
        findings.append(Finding("orientation-undecided", name, problem, fix="check the image"))
    try:
        text = yolo.read_text(label_path)
    except errors.AnnotationError as error:
        lost = Finding("entry-unusable", label_path.name, str(error.what), action=IMAGE_LEFT_OUT)
        return None, [*findings, lost]
    boxes, skipped = yolo.parse_labels(text, names, width, height)
    lost = tuple(Finding(object_.code, label_path.name, object_.what, object_.where) for object_ in skipped)
    return ListedImage(name, Annotation(base_name(name), width, height, tuple(boxes)), lost), findings


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
            findings.append(Finding("image-missing", name, "these labels have no image"))
    return findings


def _read_sides(content, folder, prefix, image_names):
    """{image name: set of sides}, if data.yaml names folders for the sides, relative to its own folder or to `path`."""
    sides = {}
    own_names = {name: posixpath.normpath(f"{prefix}/{name}") for name in image_names}
    for side, key in _KEYS.items():
        given = content.get(key)
        for entry in given if isinstance(given, list) else [given]:
            if isinstance(entry, str):
                prefixes = tuple(f"{path}/" for path in _possible_folders(entry, content.get("path"), folder))
                for name, own in own_names.items():
                    if own.startswith(prefixes):
                        sides.setdefault(name, set()).add(side)
    return sides


def _possible_folders(entry, root, folder):
    """The folders, relative to that of data.yaml, that an entry may refer to; some tools write an extra "../"."""
    entry, root = to_posix(entry), to_posix(root or ".")
    bare = entry.lstrip("./")
    paths = {entry, bare, f"{root}/{entry}", f"{root}/{bare}"}
    paths = {os.path.relpath(path, folder) if os.path.isabs(path) else path for path in paths if path}
    return {posixpath.normpath(path) for path in paths} - {"."}


def write_folder(output_dir, images_of, label_map, how):
    """Writes a YOLO dataset: images/SIDE, labels/SIDE and data.yaml.

    Folders in names become part of the file name, because readers replace the last "images" in a path.

    Args:
      output_dir: an empty folder.
      images_of: {side: list of (path of the image, `ListedImage`)}.
      label_map: a `LabelMap`; its order determines the 0-based indices.
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
