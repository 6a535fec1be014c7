"""The mistakes that are worth looking at: wrong detections of high scores, large objects missed, the worst images."""

import numpy as np

from tfodhelper.metrics import analysis_file, error_kinds, overlaps

NUM_LISTED = 50
_SIZE_LIMITS = (32.0**2, 96.0**2)  # square pixels
_SIDES = ("ymin", "xmin", "ymax", "xmax")


def found_at(overlapping, threshold):
    """Which objects are found by detections with at least that score; bool [N]."""
    det_of_gt = overlapping.matches.det_of_gt
    scores = np.append(overlapping.images.det_scores, -np.inf)  # the last entry is that of `NOTHING`
    return scores[det_of_gt] >= threshold


def find(overlapping, kinds, threshold):
    """Lists the worst mistakes.

    Args:
      overlapping: an `overlaps.Overlaps`.
      kinds: `error_kinds.Kinds` of it.
      threshold: lowest score of a detection that counts.

    Returns:
      {"false_positives", "misses", "images"}, see `analysis_file.SHAPE`.
    """
    images, matches = overlapping.images, overlapping.matches
    wrong = ~matches.is_ignored & ~matches.hits & (images.det_scores >= threshold)
    missed = matches.counts & ~found_at(overlapping, threshold)
    right = matches.hits & (images.det_scores >= threshold)
    order = overlapping.by_score
    listed = order[(wrong & (kinds.kind >= 0))[order]]
    by_area = np.argsort(-images.gt_area, kind="stable")
    return {
        "false_positives": [_false_positive(images, kinds, row) for row in listed[:NUM_LISTED].tolist()],
        "misses": [_miss(overlapping, row) for row in by_area[missed[by_area]][:NUM_LISTED].tolist()],
        "images": _images(images, right, wrong, missed),
    }


def _false_positive(images, kinds, row):
    gt = int(kinds.gt[row])
    return {
        "image": images.image_names[images.det_image[row]],
        "image_index": int(images.det_image[row]),
        "class": images.names[images.det_class[row]],
        "score": float(images.det_scores[row]),
        "box": _box(images.det_boxes[row]),
        "kind": error_kinds.NAMES[kinds.kind[row]],
        "iou": float(kinds.iou[row]),
        "object_class": None if gt == overlaps.NOTHING else images.names[images.gt_class[gt]],
        "object_box": None if gt == overlaps.NOTHING else _box(images.gt_boxes[gt]),
    }


def _miss(overlapping, row):
    images, pairs = overlapping.images, overlapping.pairs
    near = np.flatnonzero(pairs.gt == row)
    best = near[np.argmax(pairs.iou[near])] if len(near) else None
    det = None if best is None else int(pairs.det[best])
    return {
        "image": images.image_names[images.gt_image[row]],
        "image_index": int(images.gt_image[row]),
        "class": images.names[images.gt_class[row]],
        "box": _box(images.gt_boxes[row]),
        "size": analysis_file.SIZES[int(np.searchsorted(_SIZE_LIMITS, images.gt_area[row], side="right"))],
        "iou": None if best is None else float(pairs.iou[best]),
        "score": None if det is None else float(images.det_scores[det]),
        "detected_class": None if det is None else images.names[images.det_class[det]],
        "detected_box": None if det is None else _box(images.det_boxes[det]),
    }


def _images(images, right, wrong, missed):
    tp, fp, fn = (
        np.bincount(of_image[chosen], minlength=images.num_images)
        for of_image, chosen in ((images.det_image, right), (images.det_image, wrong), (images.gt_image, missed))
    )
    order = np.argsort(-(fp + fn), kind="stable")
    return [
        {
            "image": images.image_names[index],
            "image_index": index,
            "tp": int(tp[index]),
            "fp": int(fp[index]),
            "fn": int(fn[index]),
        }
        for index in order[(fp + fn)[order] > 0][:NUM_LISTED].tolist()
    ]


def _box(sides):
    return dict(zip(_SIDES, sides.tolist()))
