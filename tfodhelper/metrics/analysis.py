"""All figures of an evaluation as plain values: the content of analysis.json, see `analysis_file.SHAPE`."""

import numpy as np

from tfodhelper.metrics import (
    analysis_file,
    calibration,
    coco,
    coco_curves,
    error_kinds,
    operating_points,
    overlaps,
    ranking,
    totals,
    worst,
)

_DEFAULT_THRESHOLD = 0.5  # where no threshold is best: nothing was found
_NUM_DIGITS = 6  # of curves
_AVERAGES = dict(
    zip(
        ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium")
        + ("ar_large",),
        coco.FIGURES,
    )
)

# What can be computed before the score threshold is known.
REQUESTS = (
    coco_curves.CocoCurves(),
    ranking.Ranking(),
    operating_points.CountsAt(tuple(operating_points.LEVELS.tolist())),
    totals.Totals(),
)


def analyze(overlapping, figures, step=None, model="", data="", detections_sha256=""):
    """Computes the analysis of a set.

    Args:
      overlapping: an `overlaps.SetOverlaps`.
      figures: {tag: value} of the requested metrics; NaN, or -1 of COCO's, where they could not be measured.
      step: of the checkpoint, or None.
      model: what was evaluated, in words.
      data: what it was evaluated on, in words.
      detections_sha256: digest of the file with the detections.

    Returns:
      Plain values for `analysis_file.write_analysis`.
    """
    images, (coco_values, ranked, counts, total) = overlapping.images, overlapping.results(*REQUESTS)
    threshold = _DEFAULT_THRESHOLD if np.isnan(ranked.best_threshold) else ranked.best_threshold
    at_threshold, matrix, sizes, worst_ones = overlapping.results(
        operating_points.CountsAt((threshold,)),
        operating_points.Confusion(threshold),
        totals.SizesAt(threshold),
        worst.Worst(threshold),
    )
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
        **_tables(images, coco_values, ranked, at_threshold, total),
        "figures": {tag: _plain(value) for tag, value in coco.unmeasured_as_nan(figures).items()},
        "curves": _curves(images, ranked, counts),
        "confusion": {
            "score_threshold": threshold,
            "labels": [*images.names, analysis_file.BACKGROUND],
            "matrix": matrix.tolist(),
        },
        "errors": _errors(images, ranked.costs, total.num_errors),
        "calibration": _calibration(images, total.calibration),
        "sizes": sizes,
        "worst": worst_ones,
    }


def _plain(value):
    """A number as JSON has it, null for NaN."""
    return None if np.isnan(value) else float(value)


def _rounded(values):
    return [None if np.isnan(value) else round(value, _NUM_DIGITS) for value in np.asarray(values, float).tolist()]


def _tables(images, coco_values, ranked, at_threshold, total):
    """The summary and the rows of the classes."""
    num_objects = total.num_objects.tolist()
    summary = {
        **_averages(*coco_values, slice(None)),
        **_at(at_threshold.together(), ranked.best_threshold),
        "num_images": images.num_images,
        "num_objects": sum(num_objects),
        "num_detections": int(images.det_starts[-1]),
    }
    rows = [
        {
            **_identity(images, k),
            **_averages(*coco_values, [k]),
            **_at(at_threshold.of_class(k), ranked.best_thresholds[k]),
            "num_images": int(total.num_images[k]),
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


def _at(counts, best_threshold):
    """Values of `Counts` at one threshold, [1]."""
    rates = {name: _plain(getattr(counts, name)[0]) for name in ("precision", "recall", "f1")}
    best = {"best_threshold": _plain(best_threshold)}
    return rates | best | {name: int(getattr(counts, name)[0]) for name in ("tp", "fp", "fn")}


def _curves(images, ranked, counts):
    has_objects = ~np.isnan(ranked.precision[:, 0])
    mean = ranked.precision[has_objects].mean(axis=0) if has_objects.any() else ranked.precision[0]
    return {
        "overall": _curve(counts.together(), mean),
        "per_class": [
            {**_identity(images, k), **_curve(counts.of_class(k), ranked.precision[k])}
            for k in range(images.num_classes)
        ],
    }


def _curve(counts, precision_at_recall):
    return {
        "score": _rounded(operating_points.LEVELS),
        **{name: _rounded(getattr(counts, name)) for name in ("precision", "recall", "f1")},
        "recall_level": _rounded(coco_curves.RECALL_LEVELS),
        "precision_at_recall": _rounded(precision_at_recall),
    }


def _errors(images, costs, by_class):
    sums = by_class.sum(axis=0)
    return {
        "ap50": _plain(costs.ap),
        "kinds": {
            name: {"count": int(sums[i]), "delta_ap": _plain(costs.by_kind[i])}
            for i, name in enumerate(error_kinds.NAMES)
        },
        "false_positives": {"delta_ap": _plain(costs.false_positives)},
        "false_negatives": {"delta_ap": _plain(costs.false_negatives)},
        "per_class": [
            {**_identity(images, k), "counts": dict(zip(error_kinds.NAMES, by_class[k].tolist()))}
            for k in range(images.num_classes)
        ],
    }


def _calibration(images, sums):
    overall = calibration.reliability(sums.sum(axis=1))
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
                "ece": _plain(calibration.reliability(sums[:, k]).expected_error),
            }
            for k in range(images.num_classes)
        ],
    }
