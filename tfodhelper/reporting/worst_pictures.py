"""Pictures of where a detector fails: images with most errors, false positives and misses, from the run's records."""

import io

import numpy as np

from tfodhelper import errors, spelling
from tfodhelper.annotations import masks as masks_of_annotations
from tfodhelper.annotations.findings import Finding
from tfodhelper.formats import tfrecord_reader
from tfodhelper.metrics import mask_file, overlaps
from tfodhelper.render import html, palette, thumbnails
from tfodhelper.render.boxes import Mark

MOST_IMAGES = MOST_BOXES = mask_file.NUM_PICTURED  # that a page shows of each kind
_LONG_SIDE = 420
_MOST_MARKS = 200
_CROP = 3.0  # sides of the part of the image around a box, in sides of the box
_LEAST_CROP_PX = 96


def make_cards(analysis, detected, pattern, masks):
    """Cards of the worst mistakes; the records are read once, until all images were found.

    Args:
      analysis: values of `analysis_file.SHAPE`.
      detected: the `DetectionSet` from which it was made.
      pattern: of the record files with the images, or None.
      masks: of these images, see `mask_file.read_masks`; empty for models without masks.

    Raises:
      StorageError: a mask is damaged.

    Returns:
      {"images", "false_positives", "misses": list of `html.Card`s}.
    """
    worst = analysis["worst"]
    images = [entry for entry in worst["images"] if entry["fp"] + entry["fn"]][:MOST_IMAGES]
    false_positives, misses = (worst[name][:MOST_BOXES] for name in ("false_positives", "misses"))
    encoded = read_images(pattern, [entry["image"] for entry in (*images, *false_positives, *misses)])
    threshold = analysis["settings"]["score_threshold"] or 0.0
    return {
        "images": list(_make_image_cards(images, detected, threshold, encoded, masks)),
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


def _make_image_cards(entries, detected, threshold, encoded, masks):
    """Images with most errors: ground truth, and detections above the threshold."""
    matches = overlaps.Overlaps(detected).matches
    for entry in entries:
        index = entry["image_index"]
        marks, num_found = _marks_of(detected, matches, index, threshold, masks.get(index))
        data = encoded.get(entry["image"])
        yield html.Card(
            entry["image"],
            data and thumbnails.make_thumbnail(io.BytesIO(data), marks[:_MOST_MARKS], long_side=_LONG_SIDE),
            (
                f"{spelling.count(entry['fp'], 'false positive')} (red), {entry['fn']} missed (yellow)",
                f"{num_found} of {num_found + entry['fn']} objects found (blue)",
            ),
        )


def _marks_of(detected, matches, index, threshold, masks):
    """Boxes and masks of an image, errors first, and how many objects were found."""
    first_gt, first_det = (part.start for part in detected.of_image(index))
    of_objects, of_detections = (masks["objects"], masks["detections"]) if masks else (None, None)
    objects, rows = (np.arange(part.start, part.stop) for part in detected.of_image(index))
    rows = rows[detected.det_scores[rows] >= threshold]
    wrong = rows[~matches.hits[rows] & ~matches.is_ignored[rows]]
    is_found = np.isin(objects, matches.gt_of_det[rows[matches.hits[rows]]])
    missed, right = objects[matches.counts[objects] & ~is_found], objects[matches.counts[objects] & is_found]
    names = detected.names
    marks = []
    for row in wrong.tolist():
        text = f"{names[detected.det_class[row]]} {detected.det_scores[row]:.0%}"
        mask = _decode(of_detections, row - first_det)
        marks.append(_mark(detected.det_boxes[row], palette.BAD, text, mask))
    for color, rows in ((palette.DOUBTFUL, missed.tolist()), (palette.GOOD, right.tolist())):
        for row in rows:
            text = names[detected.gt_class[row]] if color == palette.DOUBTFUL else ""
            marks.append(_mark(detected.gt_boxes[row], color, text, _decode(of_objects, row - first_gt)))
    return marks, len(right)


def _decode(codes, position):
    """The pixels of a run-length code, bool [height, width]; None where there is no mask.

    Raises:
      StorageError: it is damaged.
    """
    code = codes[position] if codes else None
    if code is None:
        return None
    height, width = code["size"]
    try:
        runs = masks_of_annotations.decode_counts(code["counts"])
        if min(runs, default=0) < 0 or sum(runs) != height * width:
            raise ValueError(f"counts of {sum(runs)} pixels for {height} x {width}")
    except ValueError as error:
        raise errors.StorageError(
            f"{mask_file.MASKS}: a mask is damaged", received=str(error), fix="evaluate again: tfodhelper eval"
        ) from error
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def _mark(box, color, text="", mask=None):
    ymin, xmin, ymax, xmax = (float(side) for side in box)
    return Mark(xmin, ymin, xmax, ymax, color, text, mask)


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
