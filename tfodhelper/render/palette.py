"""Colours, as "#rrggbb": of classes, the same in boxes on images, in plots and on pages, and of what has a meaning.

The first seven are those of Okabe and Ito, "Color Universal Design" (jfly.uni-koeln.de/color, 2008), without black. The
rest were chosen one after another, each as far as possible from those before it in Oklab as people with and without
colour blindness see them. Not too dark for a photograph and not too pale for white paper.
"""

ORANGE, SKY, GREEN, PURPLE = "#e69f00", "#56b4e9", "#009e73", "#cc79a7"
BLUE, VERMILION, YELLOW = "#0072b2", "#d55e00", "#f0e442"
GREY = "#b8b8b8"
DARK, LIGHT = "#181818", "#ffffff"

CLASS_COLORS = (
    *(ORANGE, SKY, GREEN, PURPLE, BLUE, VERMILION, YELLOW),
    *("#a00064", "#8200fa", "#14fadc", "#645a14", "#8c78fa", "#c828c8", "#8cc878", "#8c6478", "#e6b4b4", "#643caa"),
    *("#c80028", "#aad2fa", "#8c8246"),
)
SERIES = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)  # lines and bars that are not classes
BAD, GOOD, DOUBTFUL = "#ff5c6c", "#00e5ff", "#ffea00"  # boxes on images, where colours do not stand for classes


def color_of(class_id):
    """The colour of a class by its id in the label map, from 1. After 20 classes the colours repeat."""
    return CLASS_COLORS[(int(class_id) - 1) % len(CLASS_COLORS)]


def repeat_of(class_id):
    """How many times all colours are used up before this class: 0 for the first 20 ids, 1 for the next 20."""
    return (int(class_id) - 1) // len(CLASS_COLORS)


def to_rgb(color):
    """Converts "#rrggbb" to (red, green, blue) of 0..255."""
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def ink_on(color):
    """`DARK` or `LIGHT`: whichever has more contrast with that colour."""
    return max((DARK, LIGHT), key=lambda ink: contrast(ink, color))


def contrast(first, second):
    """Contrast ratio of two colours, 1..21 (Web Content Accessibility Guidelines 2.2; text needs 4.5)."""
    low, high = sorted(map(_relative_luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def _relative_luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in to_rgb(color))]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear))
