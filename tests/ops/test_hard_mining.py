"""Hard example mining, computed by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfodhelper.ops import hard_mining

APART = np.float32([[[0, i / 10, 0.1, i / 10 + 0.1] for i in range(6)]])
CLASSIFICATION = np.float32([[0.1, 0.9, 0.5, 0.8, 0.7, 0.6]])
LOCALIZATION = np.float32([[0.9, 0.0, 0.0, 0.0, 0.0, 0.0]])
MATCHES = np.int32([[0, -1, -1, -1, -2, -1]])


def select(boxes=APART, matches=MATCHES, localization_weight=0.0, classification_weight=1.0, **options):
    miner = hard_mining.HardExampleMiner(
        localization_weight=localization_weight, classification_weight=classification_weight, **options
    )
    return miner.select(LOCALIZATION, CLASSIFICATION, boxes, matches).numpy()


def test_the_hardest_are_kept():
    np.testing.assert_array_equal(select(num_hard_examples=3), [[0, 1, 0, 1, 1, 0]])
    np.testing.assert_array_equal(select(num_hard_examples=None), [[1, 1, 1, 1, 1, 1]])


def test_hardness_is_a_weighted_sum():
    kept = select(num_hard_examples=1, localization_weight=1.0, classification_weight=0.5)
    np.testing.assert_array_equal(kept, [[1, 0, 0, 0, 0, 0]])


def test_two_negatives_for_one_positive():
    # In order of hardness: 1 -, 3 -, 4 ignored, 5 -, 2 -, 0 +.
    np.testing.assert_array_equal(select(num_hard_examples=None, max_negatives_per_positive=2.0), [[1, 1, 0, 1, 1, 0]])


def test_least_number_of_negatives_without_positives():
    matches = np.full_like(MATCHES, -1)
    kept = select(matches=matches, num_hard_examples=None, max_negatives_per_positive=3.0, min_negatives_per_image=2)
    np.testing.assert_array_equal(kept, [[0, 1, 0, 1, 0, 0]])


def test_an_anchor_whose_box_a_harder_one_covers_is_left_out():
    boxes = APART.copy()
    boxes[0, 3] = boxes[0, 1]
    np.testing.assert_array_equal(select(boxes=boxes, num_hard_examples=None)[0, 3], 0)


@pytest.mark.parametrize("options", [{}, {"max_negatives_per_positive": 3.0, "min_negatives_per_image": 2}])
@pytest.mark.parametrize("most", [None, 20])
def test_what_is_compiled_selects_the_same(options, most):
    random = np.random.RandomState(4)
    corners, sizes = random.rand(2, 60, 2), random.uniform(0.05, 0.4, [2, 60, 2])
    boxes = np.concatenate([corners, corners + sizes], axis=2).astype(np.float32)
    losses = random.rand(2, 2, 60).astype(np.float32)
    matches = random.choice([-2, -1, -1, -1, 0, 1], [2, 60]).astype(np.int32)
    masks = []
    for is_compiled in (False, True):
        miner = hard_mining.HardExampleMiner(num_hard_examples=most, is_compiled=is_compiled, **options)
        mine = tf.function(miner.select, jit_compile=True) if is_compiled else miner.select
        masks.append(mine(*(tf.constant(each) for each in (*losses, boxes, matches))).numpy())
    assert 2 < masks[0].sum() < 120
    np.testing.assert_array_equal(masks[1], masks[0])
