"""One HTML page of a workspace's rounds: figures, plots, tables, and images that were adopted, refused and doubtful.

Nothing is fetched: pictures lie in the page. All text is escaped, since names of files and classes are whatever
somebody wrote. The page holds a bounded number of images of each round, however large the pool is.
"""

import base64
import collections

from tfodhelper import console, storage
from tfodhelper.active_learning.report import gallery, round_facts, tfn_sheet
from tfodhelper.active_learning.structures import ADOPTED, NAME_OF_VERDICT, REFUSED, WAITING, Edits
from tfodhelper.render import thumbnails
from tfodhelper.review.page import Card, escape, format_card

PER_KIND = 24  # images of a kind and round
_LONG_SIDE = 260  # pixels of a picture
_MOST_IN_LEGEND = 40
_PLOTS = {
    "growth": "How the training set grew, and of which classes it consists.",
    "precision": "Precision on the validation set, which is the same in every round: by round, by images, by boxes.",
    "classes": "Average precision of each class.",
    "shares": "Which part of the set shows a class, at the start and now.",
    "answers": "What became of the images about which the oracle was asked.",
    "time": "Where the time went.",
}
_STYLE = """
:root{color-scheme:light}body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;padding:1.5rem 2rem;max-width:1280px;
color:#1b1b1b;background:#fafafa}h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.25rem;margin-top:2.5rem}
h3{font-size:1.05rem;margin:1.6rem 0 .4rem}nav a{margin-right:1rem}.note{color:#555;margin:.2rem 0 .6rem}
.tiles{display:flex;flex-wrap:wrap;gap:1rem;margin:1.2rem 0}.tile{background:#fff;border:1px solid #ddd;
border-radius:8px;padding:.6rem 1.1rem}.tile b{display:block;font-size:1.3rem}.tile span{color:#555;font-size:.85rem}
figure{margin:1rem 0 1.6rem}figure img{max-width:100%;max-height:620px;
border:1px solid #ddd;border-radius:6px;background:#fff}
figcaption{color:#555;font-size:.9rem}.table{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem;
font-variant-numeric:tabular-nums;background:#fff}
td,th{padding:.12rem .7rem;text-align:right;border-bottom:1px solid #e4e4e4;white-space:pre}
td:first-child,th:first-child{text-align:left}tr:hover td{background:#f3f6fb}
details{border:1px solid #ddd;border-radius:8px;padding:.4rem 1rem;margin:.8rem 0;background:#f4f4f4}
summary{cursor:pointer;font-weight:600}.cards{display:grid;gap:.7rem;
grid-template-columns:repeat(auto-fill,minmax(240px,1fr))}
.card{background:#fff;border:1px solid #ddd;border-radius:6px;padding:8px;overflow-wrap:anywhere}
.card img{max-width:100%;max-height:262px;display:block;margin:auto}
.class{margin-right:1.1rem;white-space:nowrap}.class i{display:inline-block;width:.9em;height:.9em;margin-right:.35em;
border:1px solid #666;vertical-align:-.08em}
.none{padding:3rem 0;text-align:center;color:#777;background:#eee}
.card ul{margin:.3rem 0;padding-left:1.1rem;font-size:.8rem}.card code{font-size:.75rem}
.table .cells{text-align:left}.cells i{display:inline-block;width:1.35em;margin-right:2px;border-radius:3px;
text-align:center;font-style:normal;background:#eee;color:#777}.cells i:nth-child(5n){margin-right:.7em}
.cells .T{background:#4c9f70;color:#fff}.cells .F{background:#c8553d;color:#fff}.cells .N{background:#d9d9d9;color:#333}
.adopted{border-top:4px solid #4c9f70}.refused{border-top:4px solid #c8553d}.doubtful{border-top:4px solid #e0b43c}
"""


def write_page(path, space, rounds, names, tables, plots, per_kind=PER_KIND, sheet=None):
    """Writes the page.

    Args:
      path: of the HTML file.
      space: the `Workspace`.
      rounds: list of `round_facts.RoundFacts`.
      names: `round_facts.ClassNames`.
      tables: list of `tables.Table`s.
      plots: {name: path of a PNG file}.
      per_kind: images of a kind and round that are shown at most.
      sheet: `tfn_sheet.Sheet`, or None.
    """
    picked = gallery.pick(space, rounds, names, per_kind)
    shown = [one for one in rounds if picked[one.number]]
    with storage.open_whole(path) as file:
        file.write(_head(space, shown, sheet))
        file.write(_tiles(rounds, names))
        file.write('<h2 id="plots">Plots</h2>\n')
        for name, text in _PLOTS.items():
            if name in plots:
                file.write(_plot(plots[name].read_bytes(), text))
        if sheet is not None:
            file.write(_sheet(sheet, rounds))
        file.write('<h2 id="tables">Tables</h2>\n')
        file.writelines(map(_table, tables))
        file.write('<h2 id="images">Images</h2>\n')
        file.write(_legend(names, per_kind))
        for one in reversed(shown):
            for piece in _round(one, picked[one.number], names, is_open=one is shown[-1]):
                file.write(piece)
        file.write("</body></html>\n")


def _head(space, shown, sheet):
    title = f"Active learning: {escape(space.folder.absolute().name)}"
    links = [("plots", "plots"), *([] if sheet is None else [("sheet", "T/F/N sheet")]), ("tables", "tables")]
    links += [(f"round-{one.number}", f"images of round {one.number}") for one in shown]
    anchors = "".join(f'<a href="#{anchor}">{text}</a>' for anchor, text in links)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>\n'
        f"<h1>{title}</h1>\n<nav>{anchors}</nav>\n"
    )


def _legend(names, per_kind):
    """What the images are, and the colours of the first classes."""
    first = names.shown[:_MOST_IN_LEGEND]
    colors = "".join(
        f'<span class="class"><i style="background:{gallery.color_of(names.ids[name])}"></i>{escape(name)}</span>'
        for name in first
    )
    text = f"At most {per_kind} of a kind and round. A box without a score was drawn or corrected."
    return f'<p class="note">{text}</p>\n<p>{colors}{" ..." if len(first) < len(names.shown) else ""}</p>\n'


def _tiles(rounds, names):
    tiles = list(_figures(rounds, names))
    cells = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(text)}</span></div>' for value, text in tiles
    )
    return f'<div class="tiles">{cells}</div>\n' if cells else "<p>No round has come to any figure yet.</p>\n"


def _figures(rounds, names):
    """Yields (figure, what it is) of the whole."""
    stages, measured = round_facts.stages(rounds), [one for one in rounds if one.map50 is not None]
    if stages:
        yield f"{stages[0].counts.images:,} → {stages[-1].counts.images:,}", "images in the training set"
        yield f"{stages[0].counts.boxes:,} → {stages[-1].counts.boxes:,}", "boxes in the training set"
    if measured:
        figures = [f"{one.map50:.3f}" for one in (measured[0], measured[-1])[: len(measured)]]
        yield " → ".join(figures), "mAP at IoU 0.5 on the validation set"
    asked = sum(sum(one.verdicts.values()) for one in rounds)
    if asked:
        yield f"{sum(one.verdicts[ADOPTED] for one in rounds):,} of {asked:,}", "images adopted of those asked about"
        edits = sum((one.edits for one in rounds if one.edits is not None), Edits())
        changed = edits.moved + edits.relabelled + edits.added + edits.deleted
        text = f"boxes drawn or changed; {edits.kept:,} kept" if changed or edits.kept else "boxes drawn or changed"
        yield f"{changed:,}", text
    if len(stages) > 1:
        yield from _loser(stages[0].counts, stages[-1].counts, names)
    seconds = sum(sum(one.seconds.values()) for one in rounds)
    if seconds:
        yield console.format_seconds(seconds), "computing time"


def _loser(first, last, names):
    """Yields the figure of the class whose share of the set fell most, measured by what it was."""
    shown = [name for name in names.shown if first.images_of_class[name]]
    fallen = min(shown, key=lambda name: last.share(name) / first.share(name), default=None)
    if fallen is not None and last.share(fallen) < first.share(fallen):
        shares = [f"{100 * counts.share(fallen):.1f} %" for counts in (first, last)]
        yield " → ".join(shares), f"share of the set that shows {fallen}, the class that lost most"


def _plot(png, text):
    return (
        f'<figure><img alt="{escape(text)}" src="data:image/png;base64,{_base64(png)}"><figcaption>{escape(text)}'
        "</figcaption></figure>\n"
    )


def _base64(data):
    return base64.b64encode(data).decode("ascii")


def _table(table):
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>\n' if table.note else ""
    return f'<h3>{escape(table.title)}</h3>\n<div class="table"><table><tr>{head}</tr>\n{rows}</table></div>\n{note}'


def _sheet(sheet, rounds):
    """The T/F/N sheet: a row of coloured cells for each class."""
    figures = (tfn_sheet.RIGHT, tfn_sheet.WRONG, tfn_sheet.NOTHING, tfn_sheet.UNREAD, "right", "mostly taken for")
    head = '<th>class</th><th>images</th><th class="cells">cells</th>' + "".join(f"<th>{name}</th>" for name in figures)
    every = tfn_sheet.join(sheet.rows)
    rows = [_sheet_row(row, "".join(map(_cell, row.cells)), row.mostly_taken_for) for row in sheet.rows]
    rows.append(_sheet_row(every, "", ""))
    newest = max((one.number for one in rounds if one.train is not None), default=sheet.round_number)
    old = ""
    if newest > sheet.round_number:
        old = f" But round {newest} has a newer model: tfodhelper active report --test_dir=FOLDER makes the sheet anew."
    text = (
        f"Model of round {sheet.round_number} on {sheet.test_dir}: T right, F wrong, N nothing found with a score of "
        f"{sheet.score_threshold:g} or more; of several detections the highest score decides.{old}"
    )
    return (
        f'<h2 id="sheet">T/F/N sheet</h2>\n<p class="note">{escape(text)}</p>\n'
        f'<div class="table"><table><tr>{head}</tr>\n{"".join(rows)}</table></div>\n'
    )


def _sheet_row(row, cells, taken_for):
    numbers = "".join(f"<td>{escape(value)}</td>" for value in (*tfn_sheet.figures_of(row), taken_for))
    return f'<tr><td>{escape(row.label)}</td><td>{row.num_images:,}</td><td class="cells">{cells}</td>{numbers}</tr>\n'


def _cell(cell):
    if cell.mark == tfn_sheet.UNREAD:
        text = "could not be read"
    else:
        text = "nothing found" if cell.score is None else f"{cell.found} {cell.score:.0%}"
    return f'<i class="{escape(cell.mark)}" title="{escape(f"{cell.name}: {text}")}">{escape(cell.mark)}</i>'


def _round(one, galleries, names, is_open):
    """Yields the HTML of a round's images, piece by piece."""
    chosen = ""
    if one.num_chosen is not None:
        is_all = one.selection.options.takes_all
        chosen = (
            "; the whole pool was asked about"
            if is_all
            else f" of {one.num_chosen:,} chosen by {one.selection.rule_used}"
        )
    counts = f"{one.verdicts[ADOPTED]:,} adopted, {one.verdicts[REFUSED]:,} refused"
    counts += f", {one.verdicts[WAITING]:,} {NAME_OF_VERDICT[WAITING]}" if one.verdicts[WAITING] else ""
    opened = " open" if is_open else ""
    yield f'<details id="round-{one.number}"{opened}><summary>Round {one.number}: {counts}{escape(chosen)}</summary>\n'
    for part in galleries:
        yield f'<h3>{_title(part, one)}</h3>\n<div class="cards">\n'
        for shown in part.images:
            yield _card(part.kind, shown, names) + "\n"
        yield "</div>\n"
    yield "</details>\n"


def _title(part, one):
    count = f"{len(part.images):,} of {part.total:,}" if len(part.images) < part.total else f"all {part.total:,}"
    if part.kind == gallery.DOUBTFUL:
        options = one.selection and one.selection.options
        by = f" by {options.uncertainty} ({options.aggregate})" if options else ""
        return f"Most doubtful: {count} predicted images{escape(by)}"
    groups = {ADOPTED: "drawn from each class in turn", REFUSED: "drawn from each reason in turn"}
    return f"{part.kind.title()}: {count}" + (f", {groups[part.kind]}" if len(part.images) < part.total else "")


def _card(kind, shown, names):
    picture = None
    if shown.path is not None:
        ids = collections.defaultdict(lambda: 1, names.ids)
        picture = thumbnails.make_thumbnail(shown.path, gallery.marks_of(shown, ids), long_side=_LONG_SIDE)
    card = format_card(Card(shown.name, picture, tuple(gallery.lines_of(shown))))
    return card.replace('class="card"', f'class="card {kind}"', 1)
