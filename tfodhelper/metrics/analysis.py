"""All figures of an evaluation as plain values: the content of analysis.json, see `analysis_file.SHAPE`."""

import numpy as np

from tfodhelper.metrics import (
    analysis_file,
    average,
    calibration,
    coco,
    coco_curves,
    error_kinds,
    operating_points,
    overlaps,
    worst,
)

_DEFAULT_THRESHOLD = 0.5  # where no threshold is best: nothing was found
_NUM_DIGITS = 6  # of curves
_BINS_PER_OCTAVE = 2  # of the histogram of sizes
_AVERAGES = dict(
    zip(
        ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium")
        + ("ar_large",),
        coco.FIGURES,
    )
)
_SIZE_EDGES = (0.0, 32.0, 96.0, None)  # pixels, of the square root of an area, as in COCO


def analyze(overlapping, figures, step=None, model="", data="", detections_sha256=""):
    """Computes the analysis of a set.

    Args:
      overlapping: an `overlaps.Overlaps`.
      figures: {tag: value} of the requested metrics; NaN, or -1 of COCO's, where they could not be measured.
      step: of the checkpoint, or None.
      model: what was evaluated, in words.
      data: what it was evaluated on, in words.
      detections_sha256: digest of the file with the detections.

    Returns:
      Plain values for `analysis_file.write_analysis`.
    """
    images, points = overlapping.images, operating_points.OperatingPoints(overlapping)
    best = points.overall.best_threshold()
    threshold = _DEFAULT_THRESHOLD if np.isnan(best) else best
    kinds = error_kinds.classify(overlapping)
    return {
        "step": step,
        "source": {"model": str(model), "data": str(data)},
        "settings": {
            "iou_threshold": overlaps.MATCH,
            "background_iou": overlaps.LEAST,
            "score_threshold": threshold,
            "max_detections": overlaps.MAX_DETECTIONS,
        },
        "detections": {"file": analysis_file.DETECTIONS, "sha256": detections_sha256},
        **_tables(overlapping, points, threshold),
        "figures": {tag: _plain(value) for tag, value in coco.unmeasured_as_nan(figures).items()},
        "curves": _curves(overlapping, points),
        "confusion": {
            "score_threshold": threshold,
            "labels": [*images.names, analysis_file.BACKGROUND],
            "matrix": operating_points.confusion(overlapping, threshold).tolist(),
        },
        "errors": _errors(overlapping, kinds),
        "calibration": _calibration(overlapping),
        "sizes": _sizes(overlapping, threshold),
        "worst": worst.find(overlapping, kinds, threshold),
    }


def _plain(value):
    """A number as JSON has it, null for NaN."""
    return None if np.isnan(value) else float(value)


def _rounded(values):
    return [None if np.isnan(value) else round(value, _NUM_DIGITS) for value in np.asarray(values, float).tolist()]


def _tables(overlapping, points, threshold):
    """The summary and the rows of the classes."""
    images, counts = overlapping.images, overlapping.matches.counts
    precision, recall = overlapping.coco
    num_objects = np.bincount(images.gt_class[counts], minlength=images.num_classes).tolist()
    pairs = np.unique(images.gt_image[counts].astype(np.int64) * images.num_classes + images.gt_class[counts])
    num_images = np.bincount(pairs % images.num_classes, minlength=images.num_classes).tolist()
    summary = {
        **_averages(precision, recall, slice(None)),
        **_at(points.overall, threshold),
        "num_images": images.num_images,
        "num_objects": sum(num_objects),
        "num_detections": len(images.det_class),
    }
    rows = [
        {
            **_identity(images, k),
            **_averages(precision, recall, [k]),
            **_at(points.by_class[k], threshold),
            "num_images": num_images[k],
            "num_objects": num_objects[k],
        }
        for k in range(images.num_classes)
    ]
    return {"summary": summary, "per_class": rows}


def _identity(images, k):
    return {"id": int(images.class_ids[k]), "name": images.names[k]}


def _averages(precision, recall, classes):
    values = coco.unmeasured_as_nan(coco.figures_of(precision, recall, classes, prefix=""))
    return {name: _plain(values[tag]) for name, tag in _AVERAGES.items()}


def _at(class_points, threshold):
    counts = class_points.at(threshold)
    rates = {name: _plain(getattr(counts, name)) for name in ("precision", "recall", "f1")}
    best = {"best_threshold": _plain(class_points.best_threshold())}
    return rates | best | {name: int(getattr(counts, name)) for name in ("tp", "fp", "fn")}


def _curves(overlapping, points):
    images, matches = overlapping.images, overlapping.matches
    order = overlapping.by_score
    order = order[~matches.is_ignored[order]]
    num_gt = np.bincount(images.gt_class[matches.counts], minlength=images.num_classes)
    levels = average.interpolated(images.det_class[order], matches.hits[order], num_gt)
    levels[num_gt == 0] = np.nan
    mean = np.nanmean(levels[num_gt > 0], axis=0) if num_gt.any() else np.full(levels.shape[1], np.nan)
    return {
        "overall": _curve(points.overall, mean),
        "per_class": [
            {**_identity(images, k), **_curve(points.by_class[k], levels[k])} for k in range(images.num_classes)
        ],
    }


def _curve(class_points, precision_at_recall):
    counts = class_points.at(operating_points.LEVELS)
    return {
        "score": _rounded(operating_points.LEVELS),
        **{name: _rounded(getattr(counts, name)) for name in ("precision", "recall", "f1")},
        "recall_level": _rounded(coco_curves.RECALL_LEVELS),
        "precision_at_recall": _rounded(precision_at_recall),
    }


def _errors(overlapping, kinds):
    images, costs = overlapping.images, error_kinds.cost(overlapping, kinds)
    by_class = np.zeros([images.num_classes, len(error_kinds.NAMES)], np.int64)
    wrong = kinds.kind >= 0
    np.add.at(by_class, (images.det_class[wrong], kinds.kind[wrong]), 1)
    np.add.at(by_class[:, error_kinds.MISSED], images.gt_class[kinds.is_missed], 1)
    totals = by_class.sum(axis=0)
    return {
        "ap50": _plain(costs.ap),
        "kinds": {
            name: {"count": int(totals[i]), "delta_ap": _plain(costs.by_kind[i])}
            for i, name in enumerate(error_kinds.NAMES)
        },
        "false_positives": {"delta_ap": _plain(costs.false_positives)},
        "false_negatives": {"delta_ap": _plain(costs.false_negatives)},
        "per_class": [
            {**_identity(images, k), "counts": dict(zip(error_kinds.NAMES, by_class[k].tolist()))}
            for k in range(images.num_classes)
        ],
    }


def _calibration(overlapping):
    images, matches = overlapping.images, overlapping.matches
    counted = ~matches.is_ignored
    classes, scores, hits = images.det_class[counted], images.det_scores[counted], matches.hits[counted]
    overall = calibration.reliability(scores, hits)
    order = np.argsort(classes, kind="stable")
    starts = np.searchsorted(classes[order], np.arange(images.num_classes + 1))
    members = [order[first:last] for first, last in zip(starts[:-1], starts[1:])]
    return {
        "ece": _plain(overall.expected_error),
        "bins": [
            {
                "low": round(low, _NUM_DIGITS),
                "high": round(high, _NUM_DIGITS),
                "count": int(count),
                "confidence": _plain(confidence),
                "precision": _plain(precision),
            }
            for low, high, count, confidence, precision in zip(
                overall.edges[:-1].tolist(),
                overall.edges[1:].tolist(),
                overall.count,
                overall.confidence,
                overall.precision,
            )
        ],
        "per_class": [
            {
                **_identity(images, k),
                "ece": _plain(calibration.reliability(scores[rows], hits[rows]).expected_error),
            }
            for k, rows in enumerate(members)
        ],
    }


def _sizes(overlapping, threshold):
    """Which objects are found at the threshold, by the square root of their area."""
    images, matches = overlapping.images, overlapping.matches
    sides = np.sqrt(np.maximum(images.gt_area[matches.counts], 0.0))
    is_found = worst.found_at(overlapping, threshold)[matches.counts]
    limits = zip(analysis_file.SIZES, _SIZE_EDGES[:-1], _SIZE_EDGES[1:])
    ranges = []
    for name, low, high in limits:
        inside = (sides >= low) & (sides < (np.inf if high is None else high))
        hits = int((inside & is_found).sum())
        ranges.append({"name": name, "low": low, "high": high, "found": hits, "missed": int(inside.sum()) - hits})
    edges = _octaves(sides)
    histograms = {
        name: np.histogram(sides[chosen], edges)[0].tolist()
        for name, chosen in (("found", is_found), ("missed", ~is_found))
    }
    return {"ranges": ranges, "histogram": {"edges": edges.tolist(), **histograms}}


def _octaves(sides):
    """Edges of bins that double every second time, around all sides."""
    if not len(sides):
        return np.array([0.0, 1.0])
    low, high = (np.log2(max(side, 1.0)) * _BINS_PER_OCTAVE for side in (sides.min(), sides.max()))
    edges = 2.0 ** (np.arange(np.floor(low), np.floor(high) + 2) / _BINS_PER_OCTAVE)
    edges[0] = min(edges[0], sides.min())
    return edges
