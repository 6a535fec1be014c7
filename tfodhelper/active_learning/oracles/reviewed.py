"""What a person made of a draft, as an answer: checked, compared with the draft, in the frame of the stored image."""

import dataclasses
import pathlib

from tfodhelper.active_learning.oracles import edits
from tfodhelper.active_learning.structures import ADOPTED, WAITING, Answer
from tfodhelper.annotations import checks, findings
from tfodhelper.annotations.images import ImageFacts

VERIFIED = "verified by a person"


def to_answer(draft, annotation, shown, source, label_map=None):
    """Compares a person's annotation with the draft; unchanged boxes get their original corners back.

    Args:
      draft: a `drafts.Draft`.
      annotation: an `Annotation` in the frame in which the person saw the image.
      shown: the boxes of the draft, as the person would have left them unchanged, in the same frame.
      source: of the annotation, for messages.
      label_map: the classes that a box may have, or None for all.

    Returns:
      (`Answer`: ADOPTED, or WAITING with the code of a finding as the reason; list of what has to be corrected).
    """
    compared = edits.compare_boxes(shown, annotation.boxes)
    predicted = [draft.to_shown(box) for box in draft.boxes]
    boxes = [
        _with_corners(box, predicted[source]) if is_unchanged else box
        for box, is_unchanged, source in zip(annotation.boxes, compared.unchanged, compared.sources)
    ]
    facts = ImageFacts(draft.format, *draft.shown_size, draft.mode, 1, "", 0)
    annotation = dataclasses.replace(annotation, boxes=tuple(boxes))
    checked = checks.check_annotation(annotation, facts, source, label_map, image_file=draft.image)
    severe = [finding for finding in checked.findings if finding.severity == findings.ERROR]
    if severe:
        locations = [f"{source}: {finding.where}" if finding.where else source for finding in severe]
        problems = [f"{location}: {finding.what}" for location, finding in zip(locations, severe)]
        return Answer(draft.name, WAITING, reason=severe[0].code), problems
    annotation = dataclasses.replace(
        checked.annotation,
        filename=pathlib.PurePosixPath(draft.name).name,
        width=draft.width,
        height=draft.height,
        boxes=tuple(draft.to_stored(box) for box in checked.annotation.boxes),
    )
    scores = tuple(
        draft.scores[source] if is_unchanged else None
        for is_unchanged, source in zip(compared.unchanged, compared.sources)
    )
    return Answer(draft.name, ADOPTED, annotation, VERIFIED, compared.edits, scores), []


def _with_corners(box, other):
    return dataclasses.replace(box, xmin=other.xmin, ymin=other.ymin, xmax=other.xmax, ymax=other.ymax)
