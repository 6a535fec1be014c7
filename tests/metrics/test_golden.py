"""The figures that the Object Detection API computes; tests/golden/metrics_odapi.json says how they were made."""

import json
import math
import pathlib

import pytest

from tfodhelper.metrics import coco, open_images, pascal_voc

FOLDER = pathlib.Path(__file__).parents[1] / "golden"
GOLDEN, OPEN_IMAGES = (
    json.loads((FOLDER / name).read_text(encoding="utf-8"))
    for name in ("metrics_odapi.json", "metrics_open_images.json")
)
CATEGORIES = {int(key): name for key, name in GOLDEN["categories"].items()}


def compare(members, case):
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
    return figures


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
    compare(members, case)


@pytest.mark.parametrize("case", OPEN_IMAGES["cases"], ids=lambda case: case["name"])
def test_every_figure_of_open_images(case):
    challenge = {"prefix": open_images.CHALLENGE_PREFIX, "group_weight": 1.0, "only_verified": True}
    members = [open_images.OpenImagesMetrics(CATEGORIES, **options) for options in ({}, challenge)]
    assert set(compare(members, case)) == set(case["expected"])
