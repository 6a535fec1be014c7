"""The pixels of one object: as polygons, or as COCO's run-length code (RLE); checks, areas, and conversions to arrays.

A polygon is x1, y1, x2, y2, ... in pixels of the image, continuous, as in the annotation; several polygons are united.
Pixels are found with pycocotools' rules, so that masks are those that COCO's own program sees. A run-length code counts
pixels column by column, first those of the background; its text is COCO's compressed form (base 32 with six bits per
character, differences to the run before the last), which is checked here before any other library reads it.
"""

import dataclasses
import functools

import numpy as np

from tfodhelper import image_decoding

_MAX_COORDINATE_PX = 1e7
_MAX_OUTLINE_PX = 1_000_000  # length of an outline in its image; pycocotools takes a hundred bytes for each pixel of it
_MAX_RUNS = 4_000_000  # of a picture of numbers; a thousand objects in each column of a large image
_MIN_POINTS = 3


@dataclasses.dataclass(frozen=True)
class Mask:
    """The mask of one object.

    Attributes:
      polygons: each a tuple x1, y1, x2, y2, ... of float pixels; () if there is a run-length code.
      height, width: of the image that the run-length code covers, pixels; 0 with polygons.
      counts: the run-length code, compressed; "" with polygons.
    """

    polygons: tuple[tuple[float, ...], ...] = ()
    height: int = 0
    width: int = 0
    counts: str = ""

    @property
    def is_polygons(self) -> bool:
        """Whether it consists of polygons."""
        return bool(self.polygons)

    def to_array(self, height: int | None = None, width: int | None = None) -> np.ndarray:
        """The pixels: uint8 [height, width], 0 or 1.

        Args:
          height, width: of the image, pixels; may be left out if there is a run-length code.

        Raises:
          ValueError: polygons without a size, or a run-length code of a different size.
        """
        if self.polygons and (height is None or width is None):
            raise ValueError("polygons need the height and width of their image")
        return to_array(self, height or self.height, width or self.width)


def pack(mask):
    """A `Mask` as nested plain values: polygons, or (height, width, counts)."""
    return mask.polygons if mask.polygons else (mask.height, mask.width, mask.counts)


def unpack(values):
    """The inverse of `pack`; also takes a `Mask` or None, which it returns."""
    if values is None or isinstance(values, Mask):
        return values
    if isinstance(values[-1], str):
        return Mask((), *values)
    return Mask(tuple([tuple(polygon) for polygon in values]))


def make_from_polygons(polygons):
    """A `Mask` of polygons.

    Args:
      polygons: sequences x1, y1, x2, y2, ...

    Raises:
      ValueError: with the reason in words.
    """
    made = []
    for polygon in polygons:
        values = [] if isinstance(polygon, str) else list(polygon)
        if len(values) < 2 * _MIN_POINTS or len(values) % 2:
            raise ValueError(f"a polygon has {len(values)} numbers; expected x and y of at least {_MIN_POINTS} points")
        if not all(is_coordinate(value) for value in values):
            raise ValueError("a coordinate of a polygon is not a number of pixels")
        made.append(tuple([float(value) for value in values]))
    if not made:
        raise ValueError("there is no polygon")
    return Mask(tuple(made))


def make_from_counts(height, width, counts):
    """A `Mask` of a run-length code.

    Args:
      height, width: of the image, pixels.
      counts: compressed (str), or a list of the lengths of runs.

    Raises:
      ValueError: with the reason in words.
    """
    if not all(isinstance(side, int) and not isinstance(side, bool) and 0 < side < 1 << 20 for side in (height, width)):
        raise ValueError(f"the size of the run-length code is {height!r} x {width!r}; expected height and width")
    _check_size(height, width)
    if isinstance(counts, str):
        runs = decode_counts(counts)
        text = counts
    elif isinstance(counts, list) and all(isinstance(run, int) and not isinstance(run, bool) for run in counts):
        runs, text = counts, None
    else:
        raise ValueError("counts of the run-length code are neither a text nor a list of integers")
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError(f"the run-length code has {sum(runs)} pixels; expected {height} x {width} = {height * width}")
    return Mask((), height, width, encode_counts(runs) if text is None else text)


def make_from_array(array):
    """A `Mask` of pixels: [height, width], 0 is background."""
    rle = _coco().encode(np.asfortranarray(np.asarray(array) != 0, np.uint8))
    return Mask((), *map(int, rle["size"]), rle["counts"].decode("ascii"))


def make_from_part(part, top, left, height, width):
    """A `Mask` of pixels that are a part of an image; what is outside of the image is left out.

    Args:
      part: [h, w], 0 is background.
      top, left: where its first pixel is in the image; may be negative.
      height, width: of the image, pixels.

    Raises:
      ValueError: the image has more pixels than any that is read.
    """
    _check_size(height, width)
    part = np.asarray(part)
    top, left = max(min(top, height), -part.shape[0]), max(min(left, width), -part.shape[1])
    rows = slice(max(-top, 0), max(height - top, 0))
    columns = slice(max(-left, 0), max(width - left, 0))
    x, y = np.nonzero(part[rows, columns].T)  # column by column
    pixels = (x + max(left, 0)) * height + y + max(top, 0)
    breaks = np.flatnonzero(np.diff(pixels) > 1) + 1
    starts = pixels[np.concatenate([[0], breaks])] if len(pixels) else pixels
    lengths = np.diff(np.concatenate([[0], breaks, [len(pixels)]])) if len(pixels) else pixels
    return _make_from_spans(starts, lengths, height, width)


def make_from_numbers(numbers, most):
    """A `Mask` for each number above 0 in a picture of numbers, in time that does not depend on how many there are.

    Args:
      numbers: integers [height, width].
      most: different numbers that may be in it.

    Returns:
      {number: `Mask`}, in ascending order.

    Raises:
      ValueError: there are more, or hardly two neighbours are equal.
    """
    height, width = numbers.shape
    flat = numbers.ravel(order="F")
    starts = _find_runs(flat)
    if len(starts) > _MAX_RUNS:
        raise ValueError(f"its number changes at {len(starts):,} places, as in a picture of colours")
    lengths, values = np.diff(np.append(starts, flat.size)), flat[starts]
    order = np.argsort(values, kind="stable")
    starts, lengths, values = starts[order], lengths[order], values[order]
    edges = np.append(_find_runs(values), len(values))
    if len(edges) - 1 > most:
        raise ValueError(f"it has {len(edges) - 1} different numbers, more than an image has objects")
    return {
        int(values[first]): _make_from_spans(starts[first:last], lengths[first:last], height, width)
        for first, last in zip(edges[:-1], edges[1:])
        if values[first] > 0
    }


def _find_runs(flat):
    """Where equal neighbours begin: int64 [n], the first one is 0."""
    return np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])


def _make_from_spans(starts, lengths, height, width):
    """A `Mask` of spans of pixels, column by column, which neither overlap nor touch."""
    ends = starts + lengths
    gaps = starts - np.concatenate([[0], ends[:-1]]) if len(starts) else starts
    runs = np.stack([gaps, lengths], axis=1).ravel().tolist()
    rest = height * width - (int(ends[-1]) if len(ends) else 0)
    return Mask((), height, width, encode_counts(runs + [rest] * (rest > 0)))


def unite(parts, height, width):
    """One `Mask` of several, in an image of a size: polygons if all are polygons, else a run-length code.

    Raises:
      ValueError: see `to_rle`.
    """
    if all(mask.polygons for mask in parts):
        return Mask(tuple([polygon for mask in parts for polygon in mask.polygons]))
    return make_from_rle(_coco().merge([to_rle(mask, height, width) for mask in parts]))


def make_from_rle(rle):
    """A `Mask` of pycocotools' own run-length code, whose counts are bytes."""
    return Mask((), *map(int, rle["size"]), rle["counts"].decode("ascii"))


def make_from_box(box):
    """The rectangle of a `structures.Box` as a `Mask`."""
    xmin, ymin, xmax, ymax = box.xmin, box.ymin, box.xmax, box.ymax
    return Mask(((xmin, ymin, xmax, ymin, xmax, ymax, xmin, ymax),))


def encode_counts(runs):
    """Run lengths as COCO's compressed text."""
    letters = []
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        while True:
            bits, value = value & 0x1F, value >> 5
            is_last = value == (-1 if bits & 0x10 else 0)
            letters.append(chr((bits if is_last else bits | 0x20) + 48))
            if is_last:
                break
    return "".join(letters)


def decode_counts(text):
    """The run lengths of COCO's compressed text.

    Raises:
      ValueError: with the reason in words.
    """
    runs, value, shift = [], 0, 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 35:
            raise ValueError("counts are not a compressed run-length code")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError("the compressed run-length code is cut off")
    return runs


def to_rle(mask, height, width):
    """The mask in an image of a size, as pycocotools' run-length code.

    Args:
      mask: a `Mask`; one with a run-length code must have the size.
      height, width: pixels.

    Returns:
      {"size": [height, width], "counts": bytes}.

    Raises:
      ValueError: the run-length code has another size, or an outline is too long.
    """
    if mask.polygons:
        inside = [_clip(polygon, height, width) for polygon in mask.polygons]
        _check_length(inside)
        codes = _coco().frPyObjects([polygon for polygon in inside if polygon] or [[0.0] * 6], height, width)
        return _coco().merge(codes)
    if (mask.height, mask.width) != (height, width):
        raise ValueError(f"the mask is {mask.width}x{mask.height}, the image {width}x{height}")
    return {"size": [height, width], "counts": mask.counts.encode("ascii")}


def to_array(mask, height, width):
    """The mask in an image of a size: uint8 [height, width], 0 or 1; see `to_rle`."""
    return _coco().decode(to_rle(mask, height, width))


def measure(mask, height, width):
    """(number of pixels, their tight box xmin, ymin, xmax, ymax) of a mask in an image; without pixels (0, None)."""
    rle = to_rle(mask, height, width)
    area = int(_coco().area(rle))
    if not area:
        return 0, None
    xmin, ymin, box_width, box_height = map(float, _coco().toBbox(rle))
    return area, (xmin, ymin, xmin + box_width, ymin + box_height)


def is_coordinate(value):
    """Whether a value of a file is a number of pixels."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _MAX_COORDINATE_PX


def _check_size(height, width):
    if height * width > image_decoding.MAX_PIXELS:
        raise ValueError(f"a mask of {width}x{height} pixels is larger than any image that is read")


def _check_length(polygons):
    length = 0.0
    for polygon in polygons:
        points = np.array(polygon).reshape(-1, 2)
        length += float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum()) if len(points) else 0.0
    if length > _MAX_OUTLINE_PX:
        raise ValueError(f"its outline is {length:,.0f} pixels long; at most {_MAX_OUTLINE_PX:,} are read")


def _clip(polygon, height, width):
    """The part of a polygon inside the image (Sutherland & Hodgman 1974), [] if there is none.

    pycocotools walks along the sides of a polygon pixel by pixel, also outside of the image.
    """
    xs, ys = polygon[0::2], polygon[1::2]
    if min(xs) >= 0 and min(ys) >= 0 and max(xs) <= width and max(ys) <= height:
        return list(polygon)
    points = list(zip(xs, ys))
    for axis, limit, sign in ((0, 0.0, 1.0), (0, float(width), -1.0), (1, 0.0, 1.0), (1, float(height), -1.0)):
        clipped = []
        for i, point in enumerate(points):
            previous = points[i - 1]
            depth, before = ((p[axis] - limit) * sign for p in (point, previous))
            if (depth < 0.0) != (before < 0.0):
                share = before / (before - depth)
                crossing = [a + (b - a) * share for a, b in zip(previous, point)]
                crossing[axis] = limit
                clipped.append(tuple(crossing))
            if depth >= 0.0:
                clipped.append(point)
        points = clipped
    return [value for point in points for value in point] if len(points) >= _MIN_POINTS else []


@functools.cache
def _coco():
    from pycocotools import mask

    return mask
