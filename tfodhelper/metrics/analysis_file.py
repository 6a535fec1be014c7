"""The files of an evaluation: what was found (detections.npz) and all figures computed from it (analysis.json).

`analysis.json` holds plain values, so that pages and plots need nothing of this program but the names below. Figures
that could not be measured are null. Boxes are {"ymin", "xmin", "ymax", "xmax"} in pixels of the stored image.
"""

import os
import pathlib
from typing import Any

from tfodhelper import errors, state_files, storage

ANALYSIS, DETECTIONS = "analysis.json", "detections.npz"
FORMAT = 1
ERROR_KINDS = ("classification", "localization", "both", "duplicate", "background", "missed")
SIZES = ("small", "medium", "large")
BACKGROUND = "background"

_FIGURE = (float, None)
_COUNTS = {"tp": int, "fp": int, "fn": int}
_AT_A_THRESHOLD = {"precision": _FIGURE, "recall": _FIGURE, "f1": _FIGURE, "best_threshold": _FIGURE, **_COUNTS}
_AVERAGES = dict.fromkeys(
    ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium")
    + ("ar_large",),
    _FIGURE,
)
_CURVE = {"score": [float], "precision": [_FIGURE], "recall": [_FIGURE], "f1": [_FIGURE], "recall_level": [float]}
_CURVE |= {"precision_at_recall": [_FIGURE]}
_BOX = {"ymin": float, "xmin": float, "ymax": float, "xmax": float}
_FOUND = {"found": int, "missed": int}

SHAPE = {
    "format": int,
    "step": (int, None),
    "source": {"model": str, "data": str},
    "settings": {
        "iou_threshold": float,
        "background_iou": float,
        "score_threshold": _FIGURE,
        "max_detections": int,
    },
    "detections": {"file": str, "sha256": str},
    "summary": {**_AVERAGES, **_AT_A_THRESHOLD, "num_images": int, "num_objects": int, "num_detections": int},
    "per_class": [{"id": int, "name": str, **_AVERAGES, **_AT_A_THRESHOLD, "num_images": int, "num_objects": int}],
    "figures": {str: _FIGURE},
    "curves": {"overall": _CURVE, "per_class": [{"id": int, "name": str, **_CURVE}]},
    "confusion": {"score_threshold": _FIGURE, "labels": [str], "matrix": [[int]]},
    "errors": {
        "ap50": _FIGURE,
        "kinds": {str: {"count": int, "delta_ap": _FIGURE}},
        "false_positives": {"delta_ap": _FIGURE},
        "false_negatives": {"delta_ap": _FIGURE},
        "per_class": [{"id": int, "name": str, "counts": {str: int}}],
    },
    "calibration": {
        "ece": _FIGURE,
        "bins": [{"low": float, "high": float, "count": int, "confidence": _FIGURE, "precision": _FIGURE}],
        "per_class": [{"id": int, "name": str, "ece": _FIGURE}],
    },
    "sizes": {
        "ranges": [{"name": str, "low": float, "high": (float, None), **_FOUND}],
        "histogram": {"edges": [float], "found": [int], "missed": [int]},
    },
    "worst": {
        "false_positives": [
            {
                "image": str,
                "image_index": int,
                "class": str,
                "score": float,
                "box": _BOX,
                "kind": str,
                "iou": _FIGURE,
                "object_class": (str, None),
                "object_box": (_BOX, None),
            }
        ],
        "misses": [
            {
                "image": str,
                "image_index": int,
                "class": str,
                "box": _BOX,
                "size": str,
                "iou": _FIGURE,
                "score": _FIGURE,
                "detected_class": (str, None),
                "detected_box": (_BOX, None),
            }
        ],
        "images": [{"image": str, "image_index": int, **_COUNTS}],
    },
}

_FORM = state_files.StateForm(
    "the analysis of an evaluation",
    {name: shape for name, shape in SHAPE.items() if name != "format"},
    "evaluate again: tfodhelper eval",
    format=FORMAT,
)


def write_analysis(folder: str | os.PathLike[str], analysis: dict[str, Any]) -> pathlib.Path:
    """Writes analysis.json into a folder; it appears whole.

    Args:
      folder: the folder of the evaluation.
      analysis: values of `SHAPE`.

    Returns:
      The path of the file.
    """
    path = pathlib.Path(folder) / ANALYSIS
    storage.write_json(path, state_files.check_state(path, {"format": FORMAT, **analysis}, _FORM))
    return path


def read_analysis(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the analysis.json of a folder.

    Args:
      folder: the folder of an evaluation.

    Returns:
      Values of `SHAPE`.

    Raises:
      StorageError: there is none, it is damaged, or it was written by another version.
    """
    path = pathlib.Path(folder) / ANALYSIS
    analysis = state_files.read_state(path, _FORM)
    state_files.check_finite(path, analysis, _FORM)
    problem = _find_misfit(analysis)
    if problem is not None:
        raise errors.StorageError(f"{path}: its parts do not fit together", received=problem, fix=_FORM.fix)
    return analysis


def _find_misfit(analysis):
    """What does not fit together, in words, or None."""
    curves = analysis["curves"]
    for curve in (curves["overall"], *curves["per_class"]):
        name = curve.get("name", "all classes")
        for keys in (("score", "precision", "recall", "f1"), ("recall_level", "precision_at_recall")):
            if len({len(curve[key]) for key in keys}) > 1:
                return f"curves of {name}: {', '.join(keys)} are not of one length"
    labels, matrix = analysis["confusion"]["labels"], analysis["confusion"]["matrix"]
    if len(matrix) != len(labels) or any(len(row) != len(labels) for row in matrix):
        return f"confusion: the rows and columns of the matrix are not the labels, of which it has {len(labels)}"
    histogram = analysis["sizes"]["histogram"]
    if not len(histogram["edges"]) - 1 == len(histogram["found"]) == len(histogram["missed"]):
        return "sizes: the bars of the histogram do not fit its edges"
    number = analysis["summary"]["num_images"]
    for kind in SHAPE["worst"]:
        if not all(0 <= entry["image_index"] < number for entry in analysis["worst"][kind]):
            return f"worst {kind}: an image_index outside of 0..{number - 1}"
    return None
