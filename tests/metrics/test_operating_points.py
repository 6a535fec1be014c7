"""Global precision and recall, thresholds and the confusion of classes: as counted one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics import sets
from tests.metrics.by_hand import FAR, NOTHING, A, B, found_of
from tfodhelper.metrics import operating_points, ranking


def counts_at(overlapping, *thresholds):
    """`Counts` of each class and of all, at the thresholds, in ascending order."""
    (counts,) = overlapping.results(operating_points.CountsAt(thresholds))
    return [counts.of_class(k) for k in range(overlapping.images.num_classes)], counts.together()


def best_of(overlapping):
    (ranked,) = overlapping.results(ranking.Ranking())
    return [*ranked.best_thresholds, ranked.best_threshold]


def confusion(overlapping, threshold):
    return overlapping.results(operating_points.Confusion(threshold))[0]


def gt_of(*boxes, classes=None, **rest):
    return {"boxes": list(boxes), "classes": classes or [1] * len(boxes), **rest}


def overlap(box, other, share=False):
    height = min(box[2], other[2]) - max(box[0], other[0])
    width = min(box[3], other[3]) - max(box[1], other[1])
    if height <= 0 or width <= 0:
        return 0.0
    area = (box[2] - box[0]) * (box[3] - box[1])
    both = 0 if share else (other[2] - other[0]) * (other[3] - other[1])
    return height * width / (area if share else area + both - height * width)


def count_one_by_one(images, threshold, class_id):
    """TP, FP, FN of a class, in plain loops."""
    tp = fp = fn = 0
    for gt, found in images:
        flags = {name: gt.get(name, np.zeros(len(gt["boxes"]), bool)) for name in ("is_crowd", "difficult", "group_of")}
        objects = [i for i, label in enumerate(gt["classes"]) if label == class_id]
        need = {i: not any(values[i] for values in flags.values()) for i in objects}
        free = {i for i in objects if need[i]}
        rows = [i for i, label in enumerate(found["classes"]) if label == class_id and found["scores"][i] >= threshold]
        for row in sorted(rows, key=lambda i: -found["scores"][i]):
            box = found["boxes"][row]
            best = max(free, key=lambda i: (overlap(box, gt["boxes"][i]), i), default=None)
            if best is not None and overlap(box, gt["boxes"][best]) >= 0.5:
                free.remove(best)
                tp += 1
            elif not any(
                overlap(box, gt["boxes"][i], flags["is_crowd"][i] or flags["group_of"][i]) >= 0.5
                for i in objects
                if not need[i]
            ):
                fp += 1
        fn += len(free)
    return tp, fp, fn


@pytest.mark.parametrize("ties", [False, True])
def test_counts_equal_those_of_plain_loops(ties):
    for seed in range(15):
        images = sets.random_images(seed, ties=ties)
        thresholds = (0.0, 0.25, 0.5, 0.83)
        by_class, overall = counts_at(sets.collect(*images), *thresholds)
        for index, threshold in enumerate(thresholds):
            expected = [count_one_by_one(images, threshold, class_id) for class_id in sets.CATEGORIES]
            assert [(each.tp[index], each.fp[index], each.fn[index]) for each in by_class] == expected
            assert (overall.tp[index], overall.fp[index], overall.fn[index]) == tuple(np.sum(expected, axis=0))


def test_rates_by_hand():
    # Above 0.5: one of two cats found, one mistake.
    images = [(gt_of(A, B), found_of((A, 0.9), (FAR, 0.6), (B, 0.4)))]
    _, counts = counts_at(sets.collect(*images), 0.5)
    assert (counts.precision, counts.recall, counts.f1) == (0.5, 0.5, 0.5)


@given(st.integers(0, 200), st.booleans())
@settings(max_examples=30, deadline=None)
def test_no_threshold_has_a_higher_f1_than_the_best(seed, ties):
    overlapping = sets.collect(*sets.random_images(seed, ties=ties))
    by_class, overall = counts_at(overlapping, *np.linspace(0, 1, 201))
    for index, (each, best) in enumerate(zip([*by_class, overall], best_of(overlapping))):
        if np.isnan(best):
            assert not np.nan_to_num(each.f1).any()
        else:
            at_best, together = counts_at(overlapping, best)
            assert [*at_best, together][index].f1 >= np.nanmax(each.f1) - 1e-12


def test_nothing():
    for image in ((NOTHING, NOTHING), (gt_of(A), NOTHING), (NOTHING, found_of((A, 0.9)))):
        assert np.isnan(best_of(sets.collect(image))).all()
    _, counts = counts_at(sets.collect(image), 0.5)
    assert (counts.tp, counts.fp, counts.fn) == (0, 1, 0) and np.isnan(counts.recall)


def test_confusion_by_hand():
    # A cat found as a dog, a cat found, a bird not found, a dog where nothing is.
    image = (
        gt_of(A, B, [100, 100, 120, 120], classes=[1, 1, 5]),
        found_of((A, 0.9), (B, 0.8), (FAR, 0.7), (FAR, 0.1), classes=[2, 1, 2, 2]),
    )
    assert confusion(sets.collect(image), 0.5).tolist() == [
        [1, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        [0, 1, 0, 0],
    ]


def test_a_class_finds_its_own_object_before_another_class_is_confused_with_it():
    image = (gt_of(A), found_of((A, 0.9), (A, 0.8), classes=[2, 1]))
    matrix = confusion(sets.collect(image), 0.5)
    assert matrix[0].tolist() == [1, 0, 0, 0] and matrix[3].tolist() == [0, 1, 0, 0]


@given(st.integers(0, 500), st.sampled_from([0.0, 0.3, 0.75]))
@settings(max_examples=40, deadline=None)
def test_confusion_agrees_with_the_counts(seed, threshold):
    overlapping = sets.collect(*sets.random_images(seed, ties=True))
    (by_class, _), matrix = counts_at(overlapping, threshold), confusion(overlapping, threshold)
    for k, counts in enumerate(by_class):
        assert matrix[k, k] == counts.tp
        assert matrix[:, k].sum() == counts.tp + counts.fp
        assert matrix[k].sum() == counts.tp + counts.fn
    assert matrix[-1, -1] == 0
