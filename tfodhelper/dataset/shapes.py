"""Draws a labelled dataset: shapes on textured backgrounds with LabelImg XML, for the demo and for tests.

Every image is determined by the seed and its number, so that a dataset can be drawn in parts or extended. All boxes are
tight: they are computed from the pixels that the shape covers.
"""

import dataclasses
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tfodhelper import storage
from tfodhelper.annotations import labelimg, masks, structures

CLASS_NAMES = ("circle", "square", "star", "triangle")

_OVERSAMPLING = 4
_MIN_VISIBLE_FRACTION = 0.6
_MAX_OVERLAP = 0.05
_MIN_CONTRAST = 70.0


@dataclasses.dataclass(frozen=True)
class Scene:
    """The appearance of a set of images.

    Attributes:
      max_objects: maximum number of shapes in an image; the minimum is 1, except in negatives.
      min_side, max_side: size of a shape as a fraction of the image's shorter side.
      negative_fraction: share of images without shapes.
      sizes: (width, height) in pixels; each image has one of these sizes.
    """

    max_objects: int = 5
    min_side: float = 0.18
    max_side: float = 0.6
    negative_fraction: float = 0.08
    sizes: tuple[tuple[int, int], ...] = ((320, 240), (240, 320), (288, 288), (400, 300))


def draw_dataset(folder, num_images, seed=0, scene=None, first=0, with_masks=False):
    """Writes images, each with its XML file next to it.

    Args:
      folder: created if it does not exist; existing files with the same names are replaced.
      num_images: number of images.
      seed: of the random numbers.
      scene: a `Scene`.
      first: number of the first image.
      with_masks: whether the outlines of the shapes are written as polygons next to the XML.

    Returns:
      Paths of the images, in order.
    """
    folder = storage.make_folder(folder)
    paths = []
    for number in range(first, first + num_images):
        image, boxes = draw_image(seed, number, scene)
        boxes = boxes if with_masks else [dataclasses.replace(box, mask=None) for box in boxes]
        suffix = ".png" if number % 8 == 7 else ".jpg"
        path = folder / f"shapes_{number:05d}{suffix}"
        with storage.open_whole(path, "wb") as file:
            image.save(file, "PNG") if suffix == ".png" else image.save(file, "JPEG", quality=92)
        annotation = structures.Annotation(path.name, image.width, image.height, tuple(boxes))
        labelimg.write_labelimg(path.with_suffix(".xml"), annotation)
        paths.append(path)
    return paths


def draw_image(seed, number, scene=None):
    """Draws one image.

    Args:
      seed: of the set.
      number: of the image.
      scene: a `Scene`.

    Returns:
      (an RGB image; its `Box`es in whole pixels, with left and top edges of at least 1, as LabelImg writes them, and
      polygons as masks).
    """
    scene = scene or Scene()
    rng = np.random.default_rng([seed, number])
    width, height = scene.sizes[rng.integers(len(scene.sizes))]
    pixels = draw_background(rng, width, height)
    boxes = []
    if rng.random() >= scene.negative_fraction:
        for _ in range(rng.integers(1, scene.max_objects + 1)):
            box = _place_shape(rng, pixels, boxes, scene)
            boxes += [box] if box else []
    pixels += rng.normal(0.0, rng.uniform(1.0, 6.0), pixels.shape[:2])[..., None]
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8)), boxes


def draw_background(rng, width, height):
    """A textured background: two colours mixed by clouds, stripes, spots or a slope, and a few thin lines.

    Args:
      rng: a numpy Generator.
      width, height: pixels.

    Returns:
      float64 [height, width, 3], 0..255.
    """
    texture = (_clouds, _stripes, _spots, _slope)[rng.integers(4)](rng, width, height)
    first, second = rng.uniform(30, 225, 3), rng.uniform(-60, 60, 3)
    pixels = first + second * texture[..., None] + 14.0 * (_clouds(rng, width, height) - 0.5)[..., None]
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 4)):
        ends = [tuple(rng.uniform(0, 1, 2) * (width, height)) for _ in range(2)]
        draw.line(ends, fill=_colour(rng.uniform(0, 255, 3)), width=int(rng.integers(1, 3)))
    return np.asarray(image, dtype=np.float64).copy()


def _clouds(rng, width, height):
    """Value noise of several octaves, 0..1."""
    total, weight = np.zeros((height, width)), 0.0
    for octave in range(2, 6):
        cells = 2**octave
        grid = Image.fromarray(rng.random((cells, cells)).astype(np.float32))
        total += np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC)) / cells
        weight += 1.0 / cells
    return np.clip(total / weight, 0.0, 1.0)


def _stripes(rng, width, height):
    """Soft stripes in any direction."""
    angle, period = rng.uniform(0, math.pi), rng.uniform(8, 40)
    y, x = np.mgrid[0:height, 0:width]
    return 0.5 + 0.5 * np.sin(2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / period)


def _spots(rng, width, height):
    """A regular grid of soft spots."""
    period, shift = rng.uniform(10, 36), rng.uniform(0, 2 * math.pi, 2)
    y, x = np.mgrid[0:height, 0:width] * (2 * math.pi / period)
    return np.clip(np.sin(x + shift[0]) * np.sin(y + shift[1]), 0.0, 1.0)


def _slope(rng, width, height):
    """From dark to light across the image."""
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[0:height, 0:width]
    value = x / width * math.cos(angle) + y / height * math.sin(angle)
    return (value - value.min()) / (value.max() - value.min())


def _place_shape(rng, pixels, boxes, scene):
    """Paints one shape into `pixels` without overlapping others; returns its box, or None if there is no space."""
    height, width = pixels.shape[:2]
    for _ in range(20):
        name = CLASS_NAMES[rng.integers(len(CLASS_NAMES))]
        # Log-uniform: as many shapes between 40 and 60 pixels as between 60 and 90.
        side = min(width, height) * math.exp(rng.uniform(math.log(scene.min_side), math.log(scene.max_side)))
        centre = rng.uniform(0.0, 1.0, 2) * (width, height)
        corners = centre + 0.5 * side * outline(name, rng.uniform(-math.pi, math.pi))
        low, high = corners.min(axis=0), corners.max(axis=0)
        inside = np.prod(np.minimum(high, (width, height)) - np.maximum(low, 0)) / np.prod(high - low)
        if inside < _MIN_VISIBLE_FRACTION or any(_overlap((*low, *high), box) > _MAX_OVERLAP for box in boxes):
            continue
        window = _window(low, high, width, height)
        cover = _cover(corners, window)
        box = _tight_box(name, cover, window, truncated=bool(inside < 1.0))
        if box is not None:
            _paint(rng, pixels[window[1] : window[3], window[0] : window[2]], cover)
            polygon = np.round(corners, 2).ravel().tolist()
            return dataclasses.replace(box, mask=masks.make_from_polygons([polygon]))
    return None


def outline(name, angle):
    """The corners of a shape inscribed in a circle of radius 1.

    Args:
      name: one of `CLASS_NAMES`.
      angle: -pi to pi; rotates a circle and a star through all their positions, but a square by at most 22.5 degrees
        and a triangle by at most 30 degrees to either side, so that people can tell the classes apart.

    Returns:
      float64 [corners, 2], x and y.
    """
    count, radii, turn = {
        "circle": (48, (1.0,), angle),
        "square": (4, (1.0,), math.pi / 4 + angle / 8),
        "star": (10, (1.0, 0.42), -math.pi / 2 + angle / 5),
        "triangle": (3, (1.0,), -math.pi / 2 + angle / 6),
    }[name]
    steps = np.arange(count)
    radius = np.resize(np.asarray(radii), count)
    directions = turn + 2 * math.pi * steps / count
    return np.stack([radius * np.cos(directions), radius * np.sin(directions)], axis=1)


def _overlap(corners, box):
    """Intersection over the smaller area of (xmin, ymin, xmax, ymax) and a `Box`."""
    width = min(corners[2], box.xmax) - max(corners[0], box.xmin)
    height = min(corners[3], box.ymax) - max(corners[1], box.ymin)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / min((corners[2] - corners[0]) * (corners[3] - corners[1]), box.area)


def _window(low, high, width, height):
    """The whole pixels (left, top, right, bottom) of the image that a shape may touch."""
    left, top = np.maximum(np.floor(low).astype(int), 0)
    right, bottom = np.minimum(np.ceil(high).astype(int), (width, height))
    return int(left), int(top), int(right), int(bottom)


def _cover(corners, window):
    """How much of each pixel of a window a polygon covers: float64 [height, width], 0..1."""
    size = (window[2] - window[0], window[3] - window[1])
    image = Image.new("L", (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING), 0)
    local = (corners - window[:2]) * _OVERSAMPLING
    ImageDraw.Draw(image).polygon([tuple(corner) for corner in local], fill=255)
    return np.asarray(image.resize(size, Image.Resampling.BOX), dtype=np.float64) / 255.0


def _tight_box(name, cover, window, truncated):
    """The box around the pixels that are at least half covered; None if there are none."""
    rows, columns = np.flatnonzero((cover >= 0.5).any(axis=1)), np.flatnonzero((cover >= 0.5).any(axis=0))
    if not len(rows):
        return None
    left, right = window[0] + int(columns[0]), window[0] + int(columns[-1]) + 1
    top, bottom = window[1] + int(rows[0]), window[1] + int(rows[-1]) + 1
    return structures.Box(name, max(left, 1), max(top, 1), right, bottom, truncated=truncated)


def _paint(rng, pixels, cover):
    """Fills the covered pixels, in place, with a colour that contrasts with the background, and a darker rim."""
    under = np.average(pixels.reshape(-1, 3), axis=0, weights=cover.ravel())
    colour = rng.uniform(0, 255, 3)
    while np.linalg.norm(colour - under) < _MIN_CONTRAST:
        colour = rng.uniform(0, 255, 3)
    shrunk = Image.fromarray((cover * 255).astype(np.uint8)).filter(ImageFilter.MinFilter(5))
    rim = cover - np.minimum(np.asarray(shrunk, dtype=np.float64) / 255.0, cover)
    shade = 1.0 - rng.uniform(0.0, 0.5) * rim[..., None]
    pixels[:] = pixels * (1.0 - cover[..., None]) + cover[..., None] * (colour * shade)


def _colour(values):
    return tuple(int(value) for value in values)
