"""The deletion test on a published detector and photographs, see `explaining.deletion`."""

import numpy as np
import pytest

from tests.shared_data import shared, unpack_shared
from tfodhelper.config import pipeline
from tfodhelper.explaining import deletion, explainer
from tfodhelper.exporting import saved_model
from tfodhelper.prediction import reading

pytestmark = pytest.mark.slow

ARCHIVE = "zoo/ssd_mobilenet_v1_0.75_depth_300x300_coco.tar.gz"


def test_hiding_the_hottest_tenth_costs_more_than_hiding_a_random_tenth(tmp_path):
    folder, photos = unpack_shared(ARCHIVE, tmp_path), shared("zoo/photos")
    detector = saved_model.restore_detector(pipeline.read_pipeline(folder / "pipeline.config"), folder / "checkpoint")
    explaining, random, measured = explainer.Explainer(detector, {}), np.random.default_rng(0), []
    for path in sorted(photos.glob("*.jpg")):
        image = reading.read_image(path)
        explained, _ = explaining.explain(image, score_threshold=0.3, max_detections=8)
        measured += [deletion.measure(explaining, image, each, random) for each in explained]
    assert len(measured) >= 15
    whole, hottest, others = (np.mean([getattr(each, name) for each in measured]) for name in vars(measured[0]))
    assert whole - hottest > 2 * (whole - others), (whole, hottest, others)
