"""The rounds of a workspace as pictures: the set's growth, precision, answers, shares of classes, time."""

import numpy as np
from matplotlib import colormaps, font_manager, rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tfodhelper.active_learning.report import round_facts
from tfodhelper.active_learning.structures import ADOPTED, NAME_OF_VERDICT, REFUSED, WAITING

NAMES = ("growth", "precision", "classes", "shares", "answers", "time")
# For class names with letters that the usual font lacks, by the names under which systems install them.
_MORE_FONTS = (
    *("Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei"),
    *("Arial Unicode MS", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans", "Malgun Gothic"),
)
_MOST_CLASSES = 20  # with a colour or a line of their own; the tables have all
_FEW_CLASSES = 8  # as lines; more of them are shown as a table of colours
_MOST_LETTERS = 22
_OTHERS = "others"
_THOUSANDS = FuncFormatter(lambda value, _: f"{value:,.0f}")
_GREY, _START = "#b8b8b8", "#4a6fa5"
_VERDICT_COLORS = {ADOPTED: "#4c9f70", REFUSED: "#c8553d", WAITING: "#e0b43c"}
_EDIT_COLORS = {
    "kept": "#4c9f70",
    "moved": "#e0b43c",
    "relabelled": "#8a6fb0",
    "added": "#4a6fa5",
    "deleted": "#c8553d",
}
_PHASE_COLORS = dict(zip(round_facts.PHASES, (*(colormaps["tab10"](i) for i in (9, 0, 4, 6, 1, 2, 3, 8)), _GREY)))


def make_figures(rounds, names):
    """Draws growth, precision, classes, shares, answers and time, as far as there is anything to show.

    Args:
      rounds: list of `round_facts.RoundFacts`.
      names: `round_facts.ClassNames`.

    Returns:
      {one of `NAMES`: matplotlib Figure}.
    """
    makers = (_plot_growth, _plot_precision, _plot_classes, _plot_shares, _plot_answers, _plot_time)
    installed = set(font_manager.get_font_names())
    fonts = ["DejaVu Sans", *(name for name in _MORE_FONTS if name in installed)]
    with rc_context({"font.family": fonts}):
        figures = {name: make(rounds, names) for name, make in zip(NAMES, makers)}
    return {name: figure for name, figure in figures.items() if figure is not None}


def _plot_growth(rounds, names):
    stages = round_facts.stages(rounds)
    if not stages:
        return None
    figure = Figure(figsize=(13, 5.2), layout="constrained")
    images, boxes = figure.subplots(1, 2, width_ratios=[2, 3])
    labels = [stage.label.removeprefix("round ") for stage in stages]
    totals = np.array([stage.counts.images for stage in stages])
    width = _bar_width(stages)
    images.bar(labels, np.full(len(totals), totals[0]), width, color=_GREY, label="labelled at the start")
    images.bar(labels, totals - totals[0], width, bottom=totals[0], color=_VERDICT_COLORS[ADOPTED], label="adopted")
    images.set(title="images in the training set", xlabel="round", ylabel="images")
    _write_totals(images, totals)
    parts = _by_class([stage.counts.boxes_of_class for stage in stages], names)
    base = np.zeros(len(stages))
    for (name, counts), color in zip(parts.items(), _class_colors(list(parts), names)):
        boxes.bar(labels, counts, width, bottom=base, color=color, label=_cut(name))
        base += counts
    boxes.set(title="boxes in the training set, by class", xlabel="round", ylabel="boxes")
    _write_totals(boxes, base.astype(int))
    images.legend(loc="upper left", fontsize=9)
    _legend_beside(boxes, reverse=True)
    for axes in (images, boxes):
        axes.grid(axis="y", alpha=0.3)
        axes.set_axisbelow(True)
        axes.yaxis.set_major_formatter(_THOUSANDS)
    return figure


def _bar_width(places):
    """Slim bars where there are few."""
    return min(0.8, 0.2 + 0.12 * len(places))


def _write_totals(axes, totals):
    """Writes the totals on top of bars, and leaves room for them and for a legend."""
    axes.set_ylim(0, max(totals.max(), 1) * 1.22)
    for place, total in enumerate(totals.tolist()):
        axes.annotate(f"{total:,}", (place, total), (0, 3), textcoords="offset points", ha="center", fontsize=9)


def _by_class(counts, names):
    """{class: array over the stages}, the largest first at the end; rare ones of many are put together."""
    rows = {name: np.array([count[name] for count in counts]) for name in names.shown}
    order = sorted(rows, key=lambda name: (-rows[name][-1], names.ids[name]))
    kept = order if len(order) <= _MOST_CLASSES else order[: _MOST_CLASSES - 1]
    found = {name: rows[name] for name in kept}
    if len(kept) < len(order):
        found[_OTHERS] = sum(rows[name] for name in order[len(kept) :])
    return found


def _class_colors(labels, names):
    """A colour for each class, the same one in every plot as long as the colours last; grey for the rest."""
    colors = [colormaps["tab20"](i) for i in (*range(0, 20, 2), *range(1, 20, 2))]
    order = names.shown if len(names.shown) <= _MOST_CLASSES else labels
    color_of = dict(zip(order, colors)) | {_OTHERS: _GREY}
    return [color_of[label] for label in labels]


def _plot_precision(rounds, names):
    measured = [one for one in rounds if one.map50 is not None and one.train is not None]
    if not measured:
        return None
    figure = Figure(figsize=(13, 4.4), layout="constrained")
    by_round, by_images, by_boxes = figure.subplots(1, 3, sharey=True)
    places = (
        (by_round, [one.number for one in measured], "round"),
        (by_images, [one.train.images for one in measured], "images in the training set"),
        (by_boxes, [one.train.boxes for one in measured], "boxes in the training set"),
    )
    values = {
        "mAP at IoU 0.5": [one.map50 for one in measured],
        "mAP at IoU 0.5:0.95": [one.map5095 for one in measured],
    }
    for axes, x, label in places:
        for (name, y), color in zip(values.items(), (_START, _GREY)):
            y = [float("nan") if value is None else value for value in y]
            axes.plot(x, y, marker="o", color=color, label=name)
            if color == _START:
                for point in zip(x, y) if axes is by_round else [(x[0], y[0]), (x[-1], y[-1])]:
                    axes.annotate(f"{point[1]:.3f}", point, (0, 7), textcoords="offset points", ha="center", fontsize=8)
        axes.set(xlabel=label, ylim=(0, 1))
        axes.margins(x=0.1)
        axes.grid(alpha=0.3)
        _tick_whole_numbers(axes, 10 if axes is by_round else 6)
        axes.xaxis.set_major_formatter(_THOUSANDS)
    by_round.set_ylabel("precision on the validation set")
    by_round.legend(loc="upper left", fontsize=9)
    return figure


def _tick_whole_numbers(axes, most):
    """Ticks at whole numbers alone, also where the axis shows but one of them."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=most, integer=True, min_n_ticks=1))


def _plot_classes(rounds, names):
    measured = [one for one in rounds if any(value is not None for value in one.ap50.values())]
    if not measured:
        return None
    values = np.array([[_nan(one.ap50[name]) for one in measured] for name in names.shown])
    if len(names.shown) <= _FEW_CLASSES:
        return _plot_class_lines([one.number for one in measured], names, values)
    return _plot_class_table([one.number for one in measured], names.shown, values)


def _plot_class_lines(numbers, names, values):
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    axes = figure.subplots()
    for label, row, color in zip(names.shown, values, _class_colors(names.shown, names)):
        axes.plot(numbers, row, marker="o", color=color, label=_cut(label))
    axes.set(title="average precision at IoU 0.5, by class", xlabel="round", ylim=(0, 1.02))
    _tick_whole_numbers(axes, 10)
    axes.grid(alpha=0.3)
    _legend_beside(axes)
    return figure


def _plot_class_table(numbers, labels, values):
    """Classes by rounds; the classes that are worst in the end come first, and only those of very many."""
    order = np.argsort(np.nan_to_num(values[:, -1], nan=2.0), kind="stable")[: 2 * _MOST_CLASSES]
    values, labels = values[order], [_cut(labels[i]) for i in order]
    figure = Figure(figsize=(3.2 + 0.75 * len(numbers), 1.4 + 0.3 * len(labels)), layout="constrained")
    axes = figure.subplots()
    picture = axes.imshow(values, vmin=0, vmax=1, cmap="RdYlGn", aspect="auto")
    axes.set_xticks(range(len(numbers)), numbers)
    axes.set_yticks(range(len(labels)), labels)
    for (row, column), value in np.ndenumerate(values):
        if value == value:
            ink = "black" if 0.15 < value < 0.85 else "white"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=8)
    axes.set(title="average precision at IoU 0.5, the worst first", xlabel="round")
    figure.colorbar(picture, ax=axes, shrink=0.8)
    return figure


def _plot_shares(rounds, names):
    stages = round_facts.stages(rounds)
    if len(stages) < 2 or not stages[0].counts.images:
        return None
    first, last = stages[0].counts, stages[-1].counts
    order = sorted(names.shown, key=lambda name: -first.share(name))[-2 * _MOST_CLASSES :]
    before, after = (np.array([100 * counts.share(name) for name in order]) for counts in (first, last))
    figure = Figure(figsize=(11, 1.6 + 0.3 * len(order)), layout="constrained")
    axes = figure.subplots()
    rows = np.arange(len(order))
    axes.hlines(rows, before, after, color=_GREY, linewidth=2, zorder=1)
    axes.scatter(before, rows, s=45, color=_GREY, label=f"{stages[0].label}: {first.images:,} images", zorder=2)
    colors = [_VERDICT_COLORS[ADOPTED] if b >= a else _VERDICT_COLORS[REFUSED] for a, b in zip(before, after)]
    axes.scatter(after, rows, s=45, color=colors, label=f"{_words(stages[-1])}: {last.images:,} images", zorder=3)
    for row, a, b in zip(rows, before, after):
        place, side = ((8, 0), "left") if b >= a else ((-8, 0), "right")
        axes.annotate(f"{b:.1f}", (b, row), place, textcoords="offset points", va="center", ha=side, fontsize=8)
    axes.set_yticks(rows, [_cut(name) for name in order])
    title = "share of the set's images that show a class (green: more than at the start, red: less)"
    axes.set(title=title, xlabel="per cent of the images", xlim=_share_limits(before, after))
    axes.title.set_fontsize(10)
    axes.set_ylim(-0.7, len(order) - 0.3)
    _legend_beside(axes)
    axes.grid(axis="x", alpha=0.3)
    return figure


def _share_limits(before, after):
    """Room for the figures beside the points."""
    most = max(before.max(), after.max(), 1.0)
    return (min(0.0, min(before.min(), after.min()) - 0.05 * most), 1.1 * most)


def _words(stage):
    return "after the last round" if stage.label == round_facts.NEXT else stage.label


def _plot_answers(rounds, names):
    answered = [one for one in rounds if any(one.verdicts.values())]
    if not answered:
        return None
    edited = [one for one in answered if one.edits is not None]
    figure = Figure(figsize=(12 if edited else 6.5, 4.2), layout="constrained")
    panels = figure.subplots(1, 2 if edited else 1, squeeze=False)[0]
    parts = {verdict: [one.verdicts[verdict] for one in answered] for verdict in _VERDICT_COLORS}
    _stack(panels[0], answered, parts, _VERDICT_COLORS)
    panels[0].set(title="what the oracle said", xlabel="round", ylabel="images")
    if edited:
        parts = {kind: [getattr(one.edits, kind) for one in edited] for kind in _EDIT_COLORS}
        _stack(panels[1], edited, parts, _EDIT_COLORS)
        panels[1].set(title="boxes of the drafts, and what became of them", xlabel="round", ylabel="boxes")
    return figure


def _stack(axes, rounds, parts, colors):
    labels, base = [str(one.number) for one in rounds], np.zeros(len(rounds))
    for name, values in parts.items():
        if any(values):
            shown = NAME_OF_VERDICT.get(name, name)
            axes.bar(labels, values, _bar_width(rounds), bottom=base, color=colors[name], label=shown)
            base += values
    _write_totals(axes, base.astype(int))
    _legend_beside(axes, reverse=True)
    axes.yaxis.set_major_formatter(_THOUSANDS)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def _plot_time(rounds, names):
    timed = [one for one in rounds if any(one.seconds.values())]
    if not timed:
        return None
    longest = max(sum(one.seconds.values()) for one in timed)
    unit, word = next(
        (s, w) for s, w in ((3600, "hours"), (60, "minutes"), (1, "seconds")) if longest >= 2 * s or s == 1
    )
    figure = Figure(figsize=(11, 1.7 + 0.42 * len(timed)), layout="constrained")
    axes = figure.subplots()
    labels, base = [f"round {one.number}" for one in timed], np.zeros(len(timed))
    for name in round_facts.PHASES:
        values = np.array([one.seconds.get(name, 0.0) / unit for one in timed])
        if values.any():
            axes.barh(labels, values, left=base, color=_PHASE_COLORS[name], label=name)
            base += values
    for row, total in enumerate(base.tolist()):
        axes.annotate(f"{total:.1f}", (total, row), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.invert_yaxis()
    axes.set(title="time by phase", xlabel=word)
    axes.margins(x=0.07)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _legend_beside(axes)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    return figure


def _legend_beside(axes, reverse=False):
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.02), fontsize=8, frameon=False, reverse=reverse)


def _nan(value):
    return float("nan") if value is None else value


def _cut(name):
    """A name that fits into a legend; "$" would begin a formula, and a leading "_" hide the entry."""
    text = "".join(letter if letter.isprintable() else "?" for letter in name).replace("$", r"\$")
    text = text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"
    return "\u200b" + text if text.startswith("_") else text
