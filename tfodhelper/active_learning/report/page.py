"""One HTML page of a workspace's rounds: figures, plots, tables, and images that were adopted, refused and doubtful.

The page holds a bounded number of images of each round, however large the pool is.
"""

import dataclasses
from collections.abc import Iterable

from tfodhelper import console, spelling
from tfodhelper.active_learning.report import gallery, round_facts, tfn_sheet
from tfodhelper.active_learning.structures import ADOPTED, NAME_OF_VERDICT, REFUSED, WAITING, Edits
from tfodhelper.render import html, palette

PER_KIND = 24  # images of a kind and round
_MAX_IN_LEGEND = 40
_PLOTS = {
    "growth": "How the training set grew, and of which classes it consists.",
    "precision": "Precision on the validation set, which is the same in every round: by round, by images, by boxes.",
    "classes": "Average precision of each class.",
    "shares": "Which part of the set shows a class, at the start and now.",
    "answers": "What became of the images about which the oracle was asked.",
    "time": "Where the time went.",
}


@dataclasses.dataclass(frozen=True)
class _Legend:
    """The colours of the first classes: pairs of colour and name, and how many classes are left out."""

    classes: list[tuple[str, str]]
    num_more: int


@dataclasses.dataclass(frozen=True)
class _SheetRow:
    """A class in the T/F/N sheet: cells are pairs of a mark and its meaning."""

    label: str
    num_images: str
    cells: list[tuple[str, str]]
    figures: list[str]


@dataclasses.dataclass(frozen=True)
class _Sheet:
    """The T/F/N sheet, and how to read it."""

    text: str
    header: tuple[str, ...]
    rows: list[_SheetRow]


@dataclasses.dataclass(frozen=True)
class _Gallery:
    """Images of a kind."""

    title: str
    cards: Iterable[html.Card]


@dataclasses.dataclass(frozen=True)
class _Round:
    """The images of a round."""

    number: int
    title: str
    is_open: bool
    galleries: list[_Gallery]


def write_page(path, space, rounds, names, tables, plots, per_kind=PER_KIND, sheet=None):
    """Writes the page.

    Args:
      path: of the HTML file.
      space: the `Workspace`.
      rounds: list of `round_facts.RoundFacts`.
      names: `round_facts.ClassNames`.
      tables: list of `cells.Table`s.
      plots: {name: path of a PNG file}.
      per_kind: images of a kind and round that are shown at most.
      sheet: `tfn_sheet.Sheet`, or None.
    """
    picked = gallery.pick(space, rounds, names, per_kind)
    shown = [facts for facts in reversed(rounds) if picked[facts.number]]
    folder = space.folder.absolute()
    links = [("plots", "plots"), *([] if sheet is None else [("sheet", "T/F/N sheet")]), ("tables", "tables")]
    html.write_page(
        path,
        "rounds.html",
        title=f"Active learning: {folder.name}",
        places=[str(folder)],
        links=[*links, *((f"round-{facts.number}", f"images of round {facts.number}") for facts in reversed(shown))],
        tiles=list(_make_tiles(rounds, names)),
        plots=((plots[name].read_bytes(), text) for name, text in _PLOTS.items() if name in plots),
        sheet=None if sheet is None else _lay_out_sheet(sheet, rounds),
        tables=tables,
        per_kind=per_kind,
        legend=_make_legend(names),
        rounds=[_lay_out_round(facts, picked[facts.number], names, is_open=facts is shown[0]) for facts in shown],
    )


def _make_legend(names):
    first = names.shown[:_MAX_IN_LEGEND]
    return _Legend([(palette.color_of(names.ids[name]), name) for name in first], len(names.shown) - len(first))


def _make_tiles(rounds, names):
    """Yields (number, its meaning) of all rounds together."""
    stages, measured = round_facts.stages(rounds), [facts for facts in rounds if facts.map50 is not None]
    if stages:
        yield f"{stages[0].counts.images:,} → {stages[-1].counts.images:,}", "images in the training set"
        yield f"{stages[0].counts.boxes:,} → {stages[-1].counts.boxes:,}", "boxes in the training set"
    if measured:
        figures = [f"{facts.map50:.3f}" for facts in (measured[0], measured[-1])[: len(measured)]]
        yield " → ".join(figures), "mAP at IoU 0.5 on the validation set"
    asked = sum(sum(facts.verdicts.values()) for facts in rounds)
    if asked:
        adopted = sum(facts.verdicts[ADOPTED] for facts in rounds)
        yield f"{adopted:,} of {asked:,}", "images adopted of those asked about"
        edits = sum((facts.edits for facts in rounds if facts.edits is not None), Edits())
        changed = edits.moved + edits.relabelled + edits.added + edits.deleted + edits.ignored
        text = f"boxes drawn or changed; {edits.kept:,} kept" if changed or edits.kept else "boxes drawn or changed"
        yield f"{changed:,}", text
    if len(stages) > 1:
        yield from _find_loser(stages[0].counts, stages[-1].counts, names)
    seconds = sum(sum(facts.seconds.values()) for facts in rounds)
    if seconds:
        yield console.format_seconds(seconds), "computing time"


def _find_loser(first, last, names):
    """Yields the shares of the class whose share of the set fell most, relative to its share at the start."""
    shown = [name for name in names.shown if first.images_of_class[name]]
    fallen = min(shown, key=lambda name: last.share(name) / first.share(name), default=None)
    if fallen is not None and last.share(fallen) < first.share(fallen):
        shares = [f"{100 * counts.share(fallen):.1f} %" for counts in (first, last)]
        yield " → ".join(shares), f"share of the set that shows {fallen}, the class that lost most"


def _lay_out_sheet(sheet, rounds):
    """The T/F/N sheet: a row of cells for each class."""
    newest = max((facts.number for facts in rounds if facts.train is not None), default=sheet.round_number)
    text = (
        f"Model of round {sheet.round_number} on {sheet.test_dir}: T right, F wrong, N nothing found with a score of "
        f"{sheet.score_threshold:g} or more; of several detections the highest score decides."
    )
    if newest > sheet.round_number:
        command = "tfodhelper active report --test_dir=FOLDER"
        text += f" But round {newest} has a newer model: {command} makes a new sheet."
    header = (tfn_sheet.RIGHT, tfn_sheet.WRONG, tfn_sheet.NOTHING, tfn_sheet.UNREAD, "right", "mostly taken for")
    rows = [_lay_out_row(row, [_describe_cell(c) for c in row.cells], row.mostly_taken_for) for row in sheet.rows]
    return _Sheet(text, header, [*rows, _lay_out_row(tfn_sheet.join(sheet.rows), [], "")])


def _lay_out_row(row, cells, taken_for):
    return _SheetRow(row.label, f"{row.num_images:,}", cells, [*tfn_sheet.figures_of(row), taken_for])


def _describe_cell(cell):
    """(mark, its meaning)."""
    if cell.mark == tfn_sheet.UNREAD:
        text = "could not be read"
    else:
        text = "nothing found" if cell.score is None else f"{cell.found} {cell.score:.0%}"
    return cell.mark, f"{cell.name}: {text}"


def _lay_out_round(facts, galleries, names, is_open):
    counts = f"{facts.verdicts[ADOPTED]:,} adopted, {facts.verdicts[REFUSED]:,} refused"
    if facts.verdicts[WAITING]:
        counts += f", {facts.verdicts[WAITING]:,} {NAME_OF_VERDICT[WAITING]}"
    if facts.num_chosen is not None and facts.selection.options.takes_all:
        counts += "; the whole pool was asked about"
    elif facts.num_chosen is not None:
        counts += f" of {facts.num_chosen:,} chosen by {facts.selection.rule_used}"
    parts = [_Gallery(_make_title(part, facts), gallery.make_cards(part, names)) for part in galleries]
    return _Round(facts.number, f"Round {facts.number}: {counts}", is_open, parts)


def _make_title(part, facts):
    count = f"{len(part.images):,} of {part.total:,}" if len(part.images) < part.total else f"all {part.total:,}"
    if part.kind == gallery.DOUBTFUL:
        options = facts.selection and facts.selection.options
        by = f" by {options.uncertainty} ({options.aggregate})" if options else ""
        return f"Most doubtful: {spelling.count(count, 'predicted image')}{by}"
    groups = {ADOPTED: "drawn from each class in turn", REFUSED: "drawn from each reason in turn"}
    return f"{part.kind.title()}: {count}" + (f", {groups[part.kind]}" if len(part.images) < part.total else "")
