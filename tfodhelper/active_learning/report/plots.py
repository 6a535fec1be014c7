"""The rounds of a workspace as pictures: the set's growth, precision, answers, shares of classes, time."""

import numpy as np

from tfodhelper import spelling
from tfodhelper.active_learning.report import round_facts
from tfodhelper.active_learning.structures import ADOPTED, NAME_OF_VERDICT, REFUSED, WAITING
from tfodhelper.render import figures, palette

NAMES = ("growth", "precision", "classes", "shares", "answers", "time")
_MAX_CLASSES = 20  # in the bars of one plot; the tables have all
_MAX_LINES = 8  # more classes are shown as a table of colours
_OTHERS = "others"
_VERDICT_COLORS = {ADOPTED: palette.GREEN, REFUSED: palette.VERMILION, WAITING: palette.YELLOW}
_EDIT_COLORS = {
    "kept": palette.GREEN,
    "moved": palette.YELLOW,
    "relabelled": palette.PURPLE,
    "added": palette.BLUE,
    "deleted": palette.VERMILION,
    "ignored": palette.GREY,
}
_PHASE_COLORS = dict(
    zip(
        round_facts.PHASES,
        (
            *(
                palette.SKY,
                palette.BLUE,
                palette.PURPLE,
                "#8c78fa",
                "#5a3c96",
                palette.ORANGE,
                palette.GREEN,
                palette.VERMILION,
            ),
            *(palette.YELLOW, palette.GREY),
        ),
        strict=True,
    )
)
_TIME_UNITS = ((3600, "hours"), (60, "minutes"), (1, "seconds"))


@figures.style()
def make_figures(rounds, names):
    """Draws growth, precision, classes, shares, answers and time, as far as there is anything to show.

    Args:
      rounds: list of `round_facts.RoundFacts`.
      names: `round_facts.ClassNames`.

    Returns:
      {one of `NAMES`: matplotlib Figure}.
    """
    makers = (_plot_growth, _plot_precision, _plot_classes, _plot_shares, _plot_answers, _plot_time)
    plots = {name: make(rounds, names) for name, make in zip(NAMES, makers)}
    return {name: figure for name, figure in plots.items() if figure is not None}


def _plot_growth(rounds, names):
    stages = round_facts.stages(rounds)
    if not stages:
        return None
    figure = figures.new_figure(13, 5.2)
    images, boxes = figure.subplots(1, 2, width_ratios=[2, 3])
    labels = [stage.label.removeprefix("round ") for stage in stages]
    width = _bar_width(stages)
    totals = np.array([stage.counts.images for stage in stages])
    images.bar(labels, np.full(len(totals), totals[0]), width, color=palette.GREY, label="labelled at the start")
    images.bar(labels, totals - totals[0], width, bottom=totals[0], color=palette.GREEN, label="adopted")
    images.set(title="images in the training set", xlabel="round", ylabel="images")
    figures.write_totals(images, totals.tolist())
    base = np.zeros(len(stages), int)
    for name, counts in _boxes_by_class(stages, names).items():
        look = {"color": palette.GREY} if name == _OTHERS else figures.class_bar(names.ids[name])
        boxes.bar(labels, counts, width, bottom=base, label=figures.shorten_name(name), **look)
        base += counts
    boxes.set(title="boxes in the training set, by class", xlabel="round", ylabel="boxes")
    figures.write_totals(boxes, base.tolist())
    images.legend(loc="upper left", fontsize=9)
    figures.place_legend_beside(boxes, reverse=True)
    for axes in (images, boxes):
        axes.grid(axis="y")
        figures.format_ticks(axes.yaxis, "{:,.0f}")
    return figure


def _bar_width(bars):
    """Slim bars where there are few."""
    return min(0.8, 0.2 + 0.12 * len(bars))


def _boxes_by_class(stages, names):
    """{class: array over the stages}, the most frequent first at the end; rare ones of many are put together."""
    rows = {name: np.array([stage.counts.boxes_of_class[name] for stage in stages]) for name in names.shown}
    order = sorted(rows, key=lambda name: (-rows[name][-1], names.ids[name]))
    kept = order if len(order) <= _MAX_CLASSES else order[: _MAX_CLASSES - 1]
    counts = {name: rows[name] for name in kept}
    if len(kept) < len(order):
        counts[_OTHERS] = sum(rows[name] for name in order[len(kept) :])
    return counts


def _plot_precision(rounds, names):
    measured = [facts for facts in rounds if facts.map50 is not None and facts.train is not None]
    if not measured:
        return None
    figure = figures.new_figure(13, 4.4)
    by_round, by_images, by_boxes = figure.subplots(1, 3, sharey=True)
    map50, map5095 = [facts.map50 for facts in measured], [_nan(facts.map5095) for facts in measured]
    for axes, x, label in (
        (by_round, [facts.number for facts in measured], "round"),
        (by_images, [facts.train.images for facts in measured], "images in the training set"),
        (by_boxes, [facts.train.boxes for facts in measured], "boxes in the training set"),
    ):
        axes.plot(x, map50, color=palette.BLUE, label="mAP at IoU 0.5", **figures.MARKERS)
        axes.plot(x, map5095, color=palette.GREY, label="mAP at IoU 0.5:0.95", **figures.MARKERS)
        for point in zip(x, map50) if axes is by_round else [(x[0], map50[0]), (x[-1], map50[-1])]:
            axes.annotate(f"{point[1]:.3f}", point, (0, 7), textcoords="offset points", ha="center", fontsize=8)
        axes.set(xlabel=label, ylim=(0, 1))
        axes.margins(x=0.1)
        axes.grid()
        figures.tick_whole_numbers(axes.xaxis, 10 if axes is by_round else 6)
        figures.format_ticks(axes.xaxis, "{:,.0f}")
    by_round.set_ylabel("precision on the validation set")
    by_round.legend(loc="upper left", fontsize=9)
    return figure


def _plot_classes(rounds, names):
    measured = [facts for facts in rounds if any(value is not None for value in facts.ap50.values())]
    if not measured:
        return None
    values = np.array([[_nan(facts.ap50[name]) for facts in measured] for name in names.shown])
    plot = _plot_class_lines if len(names.shown) <= _MAX_LINES else _plot_class_table
    return plot([facts.number for facts in measured], names, values)


def _plot_class_lines(numbers, names, values):
    figure = figures.new_figure(9, 4.6)
    axes = figure.subplots()
    for name, row in zip(names.shown, values):
        axes.plot(numbers, row, label=figures.shorten_name(name), **figures.class_line(names.ids[name]))
    axes.set(title="average precision at IoU 0.5, by class", xlabel="round", ylim=(0, 1.02))
    figures.tick_whole_numbers(axes.xaxis, 10)
    axes.grid()
    figures.place_legend_beside(axes)
    return figure


def _plot_class_table(numbers, names, values):
    """Classes by rounds; the classes that are worst at the end come first, and only those of very many."""
    order = np.argsort(np.nan_to_num(values[:, -1], nan=2.0), kind="stable")[: 2 * _MAX_CLASSES]
    labels = [figures.shorten_name(names.shown[i]) for i in order]
    figure = figures.new_figure(3.2 + 0.75 * len(numbers), 1.4 + 0.3 * len(labels))
    axes = figure.subplots()
    figures.draw_table(axes, values[order], labels, numbers, "{:.2f}".format, "viridis")
    axes.set_xlabel("round")
    figure.suptitle("average precision at IoU 0.5, the worst first", fontsize=11)
    return figure


def _plot_shares(rounds, names):
    stages = round_facts.stages(rounds)
    if len(stages) < 2 or not stages[0].counts.images:
        return None
    first, last = stages[0].counts, stages[-1].counts
    order = sorted(names.shown, key=lambda name: -first.share(name))[-2 * _MAX_CLASSES :]
    before, after = (np.array([100 * counts.share(name) for name in order]) for counts in (first, last))
    figure = figures.new_figure(11, 1.6 + 0.3 * len(order))
    axes = figure.subplots()
    rows = np.arange(len(order))
    axes.hlines(rows, before, after, color=palette.GREY, linewidth=2, zorder=1)
    axes.scatter(before, rows, s=45, color=palette.GREY, label=_stage_label(stages[0].label, first), zorder=2)
    colors = [palette.BLUE if b >= a else palette.VERMILION for a, b in zip(before, after)]
    axes.scatter(after, rows, s=45, color=colors, label=_stage_label(_stage_text(stages[-1]), last), zorder=3)
    for row, a, b in zip(rows, before, after):
        offset, side = ((8, 0), "left") if b >= a else ((-8, 0), "right")
        axes.annotate(f"{b:.1f}", (b, row), offset, textcoords="offset points", va="center", ha=side, fontsize=8)
    axes.set_yticks(rows, map(figures.shorten_name, order))
    axes.set_title("share of the set's images that show a class (blue: more than at the start, red: less)", fontsize=10)
    axes.set(xlabel="per cent of the images", xlim=_share_limits(before, after), ylim=(-0.7, len(order) - 0.3))
    figures.place_legend_beside(axes)
    axes.grid(axis="x")
    return figure


def _share_limits(before, after):
    """Room for the figures beside the points."""
    most = max(before.max(), after.max(), 1.0)
    return (min(0.0, min(before.min(), after.min()) - 0.05 * most), 1.1 * most)


def _stage_label(text, counts):
    return f"{text}: {spelling.count(counts.images, 'image')}"


def _stage_text(stage):
    return "after the last round" if stage.label == round_facts.NEXT else stage.label


def _plot_answers(rounds, names):
    answered = [facts for facts in rounds if any(facts.verdicts.values())]
    if not answered:
        return None
    edited = [facts for facts in answered if facts.edits is not None]
    figure = figures.new_figure(12 if edited else 6.5, 4.2)
    panels = figure.subplots(1, 2 if edited else 1, squeeze=False)[0]
    parts = {verdict: [facts.verdicts[verdict] for facts in answered] for verdict in _VERDICT_COLORS}
    _stack(panels[0], answered, parts, _VERDICT_COLORS)
    panels[0].set(title="what the oracle said", xlabel="round", ylabel="images")
    if edited:
        parts = {kind: [getattr(facts.edits, kind) for facts in edited] for kind in _EDIT_COLORS}
        _stack(panels[1], edited, parts, _EDIT_COLORS)
        panels[1].set(title="boxes of the drafts, and what became of them", xlabel="round", ylabel="boxes")
    return figure


def _stack(axes, rounds, parts, colors):
    """Bars of a round each, {part: values over the rounds} on top of each other."""
    labels, base = [str(facts.number) for facts in rounds], np.zeros(len(rounds), int)
    for part, values in parts.items():
        if any(values):
            label = NAME_OF_VERDICT.get(part, part)
            axes.bar(labels, values, _bar_width(rounds), bottom=base, color=colors[part], label=label)
            base += values
    figures.write_totals(axes, base.tolist())
    figures.place_legend_beside(axes, reverse=True)
    figures.format_ticks(axes.yaxis, "{:,.0f}")
    axes.grid(axis="y")


def _plot_time(rounds, names):
    timed = [facts for facts in rounds if any(facts.seconds.values())]
    if not timed:
        return None
    longest_s = max(sum(facts.seconds.values()) for facts in timed)
    unit_s, unit = next((s, name) for s, name in _TIME_UNITS if longest_s >= 2 * s or s == 1)
    figure = figures.new_figure(11, 1.7 + 0.42 * len(timed))
    axes = figure.subplots()
    labels, base = [f"round {facts.number}" for facts in timed], np.zeros(len(timed))
    for phase in round_facts.PHASES:
        values = np.array([facts.seconds.get(phase, 0.0) / unit_s for facts in timed])
        if values.any():
            axes.barh(labels, values, left=base, color=_PHASE_COLORS[phase], label=phase)
            base += values
    for row, total in enumerate(base.tolist()):
        axes.annotate(f"{total:.1f}", (total, row), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.invert_yaxis()
    axes.set(title="time by phase", xlabel=unit)
    axes.margins(x=0.07)
    figures.format_ticks(axes.xaxis, "{:g}")
    figures.place_legend_beside(axes)
    axes.grid(axis="x")
    return figure


def _nan(value):
    return float("nan") if value is None else value
