"""Plots: the one place that knows matplotlib. Fonts, colours, what several plots have in common, and saving.

Nothing is shown on a screen, and no global setting stays changed. Functions that draw are decorated with `@style()`.
"""

import contextlib
import functools
import warnings

import matplotlib
import numpy as np
from matplotlib import colors, font_manager
from matplotlib import style as styles
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tfodhelper import storage
from tfodhelper.render import fonts, palette

_DPI = 110
_PADDING_INCHES = 0.15
_MAX_LETTERS = 28
_HATCHES = ("", "///", "...", "xxx", "ooo")  # on bars of classes whose colours repeat
_LINE_STYLES = ("-", "--", ":", "-.")


@contextlib.contextmanager
def style():
    """The look of all plots while the block runs, or the decorated function; whatever the user has set up."""
    settings = {
        "font.family": _font_families(),
        "axes.prop_cycle": matplotlib.cycler("color", palette.SERIES),
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.alpha": 0.3,
    }
    with styles.context(["default", settings]):
        yield


def _font_families():
    """A letter is drawn in the first of these fonts that has it."""
    return list(filter(None, map(_register_font, fonts.find_fonts()))) or ["DejaVu Sans"]


@functools.cache
def _register_font(path):
    """Tells matplotlib of a font file, under its path as the name of a family; None for a damaged file.

    matplotlib keeps a list of fonts that may be older than the file, and complains of fonts that have no normal weight.
    """
    try:
        font_manager.get_font(path)
    except (OSError, RuntimeError):
        return None
    entry = font_manager.FontEntry(
        fname=str(path), name=str(path), style="normal", variant="normal", weight=400, stretch="normal", size="scalable"
    )
    font_manager.fontManager.ttflist.append(entry)
    return entry.name


def new_figure(width, height):
    """An empty figure of so many inches; a label never overlaps another panel."""
    return Figure(figsize=(width, height), layout="constrained")


@style()
def save(path, figure):
    """Writes a figure as PNG, atomically.

    Letters that no installed font has are shown as empty frames, without a warning for each.

    Returns:
      The path.
    """
    FigureCanvasAgg(figure)
    with warnings.catch_warnings(), storage.open_whole(path, "wb") as file:
        warnings.filterwarnings("ignore", "Glyph .* missing")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support .* natively")
        figure.savefig(file, format="png", dpi=_DPI, bbox_inches="tight", pad_inches=_PADDING_INCHES)
    return path


@style()
def to_pixels(figure):
    """A figure as uint8 [rows, columns, 3], for programs that show images."""
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support .* natively")
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def shorten_name(name):
    """A class name as a plot can show it: short, on one line, and text whatever letters it has."""
    text = "".join(letter if letter.isprintable() else "?" for letter in name)
    text = text if len(text) <= _MAX_LETTERS else text[: _MAX_LETTERS - 1] + "…"
    text = text.replace("$", r"\$")  # would begin a formula
    return "\u200b" + text if text.startswith("_") else text  # would hide the entry of a legend


def class_bar(class_id):
    """How bars of a class look: keyword arguments of `bar`."""
    repeat = palette.repeat_of(class_id)
    hatch = _HATCHES[repeat % len(_HATCHES)]
    return {"color": palette.color_of(class_id), "hatch": hatch, "edgecolor": "white", "linewidth": 0}


def class_line(class_id):
    """How the line of a class looks: keyword arguments of `plot`."""
    line_style = _LINE_STYLES[palette.repeat_of(class_id) % len(_LINE_STYLES)]
    return {"color": palette.color_of(class_id), "linestyle": line_style, **MARKERS}


MARKERS = {"marker": "o", "markeredgecolor": palette.DARK, "markeredgewidth": 0.6}


def draw_table(axes, values, rows, columns, show, colormap="Blues", limits=(0, 1)):
    """Shows a table as coloured cells with a colour bar.

    Args:
      axes: where to draw.
      values: [R, C], NaN where there is none.
      rows: R labels.
      columns: C labels.
      show: function value -> text in the cell, or None for cells without text.
      colormap: a name that matplotlib knows.
      limits: values of the first and the last colour.
    """
    picture = axes.imshow(values, vmin=limits[0], vmax=limits[1], cmap=colormap, aspect="auto")
    axes.set_facecolor("0.9")  # of what has no value
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    for (row, column), value in np.ndenumerate(values) if show else ():
        if value == value:
            color = colors.to_hex(picture.cmap(picture.norm(value)))
            ink = palette.ink_on(color)
            axes.text(column, row, show(value), ha="center", va="center", color=ink, fontsize=8)
    axes.figure.colorbar(picture, ax=axes, shrink=0.8)


def write_totals(axes, totals):
    """Writes the totals on top of bars, and leaves room for them and for a legend."""
    axes.set_ylim(0, max(max(totals), 1) * 1.22)
    for position, total in enumerate(totals):
        axes.annotate(f"{total:,}", (position, total), (0, 3), textcoords="offset points", ha="center", fontsize=9)


def place_legend_beside(axes, reverse=False):
    """A legend to the right of the axes; `reverse` for stacked bars, whose last part is on top."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), fontsize=8, frameon=False, reverse=reverse)


def tick_whole_numbers(axis, max_ticks):
    """Ticks at whole numbers only, also where the axis shows just one of them."""
    axis.set_major_locator(MaxNLocator(nbins=max_ticks, integer=True, min_n_ticks=1))


def format_ticks(axis, form):
    """Labels of ticks by a format such as "{:,.0f}"."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: form.format(value)))
