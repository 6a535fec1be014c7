"""Statistics of a dataset, per side of the split: boxes, sizes, shapes, classes that occur together."""

import collections
import dataclasses
import itertools

import numpy as np

from tfodhelper import console
from tfodhelper.dataset.scan.entry import MEDIUM_AREA_PX, SMALL_AREA_PX

ALL = "all"
TWISTED_RATIO = 4.0  # a box with a ratio above it or below its inverse is "twisted"
CLASS_HEADER = (
    *("split", "class", "images", "boxes", "boxes_per_image", "small", "medium", "large", "twisted"),
    *("median_width_px", "median_height_px", "mean_object_share"),
)
SPLIT_HEADER = ("split", "images", "without_objects", "boxes", "classes", *CLASS_HEADER[4:])


@dataclasses.dataclass(frozen=True)
class Table:
    """All boxes of a set as columns of equal length, and its images.

    Attributes:
      images: list of (name, side, number of boxes).
      image: int [N], the position of the box's image in `images`.
      label: object [N], class names.
      size_px: float [N, 2], width and height in pixels.
      image_px: float [N, 2], width and height of the image.
    """

    images: list
    image: np.ndarray
    label: np.ndarray
    size_px: np.ndarray
    image_px: np.ndarray

    @property
    def fractions(self):
        """[N, 2] width and height as fractions of the image."""
        return self.size_px / self.image_px

    def of_side(self, side):
        """(bool [number of images], bool [N]): the images and boxes of a side; `ALL` for everything."""
        images = np.array([side in (ALL, own) for _, own, _ in self.images], bool)
        return images, images[self.image]


def make_table(planned):
    """The `Table` of a `plan.Plan`; images in no list have the side ""."""
    images, owners, labels, sizes, frames = [], [], [], [], []
    for number, (image, side) in enumerate(zip(planned.examination.images, planned.sides.in_order())):
        annotation = image.annotation
        images.append((image.name, side or "", len(annotation.boxes)))
        for box in annotation.boxes:
            owners.append(number)
            labels.append(box.name)
            sizes.append((box.width, box.height))
            frames.append((annotation.width, annotation.height))
    return Table(
        images,
        np.array(owners, np.int64),
        np.array(labels, object),
        np.array(sizes, np.float64).reshape(-1, 2),
        np.array(frames, np.float64).reshape(-1, 2),
    )


def sides_of(table):
    """`ALL` and the sides that have images, in the order train, validate, test."""
    return [ALL, *sorted({side for _, side, _ in table.images if side}, key=["train", "validate", "test"].index)]


def describe_splits(table):
    """Rows of `SPLIT_HEADER`."""
    rows = []
    for side in sides_of(table):
        images, boxes = table.of_side(side)
        counts = np.array([count for _, _, count in table.images], int)[images]
        head = (side, len(counts), int((counts == 0).sum()), int(boxes.sum()), len(set(table.label[boxes])))
        rows.append((*head, _mean(counts), *_shape_figures(table, boxes)))
    return rows


def describe_classes(table):
    """Rows of `CLASS_HEADER`: for each side, all classes by name."""
    rows = []
    for side in sides_of(table):
        _, of_side = table.of_side(side)
        for name in sorted(set(table.label)):
            boxes = of_side & (table.label == name)
            images = len(np.unique(table.image[boxes]))
            per_image = boxes.sum() / images if images else float("nan")
            rows.append(
                (side, name, images, int(boxes.sum()), round(float(per_image), 2), *_shape_figures(table, boxes))
            )
    return rows


def _shape_figures(table, boxes):
    """small, medium, large, twisted, median width and height, mean object share of the boxes chosen."""
    size = table.size_px[boxes]
    area, ratio = size.prod(1), size[:, 0] / size[:, 1]
    small, large = area < SMALL_AREA_PX, area >= MEDIUM_AREA_PX
    twisted = (ratio > TWISTED_RATIO) | (ratio < 1 / TWISTED_RATIO)
    shares = [_mean(kind, 4) for kind in (small, ~small & ~large, large, twisted)]
    medians = np.median(size, axis=0).round(1).tolist() if len(size) else [float("nan")] * 2
    return (*shares, *medians, _mean(table.fractions[boxes].prod(1), 4))


def _mean(values, digits=2):
    return round(float(np.mean(values)), digits) if len(values) else float("nan")


def count_together(table):
    """(class names, [K, K] number of images with both classes; on the diagonal, of images with the class)."""
    names = sorted(set(table.label))
    index = {name: number for number, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    shown = collections.defaultdict(set)
    for image, label in zip(table.image.tolist(), table.label):
        shown[image].add(index[label])
    for classes in shown.values():
        for a, b in itertools.product(classes, classes):
            counts[a, b] += 1
    return names, counts


def count_classes_per_image(table, side=ALL):
    """{number of distinct classes: number of images}."""
    images, _ = table.of_side(side)
    shown = collections.defaultdict(set)
    for image, label in zip(table.image.tolist(), table.label):
        shown[image].add(label)
    return dict(sorted(collections.Counter(len(shown[n]) for n in np.flatnonzero(images)).items()))


def format_rows(header, rows):
    """A table for the console, with shares in percent and headings without underscores."""
    shares = {"small", "medium", "large", "twisted", "mean_object_share"}
    texts = [[_format(cell, name in shares) for name, cell in zip(header, row)] for row in rows]
    words = [name.replace("_", " ") for name in header]
    numbers = [i for i, name in enumerate(header) if name not in ("split", "class")]
    return console.format_table(words, texts, numbers=numbers)


def _format(cell, is_share):
    if isinstance(cell, float) and cell != cell:
        return "-"
    return f"{cell:.1%}" if is_share else f"{cell:g}" if isinstance(cell, float) else str(cell)
