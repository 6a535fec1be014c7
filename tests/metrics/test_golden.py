"""The figures that the Object Detection API computes; tests/golden/metrics_odapi.json says how they were made."""

import json
import math
import pathlib

import pytest

from tfodhelper.metrics import coco, pascal_voc

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "metrics_odapi.json").read_text(encoding="utf-8"))
CATEGORIES = {int(key): name for key, name in GOLDEN["categories"].items()}


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_every_figure(case):
    members = [
        coco.CocoDetectionMetrics(CATEGORIES),
        pascal_voc.PascalVocMetrics(CATEGORIES),
        pascal_voc.PascalVocMetrics(CATEGORIES, prefix="WeightedPascalBoxes", weighted=True),
        pascal_voc.PascalVocMetrics(
            CATEGORIES, prefix="PrecisionAtRecallBoxes", recall_bounds=tuple(GOLDEN["recall_bounds"])
        ),
    ]
    figures = {}
    for member in members:
        for image in case["images"]:
            member.update(image["id"], image["groundtruth"], image["detections"])
        figures.update(member.result())
    for tag, expected in case["expected"].items():
        if expected is None:
            assert math.isnan(figures[tag]), tag
        else:
            assert figures[tag] == pytest.approx(expected, abs=1e-12), tag
