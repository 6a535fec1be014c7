"""Values as colours: heat over a photograph, and the channels of a layer side by side."""

import math

import numpy as np
from PIL import Image, ImageDraw

from tfodhelper.render import fonts, palette

# From dark to bright, so that the order of the values can also be seen without colours.
_STOPS = np.array([[0, 0, 20], [70, 15, 110], [170, 40, 100], [235, 105, 40], [250, 190, 60], [255, 255, 200]])
_MOST_OPAQUE = 0.75
_TILE_PX = 160
_GAP = 6
_LETTERS_PX = 13
_COLUMNS = 4


def color_values(values):
    """float [...] of 0..1 -> uint8 [..., 3], dark to bright; NaN is taken for 0."""
    position = np.clip(np.nan_to_num(np.asarray(values, np.float64)), 0.0, 1.0) * (len(_STOPS) - 1)
    low = np.minimum(position.astype(int), len(_STOPS) - 2)
    share = (position - low)[..., None]
    return np.rint(_STOPS[low] * (1 - share) + _STOPS[low + 1] * share).astype(np.uint8)


def overlay(image, values):
    """Lays heat over a photograph, which stays visible where it is cold.

    Args:
      image: uint8 [height, width, 3].
      values: float [height, width], 0..1.

    Returns:
      uint8 [height, width, 3].
    """
    values = np.clip(np.nan_to_num(values), 0.0, 1.0)
    grey = np.repeat(np.asarray(image, np.float64).mean(axis=-1, keepdims=True), 3, axis=-1)
    opacity = (_MOST_OPAQUE * np.sqrt(values))[..., None]
    return np.rint(grey * (1 - opacity) + color_values(values) * opacity).astype(np.uint8)


def tile_channels(maps, channels):
    """The channels of a layer side by side, each from its own smallest to its own largest value.

    Args:
      maps: float [h, w, c].
      channels: numbers of the channels to show.

    Returns:
      PIL.Image, RGB.
    """
    height, width = maps.shape[:2]
    factor = _TILE_PX / max(height, width)
    tile = (max(1, round(width * factor)), max(1, round(height * factor)))
    strip = _LETTERS_PX + _GAP
    columns = min(_COLUMNS, max(1, len(channels)))
    rows = math.ceil(len(channels) / columns)
    size = (columns * (tile[0] + _GAP) + _GAP, rows * (tile[1] + strip + _GAP) + _GAP)
    whole = Image.new("RGB", size, palette.LIGHT)
    canvas = ImageDraw.Draw(whole)
    for number, channel in enumerate(channels):
        left = _GAP + number % columns * (tile[0] + _GAP)
        top = _GAP + number // columns * (tile[1] + strip + _GAP)
        picture = Image.fromarray(color_values(_stretch(maps[..., channel])))
        whole.paste(picture.resize(tile, Image.Resampling.NEAREST), (left, top + strip))
        text = f"{channel}: {maps[..., channel].min():.3g} to {maps[..., channel].max():.3g}"
        font, text = fonts.choose_font(text, _LETTERS_PX)
        canvas.text((left, top), text, fill=palette.DARK, font=font)
    return whole


def _stretch(values):
    low, high = float(np.min(values)), float(np.max(values))
    return (values - low) / (high - low) if high > low else np.zeros_like(values)
