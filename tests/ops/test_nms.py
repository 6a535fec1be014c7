"""Non-max suppression, computed by hand and against a plain reimplementation."""

import dataclasses

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies

from tfodhelper.ops import nms

WHOLE = np.float32([[0, 0, 1, 1]])
BOXES = np.float32([[[0, 0, 0.4, 0.4], [0, 0, 0.4, 0.42], [0.5, 0.5, 0.9, 0.9]]])


def select(scores, boxes=BOXES, windows=WHOLE, **options):
    return nms.BatchNonMaxSuppression(**options).select(tf.constant(boxes), tf.constant(np.float32(scores)), windows)


def test_a_worse_overlapping_box_of_the_class_goes():
    selected = select([[[0.8], [0.9], [0.7]]], max_total=4)
    np.testing.assert_array_equal(selected.num, [2])
    np.testing.assert_array_equal(selected.indices, [[1, 2, 0, 0]])
    np.testing.assert_allclose(selected.scores, [[0.9, 0.7, 0, 0]])
    np.testing.assert_allclose(selected.boxes[0, 2:], np.zeros([2, 4]))


def test_classes_do_not_suppress_each_other():
    selected = select([[[0.8, 0.1], [0.1, 0.9], [0.0, 0.0]]])
    np.testing.assert_array_equal(selected.num, [2])
    np.testing.assert_array_equal(selected.classes[0, :2], [1, 0])


def test_class_agnostic():
    selected = select([[[0.8, 0.1], [0.1, 0.9], [0.0, 0.0]]], is_class_agnostic=True)
    np.testing.assert_array_equal(selected.num, [1])
    np.testing.assert_array_equal(selected.classes[0, 0], 1)


def test_score_threshold_is_exclusive():
    assert int(select([[[0.5], [0.1], [0.6]]], score_threshold=0.5).num[0]) == 1


def test_most_of_a_class_and_of_an_image():
    boxes = np.float32([[[0, i / 10, 0.1, i / 10 + 0.1] for i in range(6)]])
    scores = np.linspace(0.9, 0.1, 12).reshape(1, 6, 2)
    assert int(select(scores, boxes, max_per_class=2).num[0]) == 4
    selected = select(scores, boxes, max_per_class=3, max_total=5)
    np.testing.assert_array_equal(selected.num, [5])
    assert selected.boxes.shape == [1, 5, 4]
    assert np.all(np.diff(selected.scores[0]) <= 0)


def test_boxes_outside_the_window_go_and_others_are_clipped_and_moved():
    boxes = np.float32([[[0, 0, 0.2, 0.2], [0.4, 0.4, 0.8, 0.8]]])
    scores = [[[0.9], [0.8]]]
    windows = np.float32([[0.25, 0, 0.5, 1]])
    selected = select(scores, boxes, windows)
    np.testing.assert_array_equal(selected.num, [1])
    np.testing.assert_allclose(selected.boxes[0, 0], [0.6, 0.4, 1, 0.8], rtol=1e-6)
    kept = select(scores, boxes, windows, change_frame=False)
    np.testing.assert_allclose(kept.boxes[0, 0], [0.4, 0.4, 0.5, 0.8], rtol=1e-6)


def test_soft_suppression_lowers_scores():
    selected = select([[[0.8], [0.9], [0.7]]], iou_threshold=1.0, soft_sigma=0.5)
    iou = 0.4 / 0.42
    np.testing.assert_allclose(selected.scores[0, :3], [0.9, 0.7, 0.8 * np.exp(-(iou**2) / 0.5 / 2)], atol=1e-4)


def test_images_do_not_mix():
    scores = np.random.RandomState(0).uniform(size=[2, 3, 2])
    both = select(scores, np.concatenate([BOXES, BOXES * 0.5]), np.repeat(WHOLE, 2, axis=0))
    alone = select(scores[1:], BOXES * 0.5)
    np.testing.assert_allclose(both.boxes[1], alone.boxes[0])
    np.testing.assert_allclose(both.scores[1], alone.scores[0])


def plain(boxes, scores, iou_threshold, score_threshold):
    """One class, one image: indices of what is kept, best first."""
    kept = []
    for i in np.argsort(-scores, kind="stable"):

        def overlap(j, i=i):
            low, high = np.maximum(boxes[i, :2], boxes[j, :2]), np.minimum(boxes[i, 2:], boxes[j, 2:])
            common = np.prod(np.maximum(high - low, 0))
            return common / (np.prod(boxes[i, 2:] - boxes[i, :2]) + np.prod(boxes[j, 2:] - boxes[j, :2]) - common)

        if scores[i] > score_threshold and all(overlap(j) <= iou_threshold for j in kept):
            kept.append(i)
    return kept


@hypothesis.settings(max_examples=20)
@hypothesis.given(strategies.integers(0, 2**31))
def test_against_a_plain_reimplementation(seed):
    random = np.random.RandomState(seed)
    corners = random.uniform(0, 0.7, size=[12, 2])
    boxes = np.float32(np.concatenate([corners, corners + random.uniform(0.05, 0.3, size=[12, 2])], axis=1))
    scores = np.float32(random.uniform(size=12))
    selected = select(scores[np.newaxis, :, np.newaxis], boxes[np.newaxis], iou_threshold=0.4, score_threshold=0.2)
    kept = plain(boxes.astype(np.float64), scores, 0.4, 0.2)
    np.testing.assert_array_equal(selected.indices[0, : len(kept)], kept)
    assert int(selected.num[0]) == len(kept)


def test_boxes_of_each_class():
    # Both boxes of class 0 are the same, those of class 1 are apart.
    same, apart = [0, 0, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]
    boxes = np.float32([[[same, same], [same, apart]]])
    selected = select([[[0.9, 0.6], [0.8, 0.7]]], boxes, max_total=4)
    np.testing.assert_array_equal(selected.num, [3])
    np.testing.assert_array_equal(selected.classes[0, :3], [0, 1, 1])
    np.testing.assert_array_equal(selected.indices[0, :3], [0, 1, 0])
    np.testing.assert_allclose(selected.boxes[0, :3], [same, apart, same])
    agnostic = select([[[0.9, 0.6], [0.1, 0.7]]], boxes, is_class_agnostic=True, max_total=4)
    np.testing.assert_allclose(agnostic.boxes[0, :2], [same, apart])
    np.testing.assert_array_equal(agnostic.classes[0, :2], [0, 1])


def test_negative_scores_are_no_candidates():
    assert int(select([[[0.8], [-1.0], [0.7]]]).num[0]) == 2
    assert int(select([[[0.0], [-1.0], [-1.0]]], score_threshold=-0.5).num[0]) == 1


def test_only_images_that_are_not_sure_are_selected_anew():
    whole = nms.Selected(*(tf.ones(shape) for shape in ([3, 2, 4], [3, 2], [3, 2], [3, 2], [3])))
    seen = []

    def select(*images):
        seen.append(images)
        return nms.Selected(*(tf.zeros([2, *part.shape[1:]]) for part in whole))

    repeated = nms._repeat_unsure(tf.constant([False, True, False]), whole, [tf.constant([5, 6, 7]), None], select)
    ((some, nothing),) = seen
    assert nothing is None
    np.testing.assert_array_equal(some, [5, 7])
    for part in repeated:
        by_image = tf.reshape(part, [3, -1]).numpy()
        assert (by_image == [[0.0], [1.0], [0.0]]).all()
    nms._repeat_unsure(tf.constant([True, True, True]), whole, [], select)
    assert len(seen) == 1


def assert_same(boxes, scores, windows, score_threshold=0.0, **options):
    """Compares the operation over all classes with the one over each class, bit for bit."""
    suppression = nms.BatchNonMaxSuppression(**options)
    raised = dataclasses.replace(suppression, score_threshold=max(score_threshold, suppression.score_threshold))
    boxes, scores, windows = tf.constant(boxes), tf.constant(scores), tf.constant(windows)
    expected = raised.select(boxes, scores, windows)
    received = suppression.select(boxes, scores, windows, tf.constant(score_threshold))
    for name, one, other in zip(expected._fields, expected, received):
        np.testing.assert_array_equal(one, other, err_msg=name)
    return expected


def draw(random, batch, num_boxes, num_classes, levels=None, own_boxes=False, num_heaps=6):
    """Boxes in clusters, some with corners the wrong way round or without area, and scores; `levels`: of few values."""
    shape = [batch, num_boxes] + ([num_classes] if own_boxes else [])
    heaps = random.uniform(-0.1, 0.9, size=[num_heaps, 2])
    corners = heaps[random.randint(num_heaps, size=shape)] + random.uniform(0, 0.05, size=[*shape, 2])
    boxes = np.float32(np.concatenate([corners, corners + random.uniform(-0.01, 0.3, size=[*shape, 2])], axis=-1))
    scores = random.uniform(size=[batch, num_boxes, num_classes]) ** 3
    if levels:
        scores = np.round(scores * levels) / levels
    return boxes, np.float32(scores)


@hypothesis.settings(max_examples=40)
@hypothesis.given(
    seed=strategies.integers(0, 2**31),
    levels=strategies.sampled_from([None, 4, 50]),
    score_threshold=strategies.sampled_from([0.0, 0.25, 0.9, 1.0]),
    max_per_class=strategies.sampled_from([2, 100]),
    kind=strategies.sampled_from(["shared", "own", "agnostic"]),
    max_total=strategies.sampled_from([3, 20, 100]),
)
def test_all_classes_at_once_give_what_one_after_the_other_gives(
    seed, levels, score_threshold, max_per_class, kind, max_total
):
    random = np.random.RandomState(seed)
    boxes, scores = draw(random, 2, 30, 5, levels, own_boxes=kind == "own")
    windows = np.float32([[0, 0, 1, 1], [0.1, 0.2, 0.6, 0.7]])
    options = {"max_per_class": max_per_class, "max_total": max_total, "is_class_agnostic": kind == "agnostic"}
    assert_same(boxes, scores, windows, score_threshold, **options)


@pytest.mark.parametrize("own_boxes", [False, True])
def test_many_boxes_without_equal_scores_need_no_second_run(own_boxes, monkeypatch):
    boxes, scores = draw(np.random.RandomState(0), 2, 1500, 3, own_boxes=own_boxes)
    assert_same(boxes, scores, np.repeat(WHOLE, 2, axis=0))
    monkeypatch.setattr(nms.BatchNonMaxSuppression, "_suppress_each_class", None)
    nms.BatchNonMaxSuppression().select(tf.constant(boxes), tf.constant(scores), WHOLE.repeat(2, axis=0), 0.0)


@hypothesis.settings(max_examples=60)
@hypothesis.given(
    seed=strategies.integers(0, 2**31),
    levels=strategies.sampled_from([None, 1, 4, 50, 1000]),
    score_threshold=strategies.sampled_from([0.0, 0.25, 0.9]),
    max_per_class=strategies.sampled_from([1, 2, 100]),
    kind=strategies.sampled_from(["shared", "own", "agnostic"]),
    max_total=strategies.sampled_from([1, 2, 5]),
    num_heaps=strategies.sampled_from([1, 3, 30]),
)
def test_the_boxes_near_the_best_give_what_all_boxes_give(
    seed, levels, score_threshold, max_per_class, kind, max_total, num_heaps
):
    random = np.random.RandomState(seed)
    boxes, scores = draw(random, 3, 60, 4, levels, own_boxes=kind == "own", num_heaps=num_heaps)
    windows = np.float32([[0, 0, 1, 1], [0.1, 0.2, 0.6, 0.7], [0.4, 0.4, 0.4, 0.4]])
    options = {"max_per_class": max_per_class, "max_total": max_total, "is_class_agnostic": kind == "agnostic"}
    assert_same(boxes, scores, windows, score_threshold, **options)


@pytest.mark.parametrize("num_boxes", [1, 3, 40])
def test_the_number_of_boxes_need_not_be_known_beforehand(num_boxes):
    boxes, scores = draw(np.random.RandomState(0), 2, num_boxes, 3)
    windows, suppression = np.repeat(WHOLE, 2, axis=0), nms.BatchNonMaxSuppression(max_total=4)
    select_ = tf.function(
        lambda boxes, scores: suppression.select(boxes, scores, windows, 0.1),
        input_signature=[tf.TensorSpec([2, None, 4]), tf.TensorSpec([2, None, 3])],
    )
    expected = dataclasses.replace(suppression, score_threshold=0.1).select(
        tf.constant(boxes), tf.constant(scores), windows
    )
    for one, other in zip(expected, select_(tf.constant(boxes), tf.constant(scores))):
        np.testing.assert_array_equal(one, other)


def test_equal_scores_of_different_classes_need_no_second_run(monkeypatch):
    boxes, scores = draw(np.random.RandomState(0), 1, 30, 1)
    scores = np.repeat(scores, 3, axis=2)
    assert_same(boxes, scores, WHOLE, max_total=5)
    monkeypatch.setattr(nms.BatchNonMaxSuppression, "_suppress_each_class", None)
    nms.BatchNonMaxSuppression(max_total=5).select(tf.constant(boxes), tf.constant(scores), WHOLE, 0.0)


@pytest.mark.parametrize("inside", [1, 2, 3])
@pytest.mark.parametrize("num_boxes", [4, 40])
def test_of_equal_scores_the_first_box_counts_though_it_is_outside(inside, num_boxes):
    # Two boxes of a class count; three of the same score want to be the second one, and one of them is inside.
    boxes = np.tile(np.float32([2, 2, 3, 3]), [1, num_boxes, 1]) * np.arange(1, num_boxes + 1)[:, np.newaxis]
    boxes[0, [0, inside]] = [[0, 0, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]]
    scores = np.zeros([1, num_boxes, 1], np.float32)
    scores[0, :4, 0] = [0.9, 0.8, 0.8, 0.8]
    selected = assert_same(np.float32(boxes), scores, WHOLE, 0.1, max_total=2, max_per_class=2)
    np.testing.assert_array_equal(selected.num, [2 if inside == 1 else 1])


def test_numbers_that_are_none_are_no_candidates():
    boxes, scores = draw(np.random.RandomState(0), 2, 60, 3)
    scores[0, ::2, 1] = np.nan
    assert_same(boxes, scores, np.repeat(WHOLE, 2, axis=0), 0.1, max_total=4)


def test_few_pairs_and_none():
    boxes, scores = draw(np.random.RandomState(0), 2, 1, 2)
    assert_same(boxes, scores, np.repeat(WHOLE, 2, axis=0))
    assert_same(boxes, scores * 0.0, np.repeat(WHOLE, 2, axis=0))
    assert_same(boxes, scores - 2.0, np.repeat(WHOLE, 2, axis=0), score_threshold=-1.0)


def test_soft_suppression_with_a_threshold():
    boxes, scores = draw(np.random.RandomState(0), 1, 30, 2)
    assert_same(boxes, scores, WHOLE, 0.1, soft_sigma=0.5, iou_threshold=1.0)
