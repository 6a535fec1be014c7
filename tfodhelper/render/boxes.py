"""Pictures: boxes with their labels on an image, and found beside known. Needs no TensorFlow.

Lines and letters grow with the picture, and a small image is enlarged first, so that labels can be read on any size.
"""

import functools
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfodhelper.prediction import detections as results

# Colours far from each other and from most photographs; the class id chooses.
_PALETTE = (
    "#00e5ff", "#ff9100", "#76ff03", "#ff4081", "#ffea00", "#7c4dff", "#00e676", "#ff5252", "#40c4ff", "#e040fb",
    "#c6ff00", "#ff6e40", "#18ffff", "#f8bbd0", "#69f0ae", "#ffd740", "#8c9eff", "#ea80fc", "#b9f6ca", "#bcaaa4",
)  # fmt: skip
_LEAST_LONG_SIDE = 480  # pixels; smaller images are enlarged by a whole number
_LEAST_SHORT_SIDE = 96  # pixels, as far as the longer side does not grow beyond the next number
_LARGEST_LONG_SIDE = 2048
_FEW_LABELS = 12
_PANEL_SIDE = 800  # longest side of one half of a side-by-side picture, pixels
_DARK, _LIGHT = (24, 24, 24), (255, 255, 255)
# Fonts for what the built-in one does not have, by the names under which systems install them.
_MORE_FONTS = (
    "DejaVuSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSans-Regular.ttf",
    "Arial Unicode.ttf",
    "arial.ttf",
    "msyh.ttc",
)
_UNASSIGNED = "\U0010ffff"  # no font has it: what is drawn for it is the mark of a missing letter


def color_of(class_id):
    """The colour of a class, (red, green, blue) of 0..255."""
    text = _PALETTE[(int(class_id) - 1) % len(_PALETTE)]
    return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))


def draw_detections(image, found, show_names=True, show_scores=True):
    """Draws boxes with their labels.

    Args:
      image: uint8 [height, width, 3] RGB, the stored frame.
      found: `ImageDetections` of it; the first detections, those of the highest scores, lie on top.
      show_names: whether labels say the class.
      show_scores: whether labels say the score.

    Returns:
      PIL.Image, RGB, of the same size; k times as large where the longer side has less than 480 pixels or the shorter
      one less than 96.
    """
    return _draw(_to_picture(image), 1.0, found.detections, show_names, show_scores)


def side_by_side(image, found, groundtruth, names, show_names=True, show_scores=True):
    """One picture: what was found at the left, what is known at the right.

    Args:
      image: uint8 [height, width, 3] RGB.
      found: dict with "boxes" [n, 4] ymin, xmin, ymax, xmax in pixels of the image, "classes" [n] (ids from 1) and
        "scores" [n].
      groundtruth: dict with "boxes", "classes" and, where they are known, "difficult" and "is_crowd" [n].
      names: {id: name}.
      show_names: whether labels say the class.
      show_scores: whether labels say the score.

    Returns:
      uint8 [rows, columns, 3]; a half has at most 800 pixels at its longer side.
    """
    picture = _to_picture(image)
    scale = min(1.0, _PANEL_SIDE / max(picture.size))
    if scale < 1.0:
        picture = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
    left = results.from_arrays(found["boxes"], found["classes"], names, found["scores"])
    right = _with_flags(results.from_arrays(groundtruth["boxes"], groundtruth["classes"], names), groundtruth)
    panels = [
        _with_title(_draw(picture.copy(), scale, left, show_names, show_scores), f"found: {len(left)}"),
        _with_title(_draw(picture.copy(), scale, right, show_names, show_scores), f"known: {len(right)}"),
    ]
    gap = 8
    width, height = panels[0].size
    whole = Image.new("RGB", (2 * width + gap, height), _LIGHT)
    whole.paste(panels[0], (0, 0))
    whole.paste(panels[1], (width + gap, 0))
    return np.asarray(whole)


def _to_picture(image):
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise ValueError(f"expected uint8 [height, width, 3], received {array.dtype} {list(array.shape)}")
    return Image.fromarray(array)


def _with_flags(known, groundtruth):
    """Adds to the names which objects are difficult, and which boxes stand for a crowd."""
    named = list(known)
    for flag, word in (("difficult", "difficult"), ("is_crowd", "crowd")):
        values = groundtruth.get(flag)
        for index in np.flatnonzero(values if values is not None and np.size(values) == len(named) else []):
            old = named[index]
            named[index] = results.Detection(
                f"{old.name} ({word})", old.id, old.score, old.ymin, old.xmin, old.ymax, old.xmax
            )
    return named


def _with_title(picture, text):
    font = _font(_letter_height(picture.size), text)
    strip = math.ceil(_text_size(font, text)[1] * 1.6)
    whole = Image.new("RGB", (picture.width, picture.height + strip), _LIGHT)
    whole.paste(picture, (0, strip))
    ImageDraw.Draw(whole).text((strip // 4, strip // 2), text, fill=_DARK, font=font, anchor="lm")
    return whole


def _draw(picture, scale, detections, show_names, show_scores):
    """Draws on a picture, enlarged if need be; boxes are multiplied by `scale` and the enlargement."""
    factor = _enlargement(picture.size)
    if factor > 1:
        picture = picture.resize([side * factor for side in picture.size], Image.Resampling.BICUBIC)
    canvas = ImageDraw.Draw(picture)
    line = max(2, round(max(picture.size) / 320))
    frames = [_frame(one, scale * factor, picture.size) for one in detections]
    for one, frame in reversed(list(zip(detections, frames))):
        if frame is not None:
            _draw_frame(canvas, frame, color_of(one.id), line)
    _draw_labels(
        canvas,
        picture.size,
        [
            (_label(one, show_names, show_scores), frame, color_of(one.id))
            for one, frame in zip(detections, frames)
            if frame is not None
        ],
    )
    return picture


def _enlargement(size):
    """The whole number by which a picture of (width, height) is enlarged: 1 for all but small and narrow ones."""
    wanted = max(_LEAST_LONG_SIDE / max(size), _LEAST_SHORT_SIDE / min(size))
    return max(1, min(math.ceil(wanted), _LARGEST_LONG_SIDE // max(size)))


def _frame(one, scale, size):
    """Left, top, right, bottom pixel of a box on the picture, cut at its border; None where nothing is visible."""
    left, top = (max(0, round(side * scale)) for side in (one.xmin, one.ymin))
    right, bottom = (min(limit, round(side * scale)) - 1 for side, limit in zip((one.xmax, one.ymax), size))
    if left > size[0] - 1 or top > size[1] - 1 or right < 0 or bottom < 0 or right < left - 1 or bottom < top - 1:
        return None
    return left, top, max(left, right), max(top, bottom)


def _draw_frame(canvas, frame, color, line):
    """A coloured line between two thin dark ones: seen on bright and on dark ground."""
    left, top, right, bottom = frame
    canvas.rectangle([left - 1, top - 1, right + 1, bottom + 1], outline=_DARK)
    inner = [left + line, top + line, right - line, bottom - line]
    if inner[0] < inner[2] and inner[1] < inner[3]:
        canvas.rectangle(inner, outline=_DARK)
    canvas.rectangle(frame, outline=color, width=line)


def _label(one, show_names, show_scores):
    parts = [one.name] if show_names else []
    if show_scores and one.score is not None:
        parts.append(f"{one.score:.0%}")
    return " ".join(" ".join(parts).split())


def _draw_labels(canvas, size, labels):
    """Writes labels, the first ones first; one that finds no place without hiding another is left out.

    Args:
      canvas: an ImageDraw.
      size: width and height of the picture.
      labels: list of (text, frame, colour).
    """
    letter_height = _letter_height(size, len(labels))
    taken = []
    for text, frame, color in labels:
        font = _font(letter_height, text)
        width, height = _text_size(font, text)
        pad = max(2, height // 5)
        spot = _place((width + 2 * pad, height + pad), frame, size, taken)
        if not text or spot is None:
            continue
        taken.append(spot)
        canvas.rectangle([spot[0], spot[1], spot[2] - 1, spot[3] - 1], fill=color)
        ink = _DARK if _brightness(color) > 110 else _LIGHT
        canvas.text((spot[0] + pad, (spot[1] + spot[3]) / 2), text, fill=ink, font=font, anchor="lm")


def _place(label, frame, size, taken):
    """A rectangle (left, top, right, bottom) for a label of (width, height), inside the picture, or None.

    Tried in turn: above the box, inside at its top, below it, inside at its bottom, each at the left and at the right.
    The first label of a picture always has a place.
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


def _brightness(color):
    """Perceived brightness, 0..255 (ITU-R BT.601)."""
    return 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]


def _letter_height(size, num_labels=0):
    """Font size in pixels for a picture of (width, height); smaller letters where there are many labels."""
    return max(13, round(max(size) / (48 if num_labels <= _FEW_LABELS else 64)))


def _text_size(font, text):
    """Width of the text and height of a line, pixels."""
    ascent, descent = font.getmetrics()
    return math.ceil(font.getlength(text)), ascent + descent


@functools.lru_cache(maxsize=256)
def _font(size, text):
    """The built-in font, or the first installed one that has all letters of the text."""
    built_in = ImageFont.load_default(size)
    if text.isascii() or _has_letters(built_in, text):
        return built_in
    for name in _MORE_FONTS:
        try:
            font = ImageFont.truetype(name, size)
        except OSError:  # not installed here
            continue
        if _has_letters(font, text):
            return font
    return built_in


def _has_letters(font, text):
    missing = bytes(font.getmask(_UNASSIGNED))
    return all(bytes(font.getmask(letter)) != missing for letter in set(text) if not letter.isspace())
