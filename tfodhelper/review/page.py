"""One HTML page of what was found: counts, and thumbnails of the images concerned with their boxes.

The page holds a bounded number of pictures; report.json holds everything.
"""

import collections
import contextlib
import dataclasses
import re
from collections.abc import Iterable

from tfodhelper.annotations import findings
from tfodhelper.render import html, palette, thumbnails
from tfodhelper.render.boxes import Mark
from tfodhelper.render.html import Card
from tfodhelper.review import suspects

MAX_OF_A_CODE = 12  # images shown for one kind of finding
MAX_SUSPECTS = 60
_MAX_MARKS = 400  # boxes drawn on a picture
_MAX_NAMES = 40  # more names of boxes without a finding would hide the picture
_ORDER_OF_MARKS = (palette.BAD, palette.DOUBTFUL, palette.GOOD)  # the first ones are on top


@dataclasses.dataclass(frozen=True)
class _Kind:
    """One kind of finding in the overview."""

    code: str
    severity: str
    count: int
    meaning: str
    action: str


@dataclasses.dataclass(frozen=True)
class _Section:
    """The findings of one kind: cards of the images concerned, and messages that are not about an image."""

    kind: _Kind
    cards: Iterable[Card]
    num_images: int
    num_more_images: int
    messages: list[str]
    num_more_messages: int


@dataclasses.dataclass(frozen=True)
class _Suspects:
    """Images with suspected labels, the strongest suspicions first."""

    cards: Iterable[Card]
    num_shown: int
    total: int


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
    kinds = [
        _Kind(code, findings.KINDS[code].severity, count, findings.KINDS[code].meaning, by_code[code][0].action)
        for code, count in findings.count_codes(planned.findings).items()
    ]
    cards = _CardMaker(planned)
    source = planned.examination.source
    html.write_page(
        path,
        "check.html",
        title=f"Check of {source.image_dir.absolute().name or source.image_dir}",
        places=list(dict.fromkeys([str(source.image_dir), str(source.annotation_dir)])),
        links=[("findings", "findings"), *([] if by_image is None else [("suspects", "suspected labels")])],
        tiles=_make_tiles(planned),
        kinds=kinds,
        suspects=None if by_image is None else _list_suspects(cards, by_image),
        sections=(_make_section(cards, kind, by_code[kind.code]) for kind in kinds),
    )


def _make_tiles(planned):
    """[(number, its meaning)] of the whole set."""
    severities = collections.Counter(finding.severity for finding in planned.findings)
    counts = [
        (len(planned.examination.images), "images can be used"),
        (len(planned.left_out), "images would be left out"),
        (len(planned.examination.unlabelled), "images have no annotation file"),
        *((severities[severity], f"{severity}s") for severity in (findings.ERROR, findings.WARNING, findings.NOTE)),
    ]
    return [(f"{count:,}", text) for count, text in counts]


def _make_section(cards, kind, notes):
    """The `_Section` of all findings of a kind."""
    by_image, messages = collections.defaultdict(list), []
    for finding in notes:
        name = cards.image_of(finding.file)
        if name:
            by_image[name].append(finding)
        else:
            messages.append(finding.message)
    shown = list(by_image)[:MAX_OF_A_CODE]
    return _Section(
        kind,
        (cards.of_findings(name, by_image[name]) for name in shown),
        len(shown),
        len(by_image) - len(shown),
        messages[:MAX_OF_A_CODE],
        len(messages[MAX_OF_A_CODE:]),
    )


def _list_suspects(cards, by_image):
    order = suspects.rank(by_image)
    shown = order[:MAX_SUSPECTS]
    return _Suspects((cards.of_suspects(name, by_image[name]) for name in shown), len(shown), len(order))


class _CardMaker:
    """Makes cards of a plan's images; annotations are read as they are in the files, faults and all."""

    def __init__(self, planned):
        self._source, self._index = planned.examination.source, planned.examination.index
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
        """The `Card` of an image with its findings; the objects that they concern are red."""
        xml = next((finding.file for finding in notes if finding.file in self._image_of), self._xml_of.get(name))
        concerned = {int(match[1]) for f in notes if (match := re.match(r"object (\d+) ", f.where or ""))}
        boxes, size = self._read_boxes(xml)
        boxes = boxes[:_MAX_MARKS]
        shows_names = len(boxes) <= _MAX_NAMES
        marks = [
            _mark(box, palette.BAD, box.name, size)
            if number in concerned
            else _mark(box, palette.GOOD, box.name if shows_names else "", size)
            for number, box in enumerate(boxes, start=1)
        ]
        return Card(name, self._draw(name, marks), tuple(finding.message for finding in notes))

    def of_suspects(self, name, image_suspects):
        """The `Card` of an image with its suspected labels, the strongest suspicion first."""
        marks, lines = [], []
        for suspect in image_suspects:
            box = suspect.box
            color = palette.DOUBTFUL if suspect.kind == suspects.UNFOUND else palette.BAD
            marks.append(_mark(box, color, f"{box.name} {suspect.score:.0%}"))
            labelled = f", labelled {suspect.labelled}" if suspect.kind == suspects.OTHER_CLASS else ""
            lines.append(f"{suspect.kind}: {box.name} {suspect.score:.0%}{labelled} ({box.describe()})")
        annotation = self._usable[name].annotation
        kept, size = annotation.boxes[:_MAX_MARKS], (annotation.height, annotation.width)
        marks += [_mark(box, palette.GOOD, box.name if len(kept) <= _MAX_NAMES else "", size) for box in kept]
        return Card(name, self._draw(name, marks), tuple(lines))

    def _read_boxes(self, xml):
        """(boxes, (height, width) or Nones) of an annotation file."""
        position = -1 if xml is None else self._index.xml_names.find(xml)
        annotation = None if position < 0 else self._index.entries[position].annotation
        return ((), (None, None)) if annotation is None else (annotation.boxes, (annotation.height, annotation.width))

    def _draw(self, name, marks):
        turn = name in self._usable and self._usable[name].turn
        marks = sorted(marks, key=lambda mark: _ORDER_OF_MARKS.index(mark.color))
        return thumbnails.make_thumbnail(self._source.image_dir / name, marks, turn)


def _mark(box, color, text="", size=(None, None)):
    """The `Mark` of a box; with its mask if the size (height, width) of the image is known and fits."""
    mask = None
    if box.mask is not None and None not in size:
        with contextlib.suppress(ValueError):  # another size, which is a finding of its own
            mask = box.mask.to_array(*size)
    return Mark(box.xmin, box.ymin, box.xmax, box.ymax, color, text, mask)
