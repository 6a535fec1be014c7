"""Pictures of where a detector fails: images with most errors, false positives and misses, from the run's records."""

import io

import numpy as np

from tfodhelper import spelling
from tfodhelper.annotations.findings import Finding
from tfodhelper.formats import tfrecord_reader
from tfodhelper.metrics import overlaps
from tfodhelper.render import html, palette, thumbnails
from tfodhelper.render.boxes import Mark

MOST_IMAGES, MOST_BOXES = 12, 12  # that a page shows of each kind
_LONG_SIDE = 420
_MOST_MARKS = 200
_CROP = 3.0  # sides of the part of the image around a box, in sides of the box
_LEAST_CROP_PX = 96


def make_cards(analysis, detected, pattern):
    """Cards of the worst mistakes; the records are read once, until all images were found.

    Args:
      analysis: values of `analysis_file.SHAPE`.
      detected: the `DetectionSet` from which it was made.
      pattern: of the record files with the images, or None.

    Returns:
      {"images", "false_positives", "misses": list of `html.Card`s}.
    """
    worst = analysis["worst"]
    images = [entry for entry in worst["images"] if entry["fp"] + entry["fn"]][:MOST_IMAGES]
    false_positives, misses = (worst[name][:MOST_BOXES] for name in ("false_positives", "misses"))
    encoded = read_images(pattern, [entry["image"] for entry in (*images, *false_positives, *misses)])
    threshold = analysis["settings"]["score_threshold"] or 0.0
    return {
        "images": list(_make_image_cards(images, detected, threshold, encoded)),
        "false_positives": list(_make_crops(false_positives, encoded, _describe_false_positive)),
        "misses": list(_make_crops(misses, encoded, _describe_miss)),
    }


def read_images(pattern, names):
    """The encoded images of some records, {name: bytes}; those that are not in the records are left out."""
    wanted, images = set(names), {}
    if pattern is None or not wanted:
        return images
    for record in tfrecord_reader.read_records(tfrecord_reader.list_filled(pattern)):
        if not isinstance(record, Finding) and record.listed.name in wanted:
            images[record.listed.name] = record.data
            wanted.discard(record.listed.name)
            if not wanted:
                break
    return images


def _make_image_cards(entries, detected, threshold, encoded):
    """Images with most errors: ground truth, and detections above the threshold."""
    matches = overlaps.Overlaps(detected).matches
    for entry in entries:
        marks, num_found = _marks_of(detected, matches, entry["image_index"], threshold)
        data = encoded.get(entry["image"])
        yield html.Card(
            entry["image"],
            data and thumbnails.make_thumbnail(io.BytesIO(data), marks[:_MOST_MARKS], long_side=_LONG_SIDE),
            (
                f"{spelling.count(entry['fp'], 'false positive')} (red), {entry['fn']} missed (yellow)",
                f"{num_found} of {num_found + entry['fn']} objects found (blue)",
            ),
        )


def _marks_of(detected, matches, index, threshold):
    """Boxes of an image, errors first, and how many objects were found."""
    objects, rows = (np.arange(part.start, part.stop) for part in detected.of_image(index))
    rows = rows[detected.det_scores[rows] >= threshold]
    wrong = rows[~matches.hits[rows] & ~matches.is_ignored[rows]]
    is_found = np.isin(objects, matches.gt_of_det[rows[matches.hits[rows]]])
    missed, right = objects[matches.counts[objects] & ~is_found], objects[matches.counts[objects] & is_found]
    names = detected.names
    marks = [
        _mark(detected.det_boxes[row], palette.BAD, f"{names[detected.det_class[row]]} {detected.det_scores[row]:.0%}")
        for row in wrong.tolist()
    ]
    marks += [_mark(detected.gt_boxes[row], palette.DOUBTFUL, names[detected.gt_class[row]]) for row in missed.tolist()]
    marks += [_mark(detected.gt_boxes[row], palette.GOOD) for row in right.tolist()]
    return marks, len(right)


def _mark(box, color, text=""):
    ymin, xmin, ymax, xmax = (float(side) for side in box)
    return Mark(xmin, ymin, xmax, ymax, color, text)


def _describe_false_positive(entry):
    marks = [_mark_of(entry["box"], palette.BAD, f"{entry['class']} {entry['score']:.0%}")]
    if entry["object_box"]:
        marks.append(_mark_of(entry["object_box"], palette.GOOD, entry["object_class"]))
    lines = [f"{entry['class']}, score {entry['score']:.2f}: {entry['kind']}"]
    if entry["object_class"]:
        lines.append(f"next object: {entry['object_class']}, overlap {entry['iou'] or 0:.2f}")
    return marks, lines


def _describe_miss(entry):
    marks = [_mark_of(entry["box"], palette.DOUBTFUL, entry["class"])]
    lines = [f"{entry['class']}, {entry['size']}"]
    if entry["detected_box"]:
        text = f"{entry['detected_class']} {entry['score'] or 0:.0%}"
        marks.append(_mark_of(entry["detected_box"], palette.BAD, text))
        lines.append(f"nearest detection: {text}, overlap {entry['iou'] or 0:.2f}")
    else:
        lines.append("no detection overlaps it")
    return marks, lines


def _mark_of(box, color, text):
    return Mark(box["xmin"], box["ymin"], box["xmax"], box["ymax"], color, text or "")


def _make_crops(entries, encoded, describe):
    """Boxes, each with its surroundings."""
    for entry in entries:
        marks, lines = describe(entry)
        data = encoded.get(entry["image"])
        picture = data and thumbnails.make_thumbnail(
            io.BytesIO(data), marks, long_side=_LONG_SIDE, part=_part_around(entry["box"])
        )
        yield html.Card(entry["image"], picture, tuple(lines))


def _part_around(box):
    """The part of the image to show: (left, top, right, bottom) in pixels, not clipped."""
    half = max(box["xmax"] - box["xmin"], box["ymax"] - box["ymin"], _LEAST_CROP_PX / _CROP) * _CROP / 2
    x, y = (box["xmin"] + box["xmax"]) / 2, (box["ymin"] + box["ymax"]) / 2
    return x - half, y - half, x + half, y + half
