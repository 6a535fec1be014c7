"""Converts other annotation formats to LabelImg XML, next to links or copies of the images: implements `import`.

Names in the input refer only to images inside the image folder: a name such as ../../x.jpg is looked up there by its
last part, and nothing is read or written elsewhere.
"""

import collections
import dataclasses
import os
import pathlib
import posixpath

from tfodhelper import console, errors, result_folder
from tfodhelper.annotations import image_search, images
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset import placing
from tfodhelper.formats import (
    box_table,
    coco,
    collection,
    cvat,
    instance_pictures,
    label_studio,
    labelme,
    suggestions,
    yolo_folder,
)
from tfodhelper.formats.class_ids import ClassIds
from tfodhelper.formats.import_result import Tally

COCO, YOLO, CSV, LABELME, PICTURES = "coco", "yolo", "csv", "labelme", "voc-masks"
LABEL_STUDIO, CVAT = "labelstudio", "cvat"
FORMATS = (COCO, YOLO, CSV, LABELME, PICTURES, LABEL_STUDIO, CVAT)
_READERS = {
    COCO: coco.read_coco,
    CSV: box_table.read_table,
    CVAT: cvat.read_cvat,
}


def import_set(format_, paths_of, output_dir, image_dir=None, classes=None, how=placing.LINK, maker=None):
    """Imports annotations.

    Args:
      format_: one of `FORMATS`.
      paths_of: {side: JSON, XML or CSV files, or folders of LABELME and PICTURES}; if only one side has any, the
        images are not assigned to sides. For YOLO a single path, of data.yaml or of the dataset's folder, which names
        the sides itself.
      output_dir: an empty or new folder.
      image_dir: searched recursively for the images; by default the folder of the first path.
      classes: file with the class names of YOLO or PICTURES, or None to search for it.
      how: `placing.LINK`, COPY or NONE.
      maker: see `result_folder.whole_folder`.

    Returns:
      An `import_result.ImportResult`.

    Raises:
      AnnotationError, DatasetError: an input that cannot be used; StorageError.
    """
    paths_of = {side: [pathlib.Path(path) for path in paths] for side, paths in paths_of.items() if paths}
    paths = [path for several in paths_of.values() for path in several]
    for path in paths:
        if not path.exists():
            raise errors.DatasetError(f"{path}: does not exist", fix="check the paths of the input")
    if format_ == YOLO and len(paths) > 1:
        raise errors.UsageError("a YOLO dataset is a single data.yaml or folder", received=f"{len(paths)} paths")
    path = paths[0]
    image_dir = pathlib.Path(image_dir) if image_dir else path if path.is_dir() else path.parent
    names, findings = _list_images(image_dir)
    if format_ == YOLO:
        read, class_ids = yolo_folder.read_folder(path, image_dir, names, classes), ClassIds()
        class_ids.add(read.class_ids.items())
    else:
        read_one = _reader_of(format_, names, classes)
        parts_of = {side: [read_one(path) for path in several] for side, several in paths_of.items()}
        read, class_ids = _merge(parts_of)
    if not read.images and not read.predicted:
        lost = [finding.message for finding in read.findings[:1]]
        raise errors.DatasetError(f"{path}: no image is listed in it", received=lost[0] if lost else None)
    output_dir = placing.check_new_folder(output_dir, image_dir, maker=maker)
    read = dataclasses.replace(read, findings=(*read.findings, *findings))
    with result_folder.whole_folder(output_dir, maker) as filled:
        copier = _Copier(image_dir, filled, output_dir, placing.Names(names), how, read.is_upright)
        made = _write(read, class_ids, names, copier)
    return dataclasses.replace(made, output_dir=output_dir)


def _reader_of(format_, names, classes):
    """A function from a path to the `Collection` in it; `names` are those of the images."""
    if format_ == LABELME:
        return lambda path: labelme.read_folder(path, names)
    if format_ == LABEL_STUDIO:
        return lambda path: label_studio.read_tasks(path, names)
    if format_ == PICTURES:
        return lambda path: instance_pictures.read_folder(path, names, classes)
    return _READERS[format_]


def _list_images(image_dir):
    """(names of the images in a folder, findings about names that cannot be used)."""
    if not image_dir.is_dir():
        raise errors.DatasetError(f"{image_dir}: is not a folder", expected="the folder of the images")
    names, skipped = image_search.list_images(image_dir)
    if not names:
        raise errors.DatasetError(
            f"{image_dir}: no images in it or its folders", fix="give their folder with --image_dir"
        )
    return names, skipped


def _merge(parts_of):
    """Merges collections.

    Args:
      parts_of: {side: list of `Collection`s}; the images are assigned to the sides if there are several.

    Returns:
      (`Collection`, `ClassIds`).
    """
    listed, sides, findings, predicted, class_ids, is_upright = [], {}, [], [], ClassIds(), False
    for side, parts in parts_of.items():
        for part in parts:
            listed += part.images
            predicted += part.predicted
            is_upright |= part.is_upright
            findings += part.findings
            class_ids.add(part.class_ids.items())
            for image in part.images if len(parts_of) > 1 else ():
                sides.setdefault(image.name, set()).add(side)
    merged = collection.Collection(tuple(listed), {}, sides, tuple(findings), tuple(predicted), is_upright)
    return merged, class_ids


def _write(read, class_ids, names, copier):
    located, findings = locate(read.images, names)
    chosen, more = _settle(located)
    sides = collections.defaultdict(set)
    for name, listed in located:
        sides[name] |= read.sides.get(listed.name, set())
    tally = Tally()
    tally.report((*read.findings, *findings, *more))
    with console.Progress("images imported", len(chosen)) as progress:
        for name, listed in sorted(chosen.items()):
            progress.advance()
            tally.report(collection.findings_of(listed))
            if collection.is_usable(listed):
                tally.add(copier.write(name, listed.annotation), listed.annotation, sides[name])
    predicted, findings = locate(read.predicted, names)
    listed_names = {image.name for image in read.images}
    tally.report(finding for finding in findings if finding.file not in listed_names)  # said already
    num_predicted = suggestions.write_suggestions(copier, predicted, read.is_upright)
    return tally.finish(copier.filled, class_ids, [name for name in names if name not in sides], num_predicted)


@dataclasses.dataclass(frozen=True)
class _Copier:
    """Places images with their XML files in the folder `filled`, which will be `output_dir`."""

    image_dir: pathlib.Path
    filled: pathlib.Path
    output_dir: pathlib.Path
    own_names: placing.Names
    how: str
    is_upright: bool = False
    placed: dict = dataclasses.field(default_factory=dict)  # {name: name of the image in lists}

    def write(self, name, annotation):
        """Places an image and writes its XML file; returns the name of the image in lists."""
        target, own = self.own_names.take(name)
        path, is_placed = self.image_dir / name, self.how != placing.NONE
        if self.is_upright:
            annotation = suggestions.to_stored(annotation, path)
        if annotation.width is None or annotation.height is None:
            width, height, *_ = images.read_size(path) or (None, None)
            annotation = dataclasses.replace(annotation, width=width, height=height)
        placing.place_image(path, self.filled / target, self.how)
        shown = self.output_dir / target if is_placed else path
        placing.write_annotation(self.filled / f"{own}.xml", shown, annotation)
        self.placed[name] = target if is_placed else name
        return self.placed[name]

    def path_of(self, name):
        """Where an image is, once the folder has its name: in it, or where it was if it was not placed."""
        is_placed = name in self.placed and self.how != placing.NONE
        return self.output_dir / self.placed[name] if is_placed else self.image_dir / name


def locate(listed, names):
    """Finds the images of a list in a folder.

    A name is the path of an image, or its last parts. If it has no extension, as in the tables of Open Images, it is
    the one image with this stem.

    Args:
      listed: `ListedImage`s.
      names: relative names of the existing images.

    Returns:
      (list of (name of an existing image, `ListedImage`), findings for missing and ambiguous images).
    """
    whole, stems = _NameIndex(names), _NameIndex(names, without_extension=True)
    located, findings = [], []
    for image in listed:
        wanted = posixpath.normpath(image.name)
        matches = whole.find(wanted)
        is_bare = not matches and not _has_extension(wanted)
        matches = stems.find(wanted) if is_bare else matches
        if len(matches) == 1:
            located.append((matches[0], image))
            if is_bare:
                problem = f"the name has no extension; {matches[0]} is used"
                findings.append(Finding("filename-bare", image.name, problem))
        elif matches:
            problem = "the name fits several images: " + ", ".join(matches[:3])
            findings.append(Finding("image-ambiguous", image.name, problem))
        else:
            fix = "copy the image, or give its folder with --image_dir"
            findings.append(Finding("image-missing", image.name, "the image does not exist", fix=fix))
    return located, findings


def _has_extension(name):
    return os.path.splitext(name)[1].lower() in images.EXTENSIONS


class _NameIndex:
    """Finds images by their names, or by their names without extension; the case decides only between several."""

    def __init__(self, names, without_extension=False):
        self._names = {name: os.path.splitext(name)[0] if without_extension else name for name in names}
        self._exact, self._loose, self._bases = (collections.defaultdict(list) for _ in range(3))
        for name, key in self._names.items():
            self._exact[key].append(name)
            self._loose[key.casefold()].append(name)
            self._bases[posixpath.basename(key).casefold()].append(name)

    def find(self, wanted):
        """The images that a name may mean, best matches only."""
        matches = self._exact.get(wanted) or self._loose.get(wanted.casefold())
        if matches:
            return matches
        candidates = self._bases.get(posixpath.basename(wanted).casefold(), [])
        depths = {name: _count_shared_parts(wanted, self._names[name]) for name in candidates}
        best = max(depths.values(), default=0)
        return [name for name in candidates if depths[name] == best]


def _count_shared_parts(wanted, candidate):
    """How many trailing parts of two paths are equal but for case."""
    pairs = zip(reversed(wanted.casefold().split("/")), reversed(candidate.casefold().split("/")))
    return next((depth for depth, (a, b) in enumerate(pairs) if a != b), 99)


def _settle(located):
    """Keeps one entry per image: equal entries are merged, contradictory ones leave the image out."""
    chosen, findings, bad = {}, [], set()
    for name, image in located:
        other = chosen.setdefault(name, image)
        if other is image or name in bad:
            continue
        if set(other.annotation.boxes) == set(image.annotation.boxes) and len(other.lost) == len(image.lost):
            findings.append(Finding("xml-copy", image.name, f"a second, equal entry for {name}"))
        else:
            fix = "merge the entries, or give the images distinct names"
            problem = f"this entry for {name} contradicts that of {other.name}"
            findings.append(Finding("annotations-conflict", image.name, problem, fix=fix))
            bad.add(name)
    return {name: image for name, image in chosen.items() if name not in bad}, findings
