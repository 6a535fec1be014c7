import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis.extra import numpy as npst

from tests.active_learning.pools import predicted
from tfodhelper import errors
from tfodhelper.active_learning.selection import diversity

LINE = np.array([[0.0], [1.0], [2.0], [4.0], [10.0]])


def test_k_center_on_a_line_from_the_middle():
    """Mean 3.4: nearest is 4; then 10 (6 away), then 0 (4 away), then 2 (2 from 0 and from 4), then 1."""
    assert diversity.k_center(LINE, 5) == [3, 4, 0, 2, 1]


def test_k_center_on_a_line_from_known_points():
    """Known 0 and 10: 4 is 4 away; then 2 (2 away), then 1, then the copies of what is known."""
    assert diversity.k_center(LINE, 3, known=[[0.0], [10.0]]) == [3, 2, 1]


def test_k_center_weighs_distances():
    """Known 0: 10 is 10 away, 2 counts 2 x 6."""
    assert diversity.k_center(LINE, 1, known=[[0.0]], weights=[1, 1, 6, 1, 1]) == [2]


def test_k_center_keeps_to_costs():
    """Known 0: 10 costs too much, so 4; then 2 no longer fits, then 1."""
    assert diversity.k_center(LINE, 4, known=[[0.0]], costs=[5, 1, 2, 3, 5]) == [3, 1]


def test_k_center_is_within_twice_the_best_radius():
    points = np.random.default_rng(0).uniform(size=[12, 2])
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    best = min(distances[:, [a, b, c]].min(axis=1).max() for a in range(12) for b in range(a) for c in range(b))
    radius = distances[:, diversity.k_center(points, 3)].min(axis=1).max()
    assert best <= radius <= 2 * best


def _clumps(num_clumps=10, size=50, noise=0.01):
    """Scenes of a video: nearly identical frames; the first scene is five times as long."""
    chance = np.random.default_rng(3)
    centers = diversity.to_unit_length(chance.normal(size=[num_clumps, 16]))
    labels = np.repeat(np.arange(num_clumps), [5 * size] + [size] * (num_clumps - 1))
    return diversity.to_unit_length(centers[labels] + noise * chance.normal(size=[len(labels), 16])), labels


def test_near_identical_frames_are_not_taken_twice():
    features, labels = _clumps()
    assert len(set(labels[diversity.k_center(features, 10)])) == 10
    for seed in range(5):
        assert len(set(labels[diversity.k_means_plus_plus(features, 10, seed=seed)])) == 10
    by_chance = [np.random.default_rng(seed).choice(len(labels), 10, replace=False) for seed in range(5)]
    assert np.mean([len(set(labels[chosen])) for chosen in by_chance]) < 8


def test_what_looks_like_labelled_images_comes_last():
    features, labels = _clumps()
    known = features[labels < 5]
    assert (labels[diversity.k_center(features, 5, known=known)] >= 5).all()
    assert (labels[diversity.k_means_plus_plus(features, 5, seed=0, known=known)] >= 5).all()


def test_k_means_plus_plus_covers_better_than_chance():
    """The mean squared distance to the nearest chosen point: what k-means++ is meant to reduce."""
    chance = np.random.default_rng(0)
    points = chance.standard_t(2.5, size=[600, 4])  # a thick middle and far outliers

    def spread(chosen):
        return np.square(points[:, None] - points[None, chosen]).sum(axis=-1).min(axis=1).mean()

    drawn = np.mean([spread(diversity.k_means_plus_plus(points, 20, seed=seed)) for seed in range(10)])
    random = np.mean([spread(chance.choice(600, 20, replace=False)) for _ in range(10)])
    assert drawn < 0.7 * random


def test_draws_go_by_weight_times_squared_distance():
    """Known 0; 1, 2 and 3 with weights 1, 1 and 2: odds 1 : 4 : 18."""
    points, weights = np.array([[1.0], [2.0], [3.0]]), [1.0, 1.0, 2.0]
    counts = np.zeros(3)
    for seed in range(4000):
        counts[diversity.k_means_plus_plus(points, 1, seed=seed, weights=weights, known=[[0.0]])[0]] += 1
    np.testing.assert_allclose(counts / 4000, np.array([1, 4, 18]) / 23, atol=0.02)


def test_only_copies_are_taken_too():
    points = np.full([4, 3], 0.1)
    assert sorted(diversity.k_means_plus_plus(points, 4, seed=1)) == [0, 1, 2, 3]
    assert sorted(diversity.k_center(points, 4, known=points[:1])) == [0, 1, 2, 3]


def test_copies_of_a_long_vector_are_at_no_distance():
    points = np.random.default_rng(0).normal(size=[3, 1000]).astype(np.float32) * 100
    spread = diversity.Spread(points[[0, 1, 2, 0]])
    spread.take(0)
    assert spread.draw(np.random.default_rng(0), np.array([False, False, False, True])) == 3
    assert diversity.k_center(points[[0, 1, 2, 0]], 3, known=points[:1])[:2] in ([1, 2], [2, 1])


def test_unit_length():
    scaled = diversity.to_unit_length([[3.0, 4.0], [0.0, 0.0], [0.0, -1e30], [1e-30, 0.0]])
    np.testing.assert_allclose(scaled, [[0.6, 0.8], [0, 0], [0, -1], [1, 0]], rtol=1e-6)
    assert diversity.to_unit_length(np.zeros([0, 5])).shape == (0, 5)


points = npst.arrays(
    np.float32,
    npst.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.floats(-8, 8, width=16),
)


@hypothesis.given(points, st.data())
def test_what_is_taken_is_free_affordable_and_as_much_as_fits(features, data):
    costs = data.draw(st.lists(st.integers(1, 5), min_size=len(features), max_size=len(features)))
    budget = data.draw(st.integers(0, 30))
    known = data.draw(st.none() | st.just(features[:2]))
    for chosen in (
        diversity.k_center(features, budget, costs=costs, known=known),
        diversity.k_means_plus_plus(features, budget, seed=0, costs=costs, known=known),
    ):
        left = budget - sum(costs[position] for position in chosen)
        assert len(set(chosen)) == len(chosen) and left >= 0
        assert all(costs[position] > left for position in range(len(features)) if position not in chosen)


@hypothesis.given(points, st.integers(0, 5))
def test_a_draw_repeats(features, seed):
    first, second = (diversity.k_means_plus_plus(features, 5, seed=seed) for _ in range(2))
    assert first == second


def test_gather_takes_those_wanted_in_their_places():
    pool = [predicted(name, features=[value, 0.0]) for name, value in (("a", 1), ("b", -2), ("c", 3))]
    np.testing.assert_array_equal(diversity.gather(pool, {"c": 0, "b": 1}, "k-center"), [[1, 0], [-1, 0]])


@pytest.mark.parametrize(
    ("pool", "match"),
    [
        ([predicted("a.jpg")], r"a\.jpg: the prediction has no features, which the rule k-center needs(.|\n)*--rule="),
        ([predicted("a.jpg", features=[np.nan, 1])], r"a\.jpg: its features are not finite"),
        ([predicted("a.jpg", features=[np.inf, 1])], r"a\.jpg: its features are not finite"),
        (
            [predicted("a.jpg", features=[1, 1]), predicted("b.jpg", features=[1])],
            r"b\.jpg: has features of a different length",
        ),
        ([], r"a\.jpg: was predicted, but is now missing"),
    ],
)
def test_features_that_cannot_be_used_are_named(pool, match):
    with pytest.raises(errors.PredictionError, match=match):
        diversity.gather(pool, {"a.jpg": 0, "b.jpg": 1}, "k-center")
