"""The tables of a workspace's rounds, as the study printed them, for the console, for spreadsheets and for the page."""

import collections
import dataclasses

from tfodhelper import console
from tfodhelper.active_learning import workspace
from tfodhelper.active_learning.report import round_facts
from tfodhelper.active_learning.structures import ADOPTED, NAME_OF_VERDICT, REFUSED, WAITING, Edits

WIDTH = 120  # columns of the console
_REASON_WIDTH = 60
_MOST_REASONS = 12
EDIT_KINDS = tuple(field.name for field in dataclasses.fields(Edits))
CURVE_HEADER = (
    *("round", "n_images", "n_boxes", "adopted", "refused", *EDIT_KINDS),
    *("mAP50", "mAP50-95", "seed"),
)
CLASS_HEADER = (
    *("round", "class", "images", "increase", "increase_percent", "share_percent", "boxes", "box_share_percent"),
    *("validate_images", "validate_boxes", "AP50", "adopted_images", "adopted_boxes"),
)
TIME_HEADER = ("round", "phase", "seconds")
REASON_HEADER = ("round", "verdict", "reason", "images")


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
      title: one line.
      header: names of the columns.
      rows: tuples of texts, as long as the header.
      note: how to read it, or "".
      name_width: letters of the first column on the console.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    name_width: int = 24


def make_tables(rounds, names):
    """All tables that have something to say.

    Args:
      rounds: list of `round_facts.RoundFacts`.
      names: `round_facts.ClassNames`.

    Returns:
      list of `Table`s.
    """
    makers = (_overview, _growth, _increase, _shares, _sides, _precision, _reasons, _label_cost, _times)
    return [table for make in makers if (table := make(rounds, names)) is not None]


def format_console(table):
    """A table of at most `WIDTH` columns; one that is wider continues below with its first column repeated."""
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
    """A name that fits into a column and keeps to its line."""
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= width else text[: width - 1] + "…"


def _overview(rounds, names):
    rows = []
    for before, one in zip([None, *rounds], rounds):
        images = one.train.images if one.train else None
        earlier = before.train.images if before and before.train and one.train else None
        predicted = one.selection and one.selection.num_candidates
        counts = (predicted, one.num_chosen, *(_of_verdict(one, name) for name in (ADOPTED, REFUSED, WAITING)))
        texts = (_number(images), _increase_text(earlier, images), _number(one.train and one.train.boxes))
        time = _time(sum(one.seconds.values()) if one.seconds else None)
        rows.append((str(one.number), *texts, *map(_number, counts), _score(one.map50), _score(one.map5095), time))
    header = ("round", "images", "increase", "boxes", "predicted", "asked", *NAME_OF_VERDICT.values())
    note = "images, boxes: what the round learned from; adopted images are in the set of the next round"
    return Table("Rounds", (*header, "mAP@0.5", "mAP", "time"), tuple(rows), note=note) if rows else None


def _of_verdict(one, verdict):
    return one.verdicts[verdict] if any(one.verdicts.values()) else None


def _growth(rounds, names):
    stages = round_facts.stages(rounds)
    if not stages:
        return None
    first, last = stages[0].counts, stages[-1].counts
    rows = [
        (name, *(_number(stage.counts.images_of_class[name]) for stage in stages))
        + (_increase_text(first.images_of_class[name], last.images_of_class[name]),)
        for name in names.shown
    ]
    total = ("all images", *(_number(stage.counts.images) for stage in stages))
    rows.append((*total, _increase_text(first.images, last.images)))
    return Table("Images per class and round", (*_stage_header(stages), "in all"), tuple(rows), note=_next_note(stages))


def _increase(rounds, names):
    stages = round_facts.stages(rounds)
    if len(stages) < 2:
        return None
    pairs = list(zip(stages, stages[1:]))
    rows = [
        (name, *(_increase_text(*(stage.counts.images_of_class[name] for stage in pair)) for pair in pairs))
        for name in names.shown
    ]
    rows.append(("all images", *(_increase_text(*(stage.counts.images for stage in pair)) for pair in pairs)))
    title = "Increase of images per class over the round before"
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
        rows.append((name, *map(_percent, shares), change))
    title = "Share of the set's images that show a class, the rarest first"
    return Table(title, (*_stage_header(stages), "points"), tuple(rows), note=_next_note(stages))


def _sides(rounds, names):
    one = next((one for one in reversed(rounds) if one.train is not None), None)
    if one is None:
        return None
    sides = (one.train, one.validate)
    rows = [
        (name, str(names.ids[name]))
        + tuple(_number(count[name]) for side in sides for count in (side.images_of_class, side.boxes_of_class))
        for name in names.shown
    ]
    rows.append(("all", "", *(_number(count) for side in sides for count in (side.images, side.boxes))))
    header = ("class", "ID", "Train images", "Train boxes", "Validate images", "Validate boxes")
    return Table(f"Train and Validate per class, round {one.number}", header, tuple(rows))


def _precision(rounds, names):
    measured = [one for one in rounds if one.map50 is not None]
    if not measured:
        return None
    header = ("class", *(str(one.number) for one in measured), "change")
    rows = [(name, *_scores([one.ap50.get(name) for one in measured])) for name in names.shown]
    rows.append(("mAP@0.5", *_scores([one.map50 for one in measured])))
    rows.append(("mAP@0.5:0.95", *_scores([one.map5095 for one in measured])))
    counts = [one.validate.images for one in measured if one.validate]
    note = f"on {counts[-1]} validation images, the same ones in every round" if counts else ""
    return Table("Average precision at IoU 0.5 by round", header, tuple(rows), note=note)


def _scores(values):
    known = [value for value in values if value is not None]
    return (*map(_score, values), f"{known[-1] - known[0]:+.3f}" if len(known) > 1 else "-")


def _reasons(rounds, names):
    answered = [one for one in rounds if one.reasons]
    totals = collections.Counter()
    for one in answered:
        totals.update(one.reasons)
    if not totals:
        return None
    rows = [
        (_reason(*key), *(_number(one.reasons.get(key)) for one in answered), _number(count))
        for key, count in totals.most_common(_MOST_REASONS)
    ]
    header = ("reason", *(str(one.number) for one in answered), "in all")
    note = f"{len(totals) - len(rows)} rarer reasons are in reasons.csv" if len(totals) > len(rows) else ""
    return Table("Not adopted, and why, in images", header, tuple(rows), note, _REASON_WIDTH)


def _reason(verdict, reason):
    return ": ".join(filter(None, (NAME_OF_VERDICT[verdict], reason)))


def _label_cost(rounds, names):
    edited = [one for one in rounds if one.edits is not None]
    if not edited:
        return None
    rows = [_cost_row(str(one.number), one.edits, one.num_edited) for one in edited]
    if len(edited) > 1:
        total = sum((one.edits for one in edited), Edits())
        rows.append(_cost_row("all", total, sum(one.num_edited for one in edited)))
    header = ("round", "images", *EDIT_KINDS, "edits per image", "kept of drafted")
    note = "images: those that were corrected or confirmed; edits: boxes moved, relabelled, added and deleted"
    return Table("Label cost in boxes", header, tuple(rows), note=note)


def _cost_row(label, edits, num_images):
    counts = dataclasses.asdict(edits)
    drafted = sum(counts.values()) - edits.added
    kept = _percent(edits.kept / drafted) if drafted else "-"
    changed = sum(counts.values()) - edits.kept
    per_image = f"{changed / num_images:.1f}" if num_images else "-"
    return (label, _number(num_images), *map(_number, counts.values()), per_image, kept)


def _times(rounds, names):
    timed = [one for one in rounds if any(one.seconds.values())]
    if not timed:
        return None
    totals = {name: sum(one.seconds.get(name, 0.0) for one in timed) for name in round_facts.PHASES}
    every = sum(totals.values())
    rows = [
        (name, *(_time(one.seconds.get(name)) for one in timed), _time(total), _percent(total / every))
        for name, total in totals.items()
        if any(name in one.seconds for one in timed)
    ]
    rows.append(("in all", *(_time(sum(one.seconds.values())) for one in timed), _time(every), "100.0%"))
    return Table(
        "Time by phase and round, h:mm:ss",
        ("phase", *(str(one.number) for one in timed), "in all", "share"),
        tuple(rows),
    )


def _stage_header(stages):
    return ("class", *(stage.label.removeprefix("round ") for stage in stages))


def _next_note(stages):
    return "next: with what the last round adopted" if stages[-1].label == round_facts.NEXT else ""


def _number(value):
    return "-" if value is None else str(value)


def _score(value):
    return "-" if value is None else f"{value:.3f}"


def _percent(value):
    return "-" if value is None else f"{value:.1%}"


def _time(seconds):
    """h:mm:ss."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _increase_text(before, after):
    """+113  16%; the share is left out where there was nothing before."""
    if before is None or after is None:
        return "-"
    share = f"{(after - before) / before:.0%}" if before else "-"
    return f"{after - before:+d} {share:>4}" if after != before else "0"


def write_tables(folder, rounds, names):
    """Writes al_curve.csv, classes.csv, times.csv and reasons.csv: a line for each round, or for each of its parts.

    What is not known is an empty cell.

    Args:
      folder: pathlib.Path, there.
      rounds: list of `round_facts.RoundFacts`.
      names: `round_facts.ClassNames`.

    Returns:
      The paths.
    """
    files = {
        "al_curve.csv": (CURVE_HEADER, map(_curve_row, rounds)),
        "classes.csv": (CLASS_HEADER, _class_rows(rounds, names)),
        "times.csv": (TIME_HEADER, [(one.number, *item) for one in rounds for item in one.seconds.items()]),
        "reasons.csv": (
            REASON_HEADER,
            [(one.number, *key, count) for one in rounds for key, count in one.reasons.items()],
        ),
    }
    for name, (header, rows) in files.items():
        workspace.write_rows(folder / name, header, [["" if cell is None else cell for cell in row] for row in rows])
    return [folder / name for name in files]


def _curve_row(one):
    edits = [None] * len(EDIT_KINDS) if one.edits is None else dataclasses.astuple(one.edits)
    counts = (one.train.images, one.train.boxes) if one.train else (None, None)
    verdicts = (_of_verdict(one, ADOPTED), _of_verdict(one, REFUSED))
    return (one.number, *counts, *verdicts, *edits, one.map50, one.map5095, one.settings.get("seed"))


def _class_rows(rounds, names):
    before = None
    for one in rounds:
        if one.train is None:
            continue
        for name in names.shown:
            images, boxes = one.train.images_of_class[name], one.train.boxes_of_class[name]
            earlier = before.train.images_of_class[name] if before else None
            yield (
                *(one.number, name, images, None if earlier is None else images - earlier),
                *(_share(images - earlier, earlier) if earlier else None, _share(images, one.train.images)),
                *(boxes, _share(boxes, one.train.boxes)),
                *(one.validate.images_of_class[name], one.validate.boxes_of_class[name], one.ap50.get(name)),
                *(one.adopted.images_of_class[name], one.adopted.boxes_of_class[name]),
            )
        before = one


def _share(part, whole):
    """Per cent, two digits."""
    return round(100 * part / whole, 2) if whole else None
