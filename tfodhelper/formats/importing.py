"""Converts other annotation formats to LabelImg XML, next to links or copies of the images: implements `import`.

Names in the input refer only to images inside the image folder: a name such as ../../x.jpg is looked up there by its
last part, and nothing is read or written elsewhere.
"""

import collections
import dataclasses
import os
import pathlib
import posixpath

from tfodhelper import console, errors, storage
from tfodhelper.annotations import images
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset import placing
from tfodhelper.dataset.scan import discover
from tfodhelper.dataset.split.split import TRAIN, VALIDATE
from tfodhelper.formats import box_table, coco, collection, yolo_folder

COCO, YOLO, CSV = "coco", "yolo", "csv"
FORMATS = (COCO, YOLO, CSV)
LABEL_MAP = "label_map.pbtxt"
LISTS = {TRAIN: "train.txt", VALIDATE: "validate.txt"}


@dataclasses.dataclass(frozen=True)
class ImportResult:
    """The result of an import.

    Attributes:
      output_dir: the folder.
      num_images, num_boxes, num_negatives: how many were written.
      counts: {class name: number of boxes}.
      unlisted: names of images without an entry in the input; they are not imported.
      has_lists: whether train.txt and validate.txt were written.
      findings: what could not be imported unchanged.
    """

    output_dir: pathlib.Path
    num_images: int
    num_boxes: int
    num_negatives: int
    counts: dict[str, int]
    unlisted: tuple[str, ...]
    has_lists: bool
    findings: tuple[Finding, ...]


def import_set(format_, paths, output_dir, val_paths=(), image_dir=None, classes=None, how=placing.LINK):
    """Imports annotations.

    Args:
      format_: one of `FORMATS`.
      paths: JSON or CSV files; for YOLO a single path, of data.yaml or of the dataset's folder.
      output_dir: an empty or new folder.
      val_paths: further files, for validation; the images in `paths` are then for training.
      image_dir: searched recursively for the images; by default the folder of the first path.
      classes: file with the class names of a YOLO dataset, or None to search for it.
      how: `placing.LINK`, COPY or NONE.

    Returns:
      An `ImportResult`.

    Raises:
      AnnotationError, DatasetError: an input that cannot be used; StorageError.
    """
    paths, val_paths = [pathlib.Path(path) for path in paths], [pathlib.Path(path) for path in val_paths]
    for path in (*paths, *val_paths):
        if not path.exists():
            raise errors.DatasetError(f"{path}: does not exist", fix="check --input and --val_input")
    if format_ == YOLO and (len(paths) > 1 or val_paths):
        raise errors.UsageError(
            "a YOLO dataset is a single data.yaml or folder", received=f"{len(paths + val_paths)} paths"
        )
    path = paths[0]
    image_dir = pathlib.Path(image_dir) if image_dir else path if path.is_dir() else path.parent
    if not image_dir.is_dir():
        raise errors.DatasetError(f"{image_dir}: is not a folder", expected="the folder of the images")
    files, unwritable = discover.split_names(discover.list_files(image_dir))
    names = [name for name in files if os.path.splitext(name)[1].lower() in images.EXTENSIONS]
    if not names:
        raise errors.DatasetError(
            f"{image_dir}: no images in it or its folders", fix="give their folder with --image_dir"
        )
    if format_ == YOLO:
        read = yolo_folder.read_folder(path, image_dir, names, classes)
    else:
        reader = {COCO: coco.read_coco, CSV: box_table.read_table}[format_]
        read = _merge([reader(path) for path in paths], [reader(path) for path in val_paths])
    more = tuple(Finding("name-not-utf8", name, "the file name is not valid UTF-8") for name in unwritable)
    read = dataclasses.replace(read, findings=read.findings + more)
    output_dir = placing.make_new_folder(output_dir, image_dir)
    return _write(read, image_dir, names, output_dir, how)


def _merge(train, validate):
    """Merges collections; images are assigned the side of their file if there are files for both sides."""
    parts = [*train, *validate]
    class_ids, findings, sides = {}, [], {}
    for part in parts:
        findings += part.findings
        for name, id_ in part.class_ids.items():
            if class_ids.setdefault(name, id_) != id_:
                problem = f"its id is {class_ids[name]} in one file and {id_} in another; no label map is written"
                findings.append(Finding("class-merged", name, problem))
    if len(set(class_ids.values())) < len(class_ids) or any(
        part.class_ids.items() - class_ids.items() for part in parts
    ):
        class_ids = {}
    for side, group in ((TRAIN, train), (VALIDATE, validate)):
        sides |= {image.name: side for part in group for image in part.images if validate}
    images_of_all = tuple(image for part in parts for image in part.images)
    return collection.Collection(images_of_all, class_ids, sides, tuple(findings))


def _write(read, image_dir, names, output_dir, how):
    located, findings = locate(read.images, names)
    chosen, more = _settle(located)
    own_names = placing.Names(names)
    counts, num_negatives = collections.Counter(), 0
    with console.Progress("images imported", len(chosen)) as progress:
        for name, listed in sorted(chosen.items()):
            target, own = own_names.take(name)
            size = images.read_size(image_dir / name) or (None, None)
            annotation = listed.annotation
            if annotation.width is None or annotation.height is None:
                annotation = dataclasses.replace(annotation, width=size[0], height=size[1])
            placing.place_image(image_dir / name, output_dir / target, how)
            shown = output_dir / target if how != placing.NONE else image_dir / name
            placing.write_annotation(output_dir / f"{own}.xml", shown, annotation)
            counts.update(box.name for box in annotation.boxes)
            num_negatives += not annotation.boxes
            progress.advance()
    _write_label_map(read.class_ids, counts, output_dir)
    sides = {name: read.sides[listed.name] for name, listed in chosen.items() if listed.name in read.sides}
    for side, list_name in LISTS.items():
        listed_names = [name for name in sorted(sides) if sides[name] == side]
        if listed_names and len(set(sides.values())) == 2:
            storage.write_text(output_dir / list_name, "".join(name + "\n" for name in listed_names))
    return ImportResult(
        output_dir=output_dir,
        num_images=len(chosen),
        num_boxes=sum(counts.values()),
        num_negatives=num_negatives,
        counts=dict(sorted(counts.items())),
        unlisted=tuple(name for name in names if name not in chosen),
        has_lists=len(set(sides.values())) == 2,
        findings=(*read.findings, *findings, *more),
    )


def locate(listed, names):
    """Finds the images of a list in a folder.

    Args:
      listed: `ListedImage`s.
      names: relative names of the existing images.

    Returns:
      (list of (name of an existing image, `ListedImage`), findings for missing and ambiguous images).
    """
    exact, loose, bases = set(names), collections.defaultdict(list), collections.defaultdict(list)
    for name in names:
        loose[name.casefold()].append(name)
        bases[posixpath.basename(name).casefold()].append(name)
    located, findings = [], []
    for image in listed:
        wanted = posixpath.normpath(image.name)
        matches = [wanted] if wanted in exact else loose.get(wanted.casefold())
        matches = matches or _longest_tail(wanted, bases.get(posixpath.basename(wanted).casefold(), []))
        if len(matches) == 1:
            located.append((matches[0], image))
        elif matches:
            problem = "the name fits several images: " + ", ".join(matches[:3])
            findings.append(Finding("image-ambiguous", image.name, problem))
        else:
            fix = "copy the image, or give its folder with --image_dir"
            findings.append(Finding("image-missing", image.name, "the image does not exist", fix=fix))
    return located, findings


def _longest_tail(wanted, candidates):
    """The candidates that share the most trailing parts with a path."""

    def shared(candidate):
        pairs = zip(reversed(wanted.casefold().split("/")), reversed(candidate.casefold().split("/")))
        return next((depth for depth, (a, b) in enumerate(pairs) if a != b), 99)

    best = max(map(shared, candidates), default=0)
    return [candidate for candidate in candidates if shared(candidate) == best]


def _settle(located):
    """Keeps one entry per image: equal entries are merged, contradictory ones leave the image out."""
    chosen, findings, bad = {}, [], set()
    for name, image in located:
        other = chosen.setdefault(name, image)
        if other is image:
            continue
        if set(other.annotation.boxes) == set(image.annotation.boxes):
            findings.append(Finding("xml-copy", image.name, f"a second, equal entry for {name}"))
        else:
            fix = "merge the entries, or give the images distinct names"
            problem = f"this entry for {name} contradicts that of {other.name}"
            findings.append(Finding("annotations-conflict", image.name, problem, fix=fix))
            bad.add(name)
    return {name: image for name, image in chosen.items() if name not in bad}, findings


def _write_label_map(class_ids, counts, output_dir):
    """Writes the source's ids of the classes that have boxes; nothing if the source has no ids."""
    items = [label_maps.LabelMapItem(id_, name) for name, id_ in class_ids.items() if counts.get(name)]
    if items:
        items.sort(key=lambda item: item.id)
        label_maps.write_label_map(output_dir / LABEL_MAP, label_maps.LabelMap(tuple(items)))
