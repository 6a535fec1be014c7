"""Matching, computed by hand: rows are ground truth boxes, columns are anchors."""

import numpy as np
import pytest

from tfodhelper.ops import matcher

SIMILARITY = np.float32([[[0.6, 0.1, 0.45, 0.2], [0.3, 0.2, 0.4, 0.2]]])
VALID = np.array([[True, True]])


def test_thresholds():
    match = matcher.ArgmaxMatcher(matched_threshold=0.5, unmatched_threshold=0.3).match(SIMILARITY, VALID)
    np.testing.assert_array_equal(match, [[0, -1, -2, -1]])


def test_a_similarity_exactly_at_a_threshold_belongs_above_it():
    below = np.nextafter(np.float32([0.5, 0.25]), np.float32(0))
    similarity = np.float32([[[0.5, below[0], 0.25, below[1]]]])
    valid = np.array([[True]])
    match = matcher.ArgmaxMatcher(matched_threshold=0.5, unmatched_threshold=0.25).match(similarity, valid)
    np.testing.assert_array_equal(match, [[0, -2, -2, -1]])
    match = matcher.ArgmaxMatcher(matched_threshold=0.5, unmatched_threshold=0.5).match(similarity, valid)
    np.testing.assert_array_equal(match, [[0, -1, -1, -1]])


def test_unmatched_and_ignored_turned_round():
    match = matcher.ArgmaxMatcher(0.5, 0.3, negatives_lower_than_unmatched=False).match(SIMILARITY, VALID)
    np.testing.assert_array_equal(match, [[0, -2, -1, -2]])


def test_without_thresholds_every_anchor_is_matched():
    match = matcher.ArgmaxMatcher(None, None).match(SIMILARITY, VALID)
    np.testing.assert_array_equal(match, [[0, 1, 0, 0]])


def test_each_box_forces_its_best_anchor():
    match = matcher.ArgmaxMatcher(0.5, 0.5, force_match_for_each_row=True).match(SIMILARITY, VALID)
    np.testing.assert_array_equal(match, [[0, -1, 1, -1]])


def test_padding_forces_nothing():
    match = matcher.ArgmaxMatcher(0.5, 0.5, force_match_for_each_row=True).match(SIMILARITY, np.array([[True, False]]))
    np.testing.assert_array_equal(match, [[0, -1, -1, -1]])


def test_the_first_of_two_boxes_gets_the_anchor_that_both_want():
    similarity = np.float32([[[0.1, 0.2], [0.1, 0.3]]])
    match = matcher.ArgmaxMatcher(0.5, 0.5, force_match_for_each_row=True).match(similarity, VALID)
    np.testing.assert_array_equal(match, [[-1, 0]])


@pytest.mark.parametrize("force", [False, True])
def test_an_image_without_boxes_has_only_unmatched_anchors(force):
    match = matcher.ArgmaxMatcher(force_match_for_each_row=force).match(
        np.zeros([2, 0, 3], np.float32), np.zeros([2, 0], bool)
    )
    np.testing.assert_array_equal(match, np.full([2, 3], -1))
