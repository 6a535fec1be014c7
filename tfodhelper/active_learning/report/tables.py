"""The tables of a workspace's rounds, as in the study, for the console, for spreadsheets and for the page."""

import collections
import dataclasses

from tfodhelper import console, sheets, spelling
from tfodhelper.active_learning.report import cells, law_tables, round_facts
from tfodhelper.active_learning.report.cells import Table
from tfodhelper.active_learning.structures import ADOPTED, NAME_OF_VERDICT, REFUSED, WAITING, Edits

WIDTH = 120  # characters of the console
_REASON_WIDTH = 60
_MOST_REASONS = 12
EDIT_KINDS = tuple(field.name for field in dataclasses.fields(Edits))
CURVE_HEADER = (
    *("round", "n_images", "n_boxes", "adopted", "refused", *EDIT_KINDS),
    *("mAP50", "mAP50-95", "seed", "label_seconds"),
)
CLASS_HEADER = (
    *("round", "class", "images", "increase", "increase_percent", "share_percent", "boxes", "box_share_percent"),
    *("validate_images", "validate_boxes", "AP50", "adopted_images", "adopted_boxes"),
)
TIME_HEADER = ("round", "phase", "seconds")
REASON_HEADER = ("round", "verdict", "reason", "images")


def make_tables(rounds, names):
    """Makes all tables that have contents.

    Args:
      rounds: list of `round_facts.RoundFacts`.
      names: `round_facts.ClassNames`.

    Returns:
      list of `Table`s.
    """
    makers = (
        _overview,
        _images_per_class,
        _increase_per_class,
        _shares,
        _train_and_validate,
        _precision,
        law_tables.show_relabelled,
        law_tables.show_trials,
        law_tables.show_worth,
        _reasons,
        _label_cost,
        _times,
    )
    return [table for make in makers if (table := make(rounds, names)) is not None]


def format_console(table):
    """A table of at most `WIDTH` characters; a wider one continues below with its first column repeated."""
    blocks = [[0]]
    for column in range(1, len(table.header)):
        trial = blocks[-1] + [column]
        if len(blocks[-1]) > 1 and _width(table, trial) > WIDTH:
            trial = [0, column]
            blocks.append(trial)
        blocks[-1] = trial
    parts = [table.title, *(_format_block(table, columns) for columns in blocks)]
    return "\n".join([*parts, table.note] if table.note else parts)


def _format_block(table, columns):
    rows = [[_cut(row[0], table.name_width), *(row[column] for column in columns[1:])] for row in table.rows]
    return console.format_table([table.header[column] for column in columns], rows, numbers=range(1, len(columns)))


def _width(table, columns):
    return max(map(len, _format_block(table, columns).splitlines()))


def _cut(text, width):
    """A name cut to the width of its column, on one line."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= width else text[: width - 1] + "…"


def _overview(rounds, names):
    rows = []
    for before, facts in zip([None, *rounds], rounds):
        images = facts.train.images if facts.train else None
        earlier = before.train.images if before and before.train and facts.train else None
        predicted = facts.selection and facts.selection.num_candidates
        counts = (predicted, facts.num_chosen, *(_of_verdict(facts, name) for name in (ADOPTED, REFUSED, WAITING)))
        texts = (
            cells.number(images),
            cells.increase_text(earlier, images),
            cells.number(facts.train and facts.train.boxes),
        )
        time = cells.time(sum(facts.seconds.values()) if facts.seconds else None)
        rows.append(
            (
                str(facts.number),
                *texts,
                *map(cells.number, counts),
                cells.score(facts.map50),
                cells.score(facts.map5095),
                time,
            )
        )
    header = ("round", "images", "increase", "boxes", "predicted", "asked", *NAME_OF_VERDICT.values())
    note = "images, boxes: that the round learned from, without ignored regions; adopted images join the next round"
    return Table("Rounds", (*header, "mAP@0.5", "mAP", "time"), tuple(rows), note=note) if rows else None


def _of_verdict(facts, verdict):
    return facts.verdicts[verdict] if any(facts.verdicts.values()) else None


def _images_per_class(rounds, names):
    stages = round_facts.stages(rounds)
    if not stages:
        return None
    first, last = stages[0].counts, stages[-1].counts
    rows = [
        (name, *(cells.number(stage.counts.images_of_class[name]) for stage in stages))
        + (cells.increase_text(first.images_of_class[name], last.images_of_class[name]),)
        for name in names.shown
    ]
    total = ("all images", *(cells.number(stage.counts.images) for stage in stages))
    rows.append((*total, cells.increase_text(first.images, last.images)))
    return Table("Images per class and round", (*_stage_header(stages), "total"), tuple(rows), note=_next_note(stages))


def _increase_per_class(rounds, names):
    stages = round_facts.stages(rounds)
    if len(stages) < 2:
        return None
    pairs = list(zip(stages, stages[1:]))
    rows = [
        (name, *(cells.increase_text(*(stage.counts.images_of_class[name] for stage in pair)) for pair in pairs))
        for name in names.shown
    ]
    rows.append(("all images", *(cells.increase_text(*(stage.counts.images for stage in pair)) for pair in pairs)))
    title = "Increase of images per class over the previous round"
    header = _stage_header(stages)
    return Table(title, (header[0], *header[2:]), tuple(rows), note=_next_note(stages))


def _shares(rounds, names):
    stages = round_facts.stages(rounds)
    if not stages:
        return None
    order = sorted(names.shown, key=lambda name: stages[0].counts.share(name) or 0.0)
    rows = []
    for name in order:
        shares = [stage.counts.share(name) for stage in stages]
        known = [share for share in shares if share is not None]
        change = f"{round(100 * (known[-1] - known[0]), 1) + 0.0:+.1f}" if len(known) > 1 else "-"
        rows.append((name, *map(cells.percent, shares), change))
    title = "Share of the set's images that show a class, the rarest first"
    return Table(title, (*_stage_header(stages), "points"), tuple(rows), note=_next_note(stages))


def _train_and_validate(rounds, names):
    facts = next((facts for facts in reversed(rounds) if facts.train is not None), None)
    if facts is None:
        return None
    sides = (facts.train, facts.validate)
    rows = [
        (name, str(names.ids[name]))
        + tuple(cells.number(count[name]) for side in sides for count in (side.images_of_class, side.boxes_of_class))
        for name in names.shown
    ]
    rows.append(("all", "", *(cells.number(count) for side in sides for count in (side.images, side.boxes))))
    header = ("class", "ID", "Train images", "Train boxes", "Validate images", "Validate boxes")
    return Table(f"Train and Validate per class, round {facts.number}", header, tuple(rows))


def _precision(rounds, names):
    measured = [facts for facts in rounds if facts.map50 is not None]
    if not measured:
        return None
    header = ("class", *(str(facts.number) for facts in measured), "change")
    rows = [(name, *_scores([facts.ap50.get(name) for facts in measured])) for name in names.shown]
    rows.append(("mAP@0.5", *_scores([facts.map50 for facts in measured])))
    rows.append(("mAP@0.5:0.95", *_scores([facts.map5095 for facts in measured])))
    counts = [facts.validate.images for facts in measured if facts.validate]
    note = f"on {spelling.count(counts[-1], 'validation image')}, the same in every round" if counts else ""
    return Table("Average precision at IoU 0.5 by round", header, tuple(rows), note=note)


def _scores(values):
    known = [value for value in values if value is not None]
    return (*map(cells.score, values), f"{known[-1] - known[0]:+.3f}" if len(known) > 1 else "-")


def _reasons(rounds, names):
    answered = [facts for facts in rounds if facts.reasons]
    totals = collections.Counter()
    for facts in answered:
        totals.update(facts.reasons)
    if not totals:
        return None
    rows = [
        (_reason(*key), *(cells.number(facts.reasons.get(key)) for facts in answered), cells.number(count))
        for key, count in totals.most_common(_MOST_REASONS)
    ]
    header = ("reason", *(str(facts.number) for facts in answered), "total")
    note = f"{len(totals) - len(rows)} rarer reasons are in reasons.csv" if len(totals) > len(rows) else ""
    return Table("Images not adopted, and why", header, tuple(rows), note, _REASON_WIDTH)


def _reason(verdict, reason):
    return ": ".join(filter(None, (NAME_OF_VERDICT[verdict], reason)))


def _label_cost(rounds, names):
    edited = [facts for facts in rounds if facts.edits is not None]
    if not edited:
        return None
    rows = [_cost_row(str(facts.number), facts.edits, facts.num_edited) for facts in edited]
    groups = [[facts] for facts in edited]
    if len(edited) > 1:
        total = sum((facts.edits for facts in edited), Edits())
        rows.append(_cost_row("all", total, sum(facts.num_edited for facts in edited)))
        groups.append(edited)
    header = ("round", "images", *EDIT_KINDS, "edits per image", "drafted boxes kept")
    note = "images: those that were corrected or confirmed; edits: boxes moved, relabelled, added, deleted or ignored"
    if any(facts.num_timed for facts in edited):
        header += ("time", "seconds per image")
        rows = [row + _time_cells(group) for row, group in zip(rows, groups)]
        note += "; time: how long a person worked on the images, where that was measured"
    return Table("Label cost in boxes", header, tuple(rows), note=note)


def _time_cells(rounds):
    """How long a person worked on the images of some rounds: altogether, and per image."""
    number = sum(facts.num_timed for facts in rounds)
    if not number:
        return "-", "-"
    seconds = sum(facts.label_seconds for facts in rounds if facts.num_timed)
    return cells.time(seconds), f"{seconds / number:.1f}"


def _cost_row(label, edits, num_images):
    counts = dataclasses.asdict(edits)
    drafted = sum(counts.values()) - edits.added
    kept = cells.percent(edits.kept / drafted) if drafted else "-"
    changed = sum(counts.values()) - edits.kept
    per_image = f"{changed / num_images:.1f}" if num_images else "-"
    return (label, cells.number(num_images), *map(cells.number, counts.values()), per_image, kept)


def _times(rounds, names):
    timed = [facts for facts in rounds if any(facts.seconds.values())]
    if not timed:
        return None
    totals = {name: sum(facts.seconds.get(name, 0.0) for facts in timed) for name in round_facts.PHASES}
    every = sum(totals.values())
    rows = [
        (
            name,
            *(cells.time(facts.seconds.get(name)) for facts in timed),
            cells.time(total),
            cells.percent(total / every),
        )
        for name, total in totals.items()
        if any(name in facts.seconds for facts in timed)
    ]
    rows.append(("total", *(cells.time(sum(facts.seconds.values())) for facts in timed), cells.time(every), "100.0%"))
    return Table(
        "Time by phase and round, h:mm:ss",
        ("phase", *(str(facts.number) for facts in timed), "total", "share"),
        tuple(rows),
    )


def _stage_header(stages):
    return ("class", *(stage.label.removeprefix("round ") for stage in stages))


def _next_note(stages):
    return "next: with the images that the last round adopted" if stages[-1].label == round_facts.NEXT else ""


def write_tables(folder, rounds, names):
    """Writes al_curve.csv, classes.csv, times.csv and reasons.csv, with a line per round or per part of a round.

    Unknown values are empty cells.

    Args:
      folder: pathlib.Path of an existing folder.
      rounds: list of `round_facts.RoundFacts`.
      names: `round_facts.ClassNames`.

    Returns:
      The paths.
    """
    files = {
        "al_curve.csv": (CURVE_HEADER, map(_curve_row, rounds)),
        "classes.csv": (CLASS_HEADER, _class_rows(rounds, names)),
        "times.csv": (TIME_HEADER, [(facts.number, *item) for facts in rounds for item in facts.seconds.items()]),
        "reasons.csv": (
            REASON_HEADER,
            [(facts.number, *key, count) for facts in rounds for key, count in facts.reasons.items()],
        ),
    }
    for name, (header, rows) in files.items():
        sheets.write_csv(folder / name, header, rows)
    return [folder / name for name in files]


def _curve_row(facts):
    edits = [None] * len(EDIT_KINDS) if facts.edits is None else dataclasses.astuple(facts.edits)
    counts = (facts.train.images, facts.train.boxes) if facts.train else (None, None)
    verdicts = (_of_verdict(facts, ADOPTED), _of_verdict(facts, REFUSED))
    return (facts.number, *counts, *verdicts, *edits, *_figures(facts))


def _figures(facts):
    return facts.map50, facts.map5095, facts.settings.get("seed"), facts.label_seconds


def _class_rows(rounds, names):
    before = None
    for facts in rounds:
        if facts.train is None:
            continue
        for name in names.shown:
            images, boxes = facts.train.images_of_class[name], facts.train.boxes_of_class[name]
            earlier = before.train.images_of_class[name] if before else None
            yield (
                *(facts.number, name, images, None if earlier is None else images - earlier),
                *(_share(images - earlier, earlier) if earlier else None, _share(images, facts.train.images)),
                *(boxes, _share(boxes, facts.train.boxes)),
                *(facts.validate.images_of_class[name], facts.validate.boxes_of_class[name], facts.ap50.get(name)),
                *(facts.adopted.images_of_class[name], facts.adopted.boxes_of_class[name]),
            )
        before = facts


def _share(part, whole):
    """Per cent, with two decimals."""
    return round(100 * part / whole, 2) if whole else None
