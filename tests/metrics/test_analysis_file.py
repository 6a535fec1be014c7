import json

import pytest

from tfodhelper import errors
from tfodhelper.metrics import analysis_file

CURVE = {"score": [0.0], "precision": [None], "recall": [0.5], "f1": [None], "recall_level": [0.0]}
CURVE |= {"precision_at_recall": [None]}
AVERAGES = dict.fromkeys(
    [
        "ap",
        "ap50",
        "ap75",
        "ap_small",
        "ap_medium",
        "ap_large",
        "ar1",
        "ar10",
        "ar100",
        "ar_small",
        "ar_medium",
        "ar_large",
    ],
    None,
)
AT = {"precision": 0.5, "recall": 1.0, "f1": None, "best_threshold": 0.25, "tp": 1, "fp": 1, "fn": 0}


def make_analysis():
    return {
        "step": 3,
        "source": {"model": "ckpt-3", "data": "val.record"},
        "settings": {"iou_threshold": 0.5, "background_iou": 0.1, "score_threshold": 0.25, "max_detections": 100},
        "detections": {"file": "detections.npz", "sha256": "0"},
        "summary": {**AVERAGES, **AT, "num_images": 1, "num_objects": 1, "num_detections": 2},
        "per_class": [{"id": 1, "name": "dog", **AVERAGES, **AT, "num_images": 1, "num_objects": 1}],
        "figures": {"DetectionBoxes_Precision/mAP": None},
        "curves": {"overall": CURVE, "per_class": [{"id": 1, "name": "dog", **CURVE}]},
        "confusion": {"score_threshold": 0.25, "labels": ["dog", "background"], "matrix": [[1, 0], [1, 0]]},
        "errors": {
            "ap50": 1.0,
            "kinds": {kind: {"count": 0, "delta_ap": 0.0} for kind in analysis_file.ERROR_KINDS},
            "false_positives": {"delta_ap": 0.0},
            "false_negatives": {"delta_ap": 0.0},
            "per_class": [{"id": 1, "name": "dog", "counts": {"missed": 0}}],
        },
        "calibration": {"ece": None, "bins": [], "per_class": []},
        "sizes": {"ranges": [], "histogram": {"edges": [0.0, 1.0], "found": [0], "missed": [1]}},
        "worst": {"false_positives": [], "misses": [], "images": []},
    }


def test_what_is_written_is_read_back(tmp_path):
    analysis_file.write_analysis(tmp_path, make_analysis())
    assert analysis_file.read_analysis(tmp_path) == {"format": 1, **make_analysis()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"summary": {}}, "no 'ap'"),
        ({"per_class": [{"id": "1"}]}, "not a whole number"),
        ({"format": 2}, "another version"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, change, words):
    path = analysis_file.write_analysis(tmp_path, make_analysis())
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(errors.StorageError, match=words) as caught:
        analysis_file.read_analysis(tmp_path)
    assert str(path) in str(caught.value)


def test_nothing_of_another_form_is_written(tmp_path):
    with pytest.raises(errors.StorageError, match="figures"):
        analysis_file.write_analysis(tmp_path, make_analysis() | {"figures": {"a": "b"}})
    assert not list(tmp_path.iterdir())
