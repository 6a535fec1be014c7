"""One HTML page of what was found: counts, and thumbnails of the offenders with their boxes. Nothing is fetched.

All text is escaped, since names of files and classes are whatever somebody wrote. The page holds a bounded number of
pictures; report.json holds everything.
"""

import base64
import collections
import dataclasses
import html
import re

from tfodhelper import storage
from tfodhelper.annotations import findings, labelimg
from tfodhelper.annotations.structures import UnusableFile
from tfodhelper.render import thumbnails
from tfodhelper.render.thumbnails import Mark
from tfodhelper.review import suspects

MAX_OF_A_CODE = 12  # images shown for one kind of finding
MAX_SUSPECTS = 60
_MAX_LINES = 8  # findings listed under a picture
_MAX_MARKS = 400  # boxes drawn on a picture
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2rem;color:#1b1b1b;background:#fafafa}h1{font-size:1.5rem}
h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse}td,th{padding:.15rem .8rem;text-align:left;
border-bottom:1px solid #ddd}.cards{display:flex;flex-wrap:wrap;gap:1rem}.card{width:380px;background:#fff;
border:1px solid #ddd;border-radius:6px;padding:10px;overflow-wrap:anywhere}.card img{max-width:100%;display:block}
.none{padding:3rem 0;text-align:center;color:#777;background:#eee}.error{color:#b00020}.warning{color:#8a5a00}
.note{color:#555}ul{margin:.4rem 0;padding-left:1.1rem;font-size:.85rem}code{font-size:.85rem}
"""


@dataclasses.dataclass(frozen=True)
class Card:
    """One image on the page: its name, a JPEG or None, and lines of text."""

    name: str
    picture: bytes | None
    lines: tuple[str, ...]


def write_page(path, planned, by_image=None):
    """Writes the page of a plan's findings.

    Args:
      path: of the HTML file.
      planned: a `plan.Plan`, with all findings.
      by_image: {image name: list of `suspects.Suspect`s} of a comparison with a model, or None.
    """
    by_code = collections.defaultdict(list)
    for finding in planned.findings:
        by_code[finding.code].append(finding)
    cards = _CardMaker(planned)
    parts = [_head(planned), _table(planned, by_code)]
    if by_image is not None:
        parts.append(_suspects_section(cards, by_image))
    for code, count in findings.count_codes(planned.findings).items():
        kind = findings.KINDS[code]
        parts.append(f'<h2 id="{code}" class="{kind.severity}">{code} ({count}): {escape(kind.meaning)}</h2>')
        parts.append(_section(cards, by_code[code]))
    storage.write_text(path, "\n".join([*parts, "</body></html>", ""]))


def escape(text):
    """Text for HTML; characters that no page may hold are spelt out."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", str(text))
    return html.escape(text, quote=True)


def _head(planned):
    examination = planned.examination
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>check</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>check of <code>{escape(examination.source.image_dir)}</code></h1>"
        f"<p>{len(examination.images)} images can be used, {len(planned.left_out)} would be left out, "
        f"{len(examination.unlabelled)} have no annotation file.</p>"
    )


def _table(planned, by_code):
    rows = []
    for code, count in findings.count_codes(planned.findings).items():
        kind = findings.KINDS[code]
        rows.append(
            f'<tr><td class="{kind.severity}">{kind.severity}</td><td><a href="#{code}">{code}</a></td><td>{count}</td>'
            f"<td>{escape(kind.meaning)}</td><td>{escape(by_code[code][0].action)}</td></tr>"
        )
    head = "<tr><th>severity</th><th>finding</th><th>number</th><th>meaning</th><th>what is done</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>" if rows else "<p>Nothing was found.</p>"


def _section(cards, notes):
    """Cards for the first images of a code, and a list for what is not about an image."""
    by_file, plain = collections.defaultdict(list), []
    for finding in notes:
        name = cards.image_of(finding.file)
        (by_file[name] if name else plain).append(finding)
    shown = [cards.of_findings(name, by_file[name]) for name in list(by_file)[:MAX_OF_A_CODE]]
    parts = [f'<div class="cards">{"".join(map(format_card, shown))}</div>'] if shown else []
    if len(by_file) > len(shown):
        parts.append(f"<p>... and {len(by_file) - len(shown)} more images: see report.json</p>")
    if plain:
        lines = "".join(f"<li>{escape(finding.message)}</li>" for finding in plain[:MAX_OF_A_CODE])
        more = f"<li>... and {len(plain) - MAX_OF_A_CODE} more</li>" if len(plain) > MAX_OF_A_CODE else ""
        parts.append(f"<ul>{lines}{more}</ul>")
    return "\n".join(parts)


def _suspects_section(cards, by_image):
    order = suspects.rank(by_image)
    shown = [cards.of_suspects(name, by_image[name]) for name in order[:MAX_SUSPECTS]]
    text = (
        "red: a confident detection without a box, or on a box of another class; yellow: a box that no detection "
        "meets; blue: labelled. These are suspicions, the weightiest first."
    )
    return (
        f"<h2>suspected labels: {len(order)} images</h2><p>{text}</p>"
        f'<div class="cards">{"".join(map(format_card, shown))}</div>'
    )


def format_card(card):
    """A `Card` as HTML, in a box of its own; at most eight of its lines."""
    if card.picture is None:
        picture = '<div class="none">no picture</div>'
    else:
        data = base64.b64encode(card.picture).decode("ascii")
        picture = f'<img loading="lazy" alt="" src="data:image/jpeg;base64,{data}">'
    lines = "".join(f"<li>{escape(line)}</li>" for line in card.lines[:_MAX_LINES])
    more = f"<li>... and {len(card.lines) - _MAX_LINES} more</li>" if len(card.lines) > _MAX_LINES else ""
    return f'<div class="card">{picture}<code>{escape(card.name)}</code><ul>{lines}{more}</ul></div>'


class _CardMaker:
    """Makes cards of a plan's images; annotations are read as they stand in the files, faults and all."""

    def __init__(self, planned):
        self._source = planned.examination.source
        self._usable = {image.name: image for image in planned.examination.images}
        self._image_of = planned.examination.image_of
        self._xml_of = {}
        for xml, image in sorted(self._image_of.items()):
            if image is not None:
                self._xml_of.setdefault(image, xml)

    def image_of(self, file):
        """The image that a finding's file is or belongs to, or None."""
        if file in self._xml_of or file in self._usable:
            return file
        return self._image_of.get(file)

    def of_findings(self, name, notes):
        xml = next((finding.file for finding in notes if finding.file in self._image_of), self._xml_of.get(name))
        numbers = {int(match[1]) for f in notes if (match := re.match(r"object (\d+) ", f.where or ""))}
        marks = []
        for number, box in enumerate(self._boxes_of(xml)[:_MAX_MARKS], start=1):
            color = thumbnails.BAD if number in numbers else thumbnails.GOOD
            marks.append(Mark(box.xmin, box.ymin, box.xmax, box.ymax, color, box.name if number in numbers else ""))
        return Card(name, self._picture(name, marks), tuple(finding.message for finding in notes))

    def of_suspects(self, name, found):
        marks = [Mark(b.xmin, b.ymin, b.xmax, b.ymax) for b in self._usable[name].annotation.boxes[:_MAX_MARKS]]
        lines = []
        for one in reversed(found):
            color = thumbnails.DOUBTFUL if one.kind == suspects.UNFOUND else thumbnails.BAD
            box = one.box
            marks.append(Mark(box.xmin, box.ymin, box.xmax, box.ymax, color, f"{box.name} {one.score:.0%}"))
            labelled = f", labelled {one.labelled}" if one.kind == suspects.OTHER_CLASS else ""
            lines.append(f"{one.kind}: {box.name} {one.score:.0%}{labelled} ({box.describe()})")
        return Card(name, self._picture(name, marks), tuple(reversed(lines)))

    def _boxes_of(self, xml):
        if xml is None:
            return ()
        try:
            return labelimg.read_labelimg(self._source.annotation_dir / xml).boxes
        except UnusableFile:
            return ()

    def _picture(self, name, marks):
        turn = name in self._usable and self._usable[name].turn
        return thumbnails.make_thumbnail(self._source.image_dir / name, sorted(marks, key=_rank_of_mark), turn)


def _rank_of_mark(mark):
    return (thumbnails.GOOD, thumbnails.DOUBTFUL, thumbnails.BAD).index(mark.color)
