"""Annotations of other formats to LabelImg XML beside links or copies of their images: what `import` does.

Names in the lists lead only to images that lie in the image folder: a name such as ../../x.jpg is looked up by its last
part there, and nothing is read or written elsewhere.
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
class Imported:
    """What an import made.

    Attributes:
      output_dir: the folder.
      num_images, num_boxes, num_negatives: of what was written.
      counts: {class name: number of boxes}.
      unlisted: names of images that the lists do not name; they are not taken over.
      has_lists: whether the lists train.txt and validate.txt were written.
      findings: what could not be taken over as it stood.
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
      paths: JSON or CSV files; for YOLO one: the data.yaml or the folder of the set.
      output_dir: an empty or new folder.
      val_paths: further files, those of the validation; those in `paths` are then of the training.
      image_dir: searched for the images, with its folders; by default the folder of the first path.
      classes: file with the class names of a YOLO set, or None to look for it.
      how: `placing.LINK`, COPY or NONE.

    Returns:
      An `Imported`.

    Raises:
      AnnotationError, DatasetError: an input that cannot be used; StorageError.
    """
    paths, val_paths = [pathlib.Path(path) for path in paths], [pathlib.Path(path) for path in val_paths]
    for path in (*paths, *val_paths):
        if not path.exists():
            raise errors.DatasetError(f"{path}: does not exist", fix="check --input and --val_input")
    if format_ == YOLO and (len(paths) > 1 or val_paths):
        raise errors.UsageError("a YOLO set is one data.yaml or one folder", received=f"{len(paths + val_paths)} paths")
    path = paths[0]
    image_dir = pathlib.Path(image_dir) if image_dir else path if path.is_dir() else path.parent
    if not image_dir.is_dir():
        raise errors.DatasetError(f"{image_dir}: is no folder", expected="the folder of the images")
    files, unwritable = discover.split_names(discover.list_files(image_dir))
    names = [name for name in files if os.path.splitext(name)[1].lower() in images.EXTENSIONS]
    if not names:
        raise errors.DatasetError(f"{image_dir}: no image in it or its folders", fix="name it with --image_dir")
    if format_ == YOLO:
        read = yolo_folder.read_folder(path, image_dir, names, classes)
    else:
        reader = {COCO: coco.read_coco, CSV: box_table.read_table}[format_]
        read = _merge([reader(path) for path in paths], [reader(path) for path in val_paths])
    more = tuple(Finding("name-not-utf8", name, "the file's name is no UTF-8 text") for name in unwritable)
    read = dataclasses.replace(read, findings=read.findings + more)
    output_dir = placing.make_new_folder(output_dir, image_dir)
    return _write(read, image_dir, names, output_dir, how)


def _merge(train, validate):
    """One `Collection` of several; names keep the side of their file where there are both sides."""
    parts = [*train, *validate]
    class_ids, findings, sides = {}, [], {}
    for part in parts:
        findings += part.findings
        for name, id_ in part.class_ids.items():
            if class_ids.setdefault(name, id_) != id_:
                what = f"the files number it {class_ids[name]} and {id_}; no label map is written"
                findings.append(Finding("class-merged", name, what))
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
    return Imported(
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
      names: relative names of the images that are there.

    Returns:
      (list of (name of an image that is there, `ListedImage`), findings for those that are not or are ambiguous).
    """
    exact, loose, bases = set(names), collections.defaultdict(list), collections.defaultdict(list)
    for name in names:
        loose[name.casefold()].append(name)
        bases[posixpath.basename(name).casefold()].append(name)
    located, findings = [], []
    for image in listed:
        wanted = posixpath.normpath(image.name)
        found = [wanted] if wanted in exact else loose.get(wanted.casefold())
        found = found or _longest_tail(wanted, bases.get(posixpath.basename(wanted).casefold(), []))
        if len(found) == 1:
            located.append((found[0], image))
        elif found:
            what = "several images may be meant: " + ", ".join(found[:3])
            findings.append(Finding("image-ambiguous", image.name, what))
        else:
            fix = "copy the image, or name its folder with --image_dir"
            findings.append(Finding("image-missing", image.name, "the image is not there", fix=fix))
    return located, findings


def _longest_tail(wanted, candidates):
    """Those candidates that agree with most of the last parts of a path."""

    def shared(candidate):
        pairs = zip(reversed(wanted.casefold().split("/")), reversed(candidate.casefold().split("/")))
        return next((depth for depth, (a, b) in enumerate(pairs) if a != b), 99)

    best = max(map(shared, candidates), default=0)
    return [candidate for candidate in candidates if shared(candidate) == best]


def _settle(located):
    """One entry an image: equal ones are merged, contradictions leave the image out."""
    chosen, findings, bad = {}, [], set()
    for name, image in located:
        other = chosen.setdefault(name, image)
        if other is image:
            continue
        if set(other.annotation.boxes) == set(image.annotation.boxes):
            findings.append(Finding("xml-copy", image.name, f"a second entry says the same about {name}"))
        else:
            fix = "merge the entries, or give the images names of their own"
            what = f"this entry says something else about {name} than {other.name}"
            findings.append(Finding("annotations-conflict", image.name, what, fix=fix))
            bad.add(name)
    return {name: image for name, image in chosen.items() if name not in bad}, findings


def _write_label_map(class_ids, counts, output_dir):
    """Keeps the ids of the source, for the classes that have boxes; writes nothing where the source has no ids."""
    items = [label_maps.LabelMapItem(id_, name) for name, id_ in class_ids.items() if counts.get(name)]
    if items:
        items.sort(key=lambda item: item.id)
        label_maps.write_label_map(output_dir / LABEL_MAP, label_maps.LabelMap(tuple(items)))
