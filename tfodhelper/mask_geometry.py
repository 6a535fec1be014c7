"""Masks of detections in numpy: from the frame of their boxes to the image, and as run-length codes.

A detector gives each mask as a small grid that covers the detection's box. In the image, a pixel belongs to the object
if the grid, interpolated linearly between its points, is above a threshold there; outside of the box nothing does.
These are the rules, and the sampling points, of the Object Detection API's `reframe_box_masks_to_image_masks`
(`tf.image.crop_and_resize`): the first and last points of the grid lie on the sides of the box, and so do the first and
last pixels of the image on its sides.

Run-length codes are pycocotools' own: {"size": [height, width], "counts": bytes}.
"""

import functools

import numpy as np

from tfodhelper import image_decoding

THRESHOLD = 0.5


def paste(grid, box, height, width, threshold=THRESHOLD):
    """One mask in its image.

    Args:
      grid: float32 [h, w], 0..1, relative to the box.
      box: ymin, xmin, ymax, xmax, normalized to the image; may reach beyond it.
      height, width: of the image, pixels.
      threshold: see above.

    Returns:
      uint8 [height, width] in the order of columns (Fortran), 0 or 1.
    """
    grid = np.asarray(grid, np.float32)
    image = np.zeros([height, width], np.uint8, order="F")
    ymin, xmin, ymax, xmax = np.asarray(box, np.float32)
    if not (ymax > ymin and xmax > xmin) or grid.size == 0:
        return image
    rows, low_row, high_row, row_share = _sample(ymin, ymax, height, grid.shape[0])
    columns, low_column, high_column, column_share = _sample(xmin, xmax, width, grid.shape[1])
    if not len(rows) or not len(columns):
        return image
    low, high = grid[low_row], grid[high_row]
    top = low[:, low_column] + (low[:, high_column] - low[:, low_column]) * column_share
    bottom = high[:, low_column] + (high[:, high_column] - high[:, low_column]) * column_share
    values = top + (bottom - top) * row_share[:, None]
    image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = values > threshold
    return image


def _sample(low, high, pixels, points):
    """Where the pixels of one axis lie between the points of a grid.

    Args:
      low, high: sides of the box, normalized, float32.
      pixels: of the image along the axis.
      points: of the grid along the axis.

    Returns:
      (pixels that are in the box, contiguous; for each, the points below and above it, and its share of the way).
    """
    first, last = (0.0 - low) / (high - low), (1.0 - low) / (high - low)
    steps = np.float32(points - 1)
    if pixels > 1:
        scale = (last - first) * steps / np.float32(pixels - 1)
        places = first * steps + np.arange(pixels, dtype=np.float32) * scale
    else:
        places = np.full([1], 0.5 * (first + last) * steps, np.float32)
    inside = np.flatnonzero((places >= 0) & (places <= steps))
    places = places[inside]
    below = np.floor(places).astype(np.int64)
    return inside, below, np.ceil(places).astype(np.int64), (places - below).astype(np.float32)


def encode_detections(masks, boxes, height, width, threshold=THRESHOLD):
    """The masks of an image's detections as run-length codes.

    Args:
      masks: [n, h, w]: floats relative to the boxes, see `paste`, or uint8 of the whole image.
      boxes: [n, 4], normalized to the image.
      height, width: of the image, pixels.
      threshold: see above.

    Returns:
      object array [n] of run-length codes.
    """
    codes = np.empty([len(masks)], object)
    masks = np.asarray(masks)
    is_whole = are_whole_images(masks, height, width)
    for index, mask in enumerate(masks):
        codes[index] = encode(mask > 0 if is_whole else paste(mask, boxes[index], height, width, threshold))
    return codes


def are_whole_images(masks, height, width):
    """Whether masks [n, h, w] are as large as their image, and not relative to boxes.

    Whole masks are numbers of bytes in some exports, floats in others; a grid of a detector is never as large as an
    image, unless the image is tiny, and then only whole numbers are whole masks.
    """
    masks = np.asarray(masks)
    if masks.shape[1:] != (height, width):
        return False
    return masks.dtype != np.float32 or not ((masks > 0) & (masks < 1)).any()


def encode(array):
    """The run-length code of pixels: [height, width], 0 is background."""
    return _coco().encode(np.asfortranarray(array, np.uint8))


def decode(code):
    """uint8 [height, width], 0 or 1, of a run-length code."""
    return _coco().decode(code)


def encode_box(box, height, width):
    """The run-length code of a box: ymin, xmin, ymax, xmax in pixels."""
    ymin, xmin, ymax, xmax = (float(side) for side in box)
    sides = np.array([[xmin, ymin, max(xmax - xmin, 0.0), max(ymax - ymin, 0.0)]])
    return _coco().frPyObjects(sides, height, width)[0]


def decode_png(data):
    """The run-length code of a PNG, in which 0 is background; None for no bytes.

    Raises:
      UndecodableImageError: it is not a PNG.
    """
    if not data:
        return None
    image = image_decoding.open_image(data)
    image_decoding.load(image)
    array = np.asarray(image)
    return encode((array if array.ndim == 2 else array.max(axis=2)) > 0)


def areas(codes):
    """float64 [n], pixels of run-length codes."""
    return np.asarray(_coco().area(list(codes)), np.float64) if len(codes) else np.zeros([0])


def overlaps(codes, truth, is_crowd):
    """Intersection over union of run-length codes; with a crowd, over the area of the first.

    Args:
      codes: [D], of detections.
      truth: [N].
      is_crowd: bool [N].

    Returns:
      float64 [D, N].
    """
    if not len(codes) or not len(truth):
        return np.zeros([len(codes), len(truth)])
    return np.asarray(_coco().iou(list(codes), list(truth), np.asarray(is_crowd, np.uint8).tolist()))


@functools.cache
def _coco():
    from pycocotools import mask

    return mask
