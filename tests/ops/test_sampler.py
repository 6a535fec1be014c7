"""Balanced sampling, drawn by hand and for random masks."""

import hypothesis
import numpy as np
import tensorflow as tf
from hypothesis import strategies

from tests.models.parity import lowest_first
from tfodhelper.ops import sampler


def sample(candidates, positives, order=lowest_first, **options):
    drawn = sampler.BalancedSampler(**options).sample(tf.cast(candidates, tf.bool), tf.cast(positives, tf.bool), order)
    return drawn.numpy().astype(int).tolist()


def test_positives_up_to_their_fraction_then_negatives():
    candidates = [[1, 1, 1, 1, 1, 1, 0, 1]]
    positives = [[0, 1, 0, 1, 1, 0, 1, 0]]
    assert sample(candidates, positives, size=4, positive_fraction=0.5) == [[1, 1, 1, 1, 0, 0, 0, 0]]
    assert sample(candidates, positives, size=4, positive_fraction=0.25) == [[1, 1, 1, 0, 0, 1, 0, 0]]


def test_negatives_take_the_place_of_missing_positives_but_not_the_other_way_round():
    assert sample([[1, 1, 1, 1]], [[0, 0, 0, 1]], size=4) == [[1, 1, 1, 1]]
    assert sample([[1, 1, 1, 1]], [[1, 1, 1, 0]], size=4) == [[1, 1, 0, 1]]


def test_images_are_drawn_apart():
    assert sample([[1, 1, 1], [0, 0, 1]], [[1, 0, 0], [0, 0, 0]], size=2) == [[1, 1, 0], [0, 0, 1]]


def test_static_sampling_fills_up_with_the_first_that_are_no_candidates():
    candidates, positives = [[0, 0, 1, 0, 1]], [[0, 0, 0, 0, 1]]
    assert sample(candidates, positives, size=4) == [[0, 0, 1, 0, 1]]
    assert sample(candidates, positives, size=4, is_static=True) == [[1, 1, 1, 0, 1]]
    assert sample([[1, 1, 1, 1, 1]], positives, size=4, is_static=True) == [[1, 1, 1, 0, 1]]


def test_every_candidate_is_drawn_at_some_time():
    tf.random.set_seed(5)
    counts = np.zeros(8)
    for _ in range(60):
        counts += sample([[1] * 8], [[1, 1, 1, 1, 0, 0, 0, 0]], sampler.random_order, size=4)[0]
    assert counts.min() > 15 and counts.max() < 45


@hypothesis.given(strategies.integers(0, 2**32 - 1), strategies.integers(1, 20), strategies.booleans())
@hypothesis.settings(max_examples=20, deadline=None)
def test_numbers(seed, size, is_static):
    random = np.random.RandomState(seed)
    candidates, positives = random.rand(2, 30) < 0.6, random.rand(2, 30) < 0.4
    options = {"size": size, "positive_fraction": 0.5, "is_static": is_static}
    drawn = np.array(sample(candidates, positives, sampler.random_order, **options))
    assert np.all(drawn.sum(axis=1) <= size)
    for row in range(2):
        num_positives = (drawn[row] & positives[row]).sum()
        assert num_positives <= size // 2
        if not is_static:
            assert not np.any(drawn[row] & ~candidates[row])
            assert num_positives == min(size // 2, (candidates[row] & positives[row]).sum())


def test_gather_drawn_keeps_the_order_and_pads_with_zeros():
    boxes = tf.reshape(tf.range(1.0, 9.0), [2, 4, 1])
    drawn = tf.constant([[False, True, False, True], [False, False, True, False]])
    count, rows, numbers = sampler.gather_drawn(drawn, 3, boxes, boxes[..., 0])
    assert count.numpy().tolist() == [2, 1]
    assert rows[..., 0].numpy().tolist() == numbers.numpy().tolist() == [[2, 4, 0], [7, 0, 0]]
