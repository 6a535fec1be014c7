import math

import numpy as np
import pytest

from tfodhelper.metrics import calibration


def reliability(scores, hits):
    return calibration.reliability(calibration.count(scores, hits, np.zeros(len(scores), int), 1)[:, 0])


def test_by_hand():
    # Bin 0.8..0.9: two detections of 0.8 and 0.85, one right; bin 0.3..0.4: one of 0.3, wrong.
    found = reliability(np.array([0.8, 0.85, 0.3]), np.array([True, False, False]))
    assert found.count.tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 2, 0]
    assert found.confidence[8] == pytest.approx(0.825) and found.precision[8] == 0.5
    assert found.expected_error == pytest.approx((2 * 0.325 + 1 * 0.3) / 3)
    assert math.isnan(found.confidence[0]) and math.isnan(found.precision[0])


def test_the_highest_score_is_in_the_last_bin():
    assert reliability(np.array([1.0, 0.9, 0.0]), np.ones(3, bool)).count.tolist() == [1] + [0] * 8 + [2]


def test_scores_that_are_probabilities_have_no_error():
    rng = np.random.default_rng(0)
    scores = rng.random(200_000)
    hits = rng.random(200_000) < scores
    assert reliability(scores, hits).expected_error < 0.01
    assert reliability(scores, ~hits).expected_error > 0.3


def test_nothing():
    assert math.isnan(reliability(np.zeros(0), np.zeros(0, bool)).expected_error)
