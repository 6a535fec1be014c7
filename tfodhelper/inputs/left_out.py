"""Counts, before the first step, which boxes of the records training and evaluation leave out, and why.

A training whose boxes are all left out looks like a good one: its loss falls towards 0. So records that do not fit the
label map, or whose corners are not fractions, are refused if no box is left, and reported if some are.
"""

import collections
import dataclasses
import math
import mmap

from tfodhelper import console, errors, spelling
from tfodhelper.inputs import usable
from tfodhelper.records import labels
from tfodhelper.records import reader as records_reader

MOST_RECORDS = 200_000  # that are looked at, evenly distributed; about six seconds
_SLOW = 50_000  # records, from which on progress is shown
_SHOWN = 6  # classes in a message
SURPLUS = "surplus"
_SIDES = ("ymin", "xmin", "ymax", "xmax")
_WORDS = {
    usable.NUMBER: "a corner is not a number",
    usable.INVERTED: "the corners are in the wrong order",
    usable.AREA: "no area inside the image",
    usable.FAR_AREA: "the corners are not fractions of the image, but perhaps pixels; no area inside it",
    SURPLUS: "more than max_number_of_boxes allows in an image",
    usable.FAR: "the corners are not fractions of the image, but perhaps pixels; clipped to it",
}


@dataclasses.dataclass
class Census:
    """What was counted.

    Attributes:
      max_boxes: per image, as the configuration says; further boxes are left out.
      num_records: of all files.
      num_counted: records that were looked at; fewer only if there are more than `MOST_RECORDS`.
      num_boxes, num_usable: boxes in them; usable ones are boxes with a known class and no fault.
      num_masked: usable boxes whose object has a mask.
      mask_types: {how masks are kept, see `labels.Labels`: records}.
      num_emptied: records that have boxes, of which none is left.
      most_kept: boxes that are kept of a record, where these are most.
      unknown: {(class name or None, class id or None): boxes} whose class is not in the label map.
      faults: {fault, see `usable.find_fault`: boxes} of the others.
      examples: {fault: where the first such box is, and its corners}.
    """

    max_boxes: float = math.inf
    num_records: int = 0
    num_counted: int = 0
    num_boxes: int = 0
    num_usable: int = 0
    num_masked: int = 0
    mask_types: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    num_emptied: int = 0
    most_kept: int = 0
    unknown: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    faults: collections.Counter = dataclasses.field(default_factory=collections.Counter)
    examples: dict = dataclasses.field(default_factory=dict)

    @property
    def num_lost(self):
        """Boxes that are left out."""
        return sum(self.unknown.values()) + sum(self.faults[fault] for fault in (*usable.LOST, SURPLUS))

    def add(self, path, number, record, label_map):
        """Counts one record: its path, its number in the file, and its `labels.Labels`."""
        lost, usable_before = self.num_lost, self.num_usable
        for position, index in enumerate(usable.class_indices(record, label_map)):
            fault = usable.find_fault(record.corners[position])
            if index is None:
                name = record.names[position] if record.names else None
                self.unknown[name, record.ids[position] if record.ids else None] += 1
            elif fault is None:
                self.num_usable += 1
                self.num_masked += bool(record.has_mask and record.has_mask[position])
            else:
                self.faults[fault] += 1
                if fault not in self.examples:
                    self.examples[fault] = _describe_box(path, number, record, position)
        surplus = self.num_usable - usable_before - self.max_boxes
        if surplus > 0:
            self._count_surplus(surplus, path, number, record)
        if record.mask_type:
            self.mask_types[record.mask_type] += 1
        self.num_counted += 1
        self.num_boxes += len(record.corners)
        num_kept = len(record.corners) - (self.num_lost - lost)
        self.num_emptied += num_kept == 0 < len(record.corners)
        self.most_kept = max(self.most_kept, num_kept)

    def _count_surplus(self, surplus, path, number, record):
        self.num_usable -= surplus
        self.faults[SURPLUS] += surplus
        boxes = spelling.count(len(record.corners), "box")
        self.examples.setdefault(SURPLUS, f"{_describe_record(path, number, record)}: {boxes}")


def count_left_out(paths, label_map, max_boxes=None, most=MOST_RECORDS):
    """Counts over record files; no image is read.

    Args:
      paths: of the files.
      label_map: the `LabelMap` of the reader, or None: every id from 1 is known.
      max_boxes: per image, None for any number.
      most: records that are looked at; of more, every second, third, ... one is.

    Returns:
      A `Census`.

    Raises:
      DatasetError: a file or a record cannot be read; it is named.
    """
    num_records = records_reader.count_records(paths)
    census = Census(max_boxes=math.inf if max_boxes is None else max_boxes, num_records=num_records)
    every = -(-census.num_records // most) or 1
    is_slow = census.num_records > _SLOW
    progress = console.Progress("records checked", -(-census.num_records // every)) if is_slow else None
    position = 0
    for path in paths:
        for number, span, data in _iterate_spans(path):
            if position % every == 0:
                try:
                    record = labels.read_labels(data, span[0], sum(span))
                except labels.UNREADABLE as error:
                    raise labels.explain(path, number, data, span, error) from error
                census.add(path, number, record, label_map)
                if progress is not None:
                    progress.advance()
            position += 1
    if progress is not None:
        progress.show(final=True)
    return census


def _iterate_spans(path):
    """Yields (number from 0, (offset, length), map of the file) of each record."""
    spans = enumerate(records_reader.iterate_spans(path))
    first = next(spans, None)
    if first is None:
        return
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield (*first, data)
        for number, span in spans:
            yield number, span, data


def _describe_box(path, number, record, position):
    corners = ", ".join(f"{side} {value:g}" for side, value in zip(_SIDES, record.corners[position]))
    return f"{_describe_record(path, number, record)}: {corners}"


def _describe_record(path, number, record):
    return f"{path}, record {number} (from 0)" + (f", {record.filename!r}" if record.filename else "")


def check_records(input_reader, name, label_map, needs_boxes, max_boxes=None, wants_masks=False):
    """Refuses records of which no box can be used, and warns of boxes that are left out.

    With `wants_masks`, boxes without masks are treated in the same way, and masks have to be kept as `mask_type` says.

    Args:
      input_reader: an `InputReader` message.
      name: of the message in the configuration, for messages.
      label_map: the `LabelMap` that it names, or None.
      needs_boxes: whether records without any box are refused, too.
      max_boxes: per image, None for any number.
      wants_masks: whether the model predicts masks.

    Returns:
      The `Census`.

    Raises:
      DatasetError: there are no records, none of their boxes can be used, or one of them cannot be read.
    """
    patterns = list(input_reader.tf_record_input_reader.input_path)
    census = count_left_out(records_reader.list_shards(patterns), label_map, max_boxes)
    if not census.num_records:
        raise errors.DatasetError(
            f"{name}: the records contain no images", received=", ".join(patterns), fix="convert the images again"
        )
    where = f"{name} ({', '.join(patterns)})"
    if not census.num_boxes:
        _refuse_without_boxes(where, census, needs_boxes)
    elif not census.num_usable:
        raise _explain_all(where, census, input_reader.label_map_path, label_map)
    elif census.num_lost or census.faults:
        console.warn(_describe_some(where, census, input_reader.label_map_path, label_map))
    if wants_masks and census.num_usable:
        _check_masks(where, name, census, input_reader, needs_boxes)
    return census


def _check_masks(where, name, census, input_reader, needs_masks):
    """Raises a DatasetError if masks are needed and there are none; warns if some boxes have none."""
    field = input_reader.DESCRIPTOR.fields_by_name["mask_type"]
    read_as = field.enum_type.values_by_number[input_reader.mask_type].name
    read_as = labels.NUMERICAL if read_as == "DEFAULT" else read_as
    others = [kind for kind in census.mask_types if kind != read_as]
    if others:
        raise errors.DatasetError(
            f"{where}: the records keep masks in another way than the configuration says",
            expected=f"mask_type: {read_as}",
            received=f"{others[0]} in {spelling.count(census.mask_types[others[0]], 'record')}{_part(census)}",
            fix=f"--set {name}.mask_type={others[0]}",
        )
    boxes = spelling.count(census.num_usable, "box")
    if census.num_masked:
        if census.num_masked < census.num_usable:
            console.warn(
                f"{where}: {census.num_usable - census.num_masked} of {boxes} have no mask{_part(census)}: their boxes "
                "and classes count, but nothing is learned or judged of their masks"
            )
        return
    if not needs_masks:
        console.warn(f"{where}: none of {boxes} has a mask{_part(census)}: masks cannot be judged")
        return
    raise errors.DatasetError(
        f"{where}: the model predicts masks, and none of {boxes} has one{_part(census)}",
        expected="masks of the objects, which LabelImg does not draw: outlines of labelme or X-AnyLabeling, COCO JSON "
        "or PNGs",
        received="boxes alone",
        fix="convert a set with masks; or convert this one with --boxes_as_masks, and the model learns rectangles; or "
        "train boxes alone: --set model.faster_rcnn.number_of_stages=2",
    )


def _refuse_without_boxes(where, census, needs_boxes):
    if needs_boxes:
        raise errors.DatasetError(
            f"{where}: no record has a box, so that there is nothing to learn",
            expected="the features image/object/bbox/xmin, ymin, xmax, ymax and image/object/class/text or label",
            received=f"{spelling.count(census.num_counted, 'record')} without them",
            fix="convert the images together with their annotations",
        )
    console.warn(f"{where}: none of {spelling.count(census.num_counted, 'record')} has a box: mAP cannot be measured")


def _explain_all(where, census, label_map_path, label_map):
    reasons = _reasons(census)
    fix = "make the records again from annotations with these classes, or use the label map that they were made with"
    if not census.unknown:
        fix = "write corners as fractions of the image: x divided by its width, y by its height, min before max"
    return errors.DatasetError(
        f"{where}: none of {spelling.count(census.num_boxes, 'box')} can be used{_part(census)}",
        expected=_known(label_map_path, label_map) if census.unknown else "corners from 0 to 1",
        received="; ".join(reasons),
        fix="; ".join([*_suggestions(census, label_map), fix]),
    )


def _describe_some(where, census, label_map_path, label_map):
    head = f"{where}: {census.num_lost} of {spelling.count(census.num_boxes, 'box')} are left out{_part(census)}"
    if census.num_emptied:
        head += f"; {spelling.count(census.num_emptied, 'image')} without any box left, now background"
    lines = [head, *_reasons(census)]
    if census.unknown:
        lines += [f"expected: {_known(label_map_path, label_map)}", *_suggestions(census, label_map)]
    return "\n  ".join(lines)


def _part(census):
    """Says it if not all records were looked at."""
    if census.num_counted == census.num_records:
        return ""
    return f" (counted in {census.num_counted} of {spelling.count(census.num_records, 'record')})"


def _reasons(census):
    """One text for each reason, with its number of boxes."""
    reasons = []
    if census.unknown:
        most = [f"{_class_words(*each)} ({count})" for each, count in census.unknown.most_common(_SHOWN)]
        more = len(census.unknown) - len(most)
        number = spelling.count(sum(census.unknown.values()), "box")
        listed = ", ".join(most) + (f" and {more} more" if more else "")
        reasons.append(f"{number} of classes that the label map does not have: {listed}")
    for fault, count in census.faults.most_common():
        reasons.append(f"{spelling.count(count, 'box')}: {_WORDS[fault]} (first in {census.examples[fault]})")
    return reasons


def _class_words(name, id):
    if name is None:
        return "neither a name nor an id" if id is None else f"id {id}"
    return repr(name) + ("" if id is None else f" with id {id}")


def _known(label_map_path, label_map):
    if label_map is None:
        return "ids from 1"
    items = [f"{item.name!r} (id {item.id})" for item in list(label_map)[:_SHOWN]]
    more = len(label_map) - len(items)
    return f"the classes of {label_map_path}: {', '.join(items)}" + (f" and {more} more" if more else "")


def _suggestions(census, label_map):
    """What may have been meant."""
    names = list(dict.fromkeys(name for name, _ in census.unknown if name is not None))[:_SHOWN]
    known = () if label_map is None else label_map.names
    near = [(name, spelling.nearest(name, known, 1)) for name in names]
    meant = [f"{nearest[0]!r} instead of {name!r}" for name, nearest in near if nearest]
    suggestions = [f"did you mean {', '.join(meant)}?"] if meant else []
    if any(name is None and id == 0 for name, id in census.unknown):
        suggestions.append(
            "ids count from 1; if these count from 0, the boxes that are left have wrong classes, too: "
            "make the records again with ids from 1"
        )
    return suggestions
