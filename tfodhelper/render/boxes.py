"""Boxes with labels on pictures: all drawing on images is done here. Needs no TensorFlow.

Lines and letters grow with the picture, but not beyond what small boxes leave visible. `draw_detections` and
`side_by_side` enlarge a small image first, so that labels can be read on any size.
"""

import dataclasses
import math

import numpy as np
from PIL import Image, ImageDraw

from tfodhelper.render import fonts, mask_drawing, palette

_LEAST_LONG_SIDE = 480  # pixels; smaller images are enlarged by a whole number
_LEAST_SHORT_SIDE = 96  # pixels, as far as the longer side does not grow beyond the next number
_LARGEST_LONG_SIDE = 2048
_FEW_LABELS = 12
_PANEL_SIDE = 800  # longest side of one half of a side-by-side picture, pixels
_GAP = 8  # between the halves, pixels
_THIN_LINE = 2  # pixels


@dataclasses.dataclass(frozen=True)
class Mark:
    """A box to draw.

    Attributes:
      xmin, ymin, xmax, ymax: pixels of the image, continuous. They may be inverted, equal, or outside the image.
      color: "#rrggbb".
      text: of the label, or "" for none.
      mask: the object's pixels, [height, width] of the image, 0 is background; or None.
    """

    xmin: float
    ymin: float
    xmax: float
    ymax: float
    color: str = palette.GOOD
    text: str = ""
    mask: object = None


def draw_detections(image, detections, show_names=True, show_scores=True):
    """Draws boxes with their labels, in the colours of their classes.

    Args:
      image: uint8 [height, width, 3] RGB, the stored frame.
      detections: the objects of the image, each with the attributes `name`, `id` (from 1), `score` (or None), `ymin`,
        `xmin`, `ymax` and `xmax` in pixels of the image. The first ones, those of the highest scores, are on top. An
        object may have a `mask`, see `Mark`, which is drawn as a translucent area with an outline.
      show_names: whether labels contain the class.
      show_scores: whether labels contain the score.

    Returns:
      PIL.Image, RGB, of the same size; k times as large where the longer side has less than 480 pixels or the shorter
      one less than 96.
    """
    marks = [
        Mark(
            *(detection.xmin, detection.ymin, detection.xmax, detection.ymax),
            palette.color_of(detection.id),
            _make_label(detection.name if show_names else "", detection.score if show_scores else None),
            getattr(detection, "mask", None),
        )
        for detection in detections
    ]
    return _draw_enlarged(_to_picture(image), marks, 1.0)


def draw_labelled(image, groundtruth, names):
    """Draws labelled objects on an image.

    Args:
      image: uint8 [height, width, 3] RGB.
      groundtruth: as in `side_by_side`.
      names: {id: name}; a class without a name is called "class_<id>".

    Returns:
      PIL.Image, RGB; enlarged as by `draw_detections`.
    """
    return _draw_enlarged(_to_picture(image), _make_marks(groundtruth, names), 1.0)


def side_by_side(image, detected, groundtruth, names, show_names=True, show_scores=True):
    """One picture: detections on the left, ground truth on the right.

    Args:
      image: uint8 [height, width, 3] RGB.
      detected: dict with "boxes" [n, 4] ymin, xmin, ymax, xmax in pixels of the image, "classes" [n] (ids from 1) and
        "scores" [n]; where there are masks, "masks" [n], see `Mark`.
      groundtruth: dict with "boxes", "classes" and, where they are known, "difficult", "is_crowd" and "masks" [n].
      names: {id: name}; a class without a name is called "class_<id>".
      show_names: whether labels contain the class.
      show_scores: whether labels contain the score.

    Returns:
      uint8 [rows, columns, 3]; a half has at most 800 pixels on its longer side.
    """
    picture = _to_picture(image)
    scale = min(1.0, _PANEL_SIDE / max(picture.size))
    if scale < 1.0:
        picture = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
    names = names if show_names else None
    left = _make_marks(detected, names, detected["scores"] if show_scores else None)
    right = _make_marks(groundtruth, names)
    panels = [
        _with_title(_draw_enlarged(picture.copy(), left, scale), f"found: {len(left)}"),
        _with_title(_draw_enlarged(picture.copy(), right, scale), f"known: {len(right)}"),
    ]
    width, height = panels[0].size
    whole = Image.new("RGB", (2 * width + _GAP, height), palette.LIGHT)
    whole.paste(panels[0], (0, 0))
    whole.paste(panels[1], (width + _GAP, 0))
    return np.asarray(whole)


def draw_marks(picture, marks, scale=(1.0, 1.0), margin_px=0):
    """Draws boxes on a picture, in place.

    Args:
      picture: PIL.Image, RGB.
      marks: list of `Mark`s; the first ones are on top, and their labels are placed first. A label that would hide
        another one is left out.
      scale: horizontal and vertical factor from pixels of the marks to pixels of the picture.
      margin_px: how far beyond the border of the picture a side is drawn. With 0, boxes are cut at the border and those
        outside are not drawn; otherwise a box that leaves the picture has no line at the border.
    """
    canvas = ImageDraw.Draw(picture)
    frames = [(mark, _find_frame(mark, scale, picture.size, margin_px)) for mark in marks]
    drawn = [(mark, frame) for mark, frame in frames if frame is not None]
    side = _typical_side([frame for _, frame in drawn])
    line = max(_THIN_LINE, round(min(max(picture.size) / 320, side / 10)))
    for mark, _ in reversed(drawn):
        if mark.mask is not None:
            mask_drawing.draw_mask(picture, mark.mask, mark.color, line)
    for mark, frame in reversed(drawn):
        _draw_frame(canvas, frame, mark.color, line)
    _draw_labels(canvas, picture.size, drawn, side)


def _typical_side(frames):
    """The median of the shorter sides of frames, pixels; infinite without any."""
    sides = [min(right - left, bottom - top) + 1 for left, top, right, bottom in frames]
    return float(np.median(sides)) if sides else math.inf


def _to_picture(image):
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise ValueError(f"expected uint8 [height, width, 3], received {array.dtype} {list(array.shape)}")
    return Image.fromarray(array)


def _make_label(name, score):
    return " ".join([*name.split(), *([] if score is None else [f"{score:.0%}"])])


def _make_marks(objects, names, scores=None):
    """`Mark`s of arrays, see `side_by_side`; labels say which objects are difficult, and which boxes mark a crowd."""
    boxes = np.reshape(np.asarray(objects["boxes"], np.float64), [-1, 4])
    ids = np.rint(np.reshape(objects["classes"], [-1])).astype(int).tolist()
    scores = [None] * len(boxes) if scores is None else np.reshape(scores, [-1]).astype(float).tolist()
    if not len(boxes) == len(ids) == len(scores):
        raise ValueError(f"expected as many classes and scores as boxes: {len(ids)}, {len(scores)}, {len(boxes)}")
    labels = [""] * len(ids) if names is None else [names.get(id_, f"class_{id_}") for id_ in ids]
    for flag, word in (("difficult", "difficult"), ("is_crowd", "crowd")) if names is not None else ():
        values = objects.get(flag)
        for index in np.flatnonzero(values if values is not None and np.size(values) == len(labels) else []):
            labels[index] += f" ({word})"
    masks = objects.get("masks")
    masks = [None] * len(ids) if masks is None else masks
    return [
        Mark(xmin, ymin, xmax, ymax, palette.color_of(id_), _make_label(label, score), mask)
        for (ymin, xmin, ymax, xmax), id_, label, score, mask in zip(boxes.tolist(), ids, labels, scores, masks)
    ]


def _with_title(picture, text):
    font, text = fonts.choose_font(text, _letter_height(picture.size))
    strip = math.ceil(_text_size(font, text)[1] * 1.6)
    whole = Image.new("RGB", (picture.width, picture.height + strip), palette.LIGHT)
    whole.paste(picture, (0, strip))
    ImageDraw.Draw(whole).text((strip // 4, strip // 2), text, fill=palette.DARK, font=font, anchor="lm")
    return whole


def _draw_enlarged(picture, marks, scale):
    """Draws on a picture, enlarged if need be; marks are multiplied by `scale` and the enlargement."""
    factor = _enlargement(picture.size)
    if factor > 1:
        picture = picture.resize([side * factor for side in picture.size], Image.Resampling.BICUBIC)
    draw_marks(picture, marks, (scale * factor, scale * factor))
    return picture


def _enlargement(size):
    """The whole number by which a picture of (width, height) is enlarged: 1 for all but small and narrow ones."""
    wanted = max(_LEAST_LONG_SIDE / max(size), _LEAST_SHORT_SIDE / min(size))
    return max(1, min(math.ceil(wanted), _LARGEST_LONG_SIDE // max(size)))


def _find_frame(mark, scale, size, margin_px):
    """Left, top, right, bottom pixel of a mark on a picture of (width, height); None where nothing is to be drawn."""
    sides = []
    for first, second, factor, length in (
        (mark.xmin, mark.xmax, scale[0], size[0]),
        (mark.ymin, mark.ymax, scale[1], size[1]),
    ):
        if not math.isfinite(first) or not math.isfinite(second):
            return None
        low, high = (
            round(min(max(value * factor, -margin_px), length + margin_px)) for value in sorted((first, second))
        )
        if margin_px == 0 and (low > length - 1 or high < 1):
            return None
        sides.append((low, max(low, high - 1)))
    (left, right), (top, bottom) = sides
    return left, top, right, bottom


def _draw_frame(canvas, frame, color, line):
    """A coloured line with a thin dark one outside, and inside where it is wide: visible on bright and dark ground."""
    left, top, right, bottom = frame
    canvas.rectangle([left - 1, top - 1, right + 1, bottom + 1], outline=palette.DARK)
    inner = [left + line, top + line, right - line, bottom - line]
    if line > _THIN_LINE and inner[0] < inner[2] and inner[1] < inner[3]:
        canvas.rectangle(inner, outline=palette.DARK)
    canvas.rectangle(frame, outline=color, width=line)


def _draw_labels(canvas, size, drawn, side):
    """Writes labels, the first ones first; one that finds no room without hiding another is left out.

    Args:
      canvas: an ImageDraw.
      size: width and height of the picture.
      drawn: list of (`Mark`, frame).
      side: of a typical frame, pixels; letters are not higher.
    """
    letter_height = _letter_height(size, sum(1 for mark, _ in drawn if mark.text), side)
    taken = []
    for mark, frame in drawn:
        if not mark.text:
            continue
        font, text = fonts.choose_font(" ".join(mark.text.split()), letter_height)
        width, height = _text_size(font, text)
        pad = max(2, height // 5)
        spot = _find_spot((width + 2 * pad, height + pad), frame, size, taken)
        if not text or spot is None:
            continue
        taken.append(spot)
        canvas.rectangle([spot[0], spot[1], spot[2] - 1, spot[3] - 1], fill=mark.color)
        ink, middle = palette.ink_on(mark.color), (spot[1] + spot[3]) / 2
        canvas.text((spot[0] + pad, middle), text, fill=ink, font=font, anchor="lm")


def _find_spot(label, frame, size, taken):
    """A rectangle (left, top, right, bottom) for a label of (width, height), inside the picture, or None.

    Tried in turn: above the box, inside at its top, below it, inside at its bottom, each on the left and on the right.
    The first label of a picture always has a spot.
    """
    left, top, right, bottom = frame
    for y in (top - label[1], top, bottom + 1, bottom + 1 - label[1]):
        for x in (left, right + 1 - label[0]):
            x_in = max(0, min(x, size[0] - label[0]))
            y_in = max(0, min(y, size[1] - label[1]))
            spot = (x_in, y_in, x_in + label[0], y_in + label[1])
            if not any(_overlap(spot, other) for other in taken):
                return spot
    return None


def _overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _letter_height(size, num_labels=0, most=math.inf):
    """Font size in pixels for a picture of (width, height); smaller letters where there are many labels."""
    return max(13, round(min(max(size) / (48 if num_labels <= _FEW_LABELS else 64), most)))


def _text_size(font, text):
    """Width of the text and height of a line, pixels."""
    ascent, descent = font.getmetrics()
    return math.ceil(font.getlength(text)), ascent + descent
