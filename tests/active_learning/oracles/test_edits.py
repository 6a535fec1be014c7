"""Boxes of a draft and of an answer: kept, moved, relabelled, added, deleted."""

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfodhelper.active_learning.oracles.edits import ADDED, KEPT, MOVED, RELABELLED, compare_boxes
from tfodhelper.active_learning.structures import Edits
from tfodhelper.annotations import labelimg_update
from tfodhelper.annotations.structures import Box

CAT = Box("cat", 10, 20, 110, 70)
DOG = Box("dog", 120, 20, 180, 90)


def moved(box, xmin=0, ymin=0, xmax=0, ymax=0, name=None):
    corners = (box.xmin + xmin, box.ymin + ymin, box.xmax + xmax, box.ymax + ymax)
    return Box(name or box.name, *corners)


@pytest.mark.parametrize(
    "draft, answer, expected",
    [
        ([], [], Edits()),
        ([CAT, DOG], [CAT, DOG], Edits(kept=2)),
        ([CAT, DOG], [DOG, CAT], Edits(kept=2)),
        ([CAT], [], Edits(deleted=1)),
        ([], [CAT], Edits(added=1)),
        ([CAT], [moved(CAT, xmax=-30)], Edits(moved=1)),
        ([CAT], [moved(CAT, xmin=1, xmax=1)], Edits(moved=1)),  # one pixel counts
        ([CAT], [moved(CAT, xmin=0.9, ymax=-0.9)], Edits(kept=1)),  # less is rounding
        ([CAT], [moved(CAT, name="dog")], Edits(relabelled=1)),
        ([CAT], [moved(CAT, xmax=-30, name="dog")], Edits(relabelled=1)),  # overlaps by 0.7
        ([CAT], [moved(CAT, xmax=-51, name="dog")], Edits(added=1, deleted=1)),  # by 0.49
        ([CAT], [moved(CAT, xmax=-89)], Edits(moved=1)),  # by 0.11
        ([CAT], [moved(CAT, xmax=-91)], Edits(added=1, deleted=1)),  # by 0.09
        ([CAT], [moved(CAT, xmin=100, xmax=100)], Edits(added=1, deleted=1)),  # dragged away
        ([CAT, DOG], [CAT, moved(DOG, ymin=9), Box("cat", 0, 0, 5, 5)], Edits(kept=1, moved=1, added=1)),
        ([CAT, CAT], [CAT], Edits(kept=1, deleted=1)),
        ([CAT], [CAT, CAT], Edits(kept=1, added=1)),
        # The same class first, although the other class overlaps more.
        ([CAT], [moved(CAT, xmax=-20), moved(CAT, xmax=-10, name="dog")], Edits(moved=1, added=1)),
        # A box in its place with another name before a neighbour that hardly overlaps.
        ([CAT], [moved(CAT, name="dog"), moved(CAT, xmin=80, xmax=80)], Edits(relabelled=1, added=1)),
        ([CAT], [moved(CAT, name="dog"), moved(CAT, xmax=-30)], Edits(relabelled=1, added=1)),
        # Two classes are swapped.
        ([CAT, DOG], [moved(CAT, name="dog"), moved(DOG, name="cat")], Edits(relabelled=2)),
    ],
)
def test_counts(draft, answer, expected):
    assert compare_boxes(draft, answer).edits == expected


def test_which_box_was_which():
    new, other = Box("cow", 0, 0, 8, 8), moved(DOG, ymin=20)
    compared = compare_boxes([CAT, DOG, new], [other, Box("cat", 150, 0, 160, 8), moved(new, name="cat"), CAT])
    assert compared.kinds == (MOVED, ADDED, RELABELLED, KEPT)
    assert compared.sources == (1, None, 2, 0)


@pytest.mark.parametrize(
    "box",
    [
        Box("cat", 0, 0, 50, 60),
        Box("cat", 0, 30, 1, 60),  # it has no area left
        Box("cat", 120, 0, 200, 100),
        Box("cat", 0, 0, 200, 100),
    ],
)
def test_labelimg_saves_a_box_at_the_border_as_another_and_it_is_kept(box):
    saved = labelimg_update.as_labelimg_saves(box, 200, 100)
    assert saved.truncated and saved != box
    assert compare_boxes([box], [saved]).edits == Edits(kept=1)


def test_as_labelimg_saves():
    saved = labelimg_update.as_labelimg_saves(Box("cat", -3.5, 7.9, 200.0, 99.99), 200, 100)
    assert saved == Box("cat", 1, 7, 200, 99, truncated=True)
    assert not labelimg_update.as_labelimg_saves(Box("cat", 2, 2, 199, 99, truncated=True), 200, 100).truncated


def test_keep_iou_is_how_well_a_box_has_to_sit():
    answer = [moved(CAT, xmax=-20)]  # overlaps by 0.8
    assert compare_boxes([CAT], answer, keep_iou=0.75).edits == Edits(kept=1)
    assert compare_boxes([CAT], answer, keep_iou=0.85).edits == Edits(moved=1)
    assert compare_boxes([CAT], [moved(CAT, xmax=-20, name="dog")], keep_iou=0.75).edits == Edits(relabelled=1)


def test_the_box_that_fits_best_is_the_one_that_is_kept():
    near, nearer = moved(CAT, xmax=-20), moved(CAT, xmax=-5)
    compared = compare_boxes([near, nearer], [CAT], keep_iou=0.5)
    assert compared.sources == (1,) and compared.edits == Edits(kept=1, deleted=1)


def test_equal_fits_are_decided_by_place():
    left, right, between = Box("cat", 10, 10, 30, 30), Box("cat", 20, 10, 40, 30), Box("cat", 15, 10, 35, 30)
    assert compare_boxes([left, right], [between]).sources == (0,)
    assert compare_boxes([right, left], [between]).sources == (1,)


sides = st.integers(0, 40)
boxes = st.lists(
    st.builds(
        lambda name, x, y, width, height: Box(name, float(x), float(y), float(x + width), float(y + height)),
        *(st.sampled_from(["cat", "dog"]), sides, sides, st.integers(1, 20), st.integers(1, 20)),
    ),
    max_size=7,
)


UNSURE = dataclasses.replace(CAT, weight=0.0)


@pytest.mark.parametrize(
    "answer, expected, unchanged",
    [
        ([UNSURE, DOG], Edits(kept=1, ignored=1), (True, True)),
        ([moved(CAT, xmax=-30), DOG], Edits(kept=1, moved=1), (False, True)),
        ([dataclasses.replace(moved(CAT, xmax=-30), weight=0.0)], Edits(deleted=1, ignored=1), (False,)),
        ([dataclasses.replace(moved(CAT, name="dog"), weight=0.0), DOG], Edits(kept=1, ignored=1), (False, True)),
        ([CAT, DOG, Box("cat", 200, 5, 220, 30, weight=0.0)], Edits(kept=2, added=1), (True, True, False)),
        ([dataclasses.replace(CAT, weight=0.5), DOG], Edits(kept=2), (True, True)),
    ],
)
def test_ignored_regions_are_counted_apart(answer, expected, unchanged):
    compared = compare_boxes([CAT, DOG], answer)
    assert (compared.edits, compared.unchanged) == (expected, unchanged)


@given(boxes, boxes, st.sampled_from([None, 0.5, 0.8]))
def test_every_box_is_counted_once(draft, answer, keep_iou):
    compared = compare_boxes(draft, answer, keep_iou)
    counts = compared.edits
    assert counts.kept + counts.moved + counts.relabelled + counts.deleted == len(draft)
    assert counts.kept + counts.moved + counts.relabelled + counts.added == len(answer)
    used = [source for source in compared.sources if source is not None]
    assert len(set(used)) == len(used) == len(draft) - counts.deleted
    for box, kind, source in zip(answer, compared.kinds, compared.sources):
        assert (source is None) == (kind == ADDED)
        if source is not None:
            assert (draft[source].name == box.name) == (kind != RELABELLED)


@given(boxes, st.sampled_from([None, 0.5, 0.8]))
def test_what_is_left_alone_is_kept(draft, keep_iou):
    assert compare_boxes(draft, draft, keep_iou).edits == Edits(kept=len(draft))


@given(boxes, st.randoms(use_true_random=False))
def test_what_labelimg_saves_unchanged_is_kept(draft, rng):
    saved = [labelimg_update.as_labelimg_saves(box, 60, 60) for box in draft]
    rng.shuffle(saved)
    assert compare_boxes(draft, saved).edits == Edits(kept=len(draft))


@given(boxes, boxes, st.sampled_from([None, 0.5]), st.randoms(use_true_random=False))
def test_order_does_not_matter(draft, answer, keep_iou, rng):
    expected = compare_boxes(draft, answer, keep_iou)
    mixed, mixed_answer = rng.sample(draft, len(draft)), rng.sample(answer, len(answer))
    compared_mixed = compare_boxes(mixed, mixed_answer, keep_iou)
    assert compared_mixed.edits == expected.edits

    def as_pairs(compared, draft, answer):
        pairs = zip(answer, compared.kinds, compared.sources)
        return sorted(str((b, k, None if s is None else draft[s])) for b, k, s in pairs)

    assert as_pairs(compared_mixed, mixed, mixed_answer) == as_pairs(expected, draft, answer)


@given(boxes)
def test_deleting_and_adding_mirror_each_other(draft):
    counts = compare_boxes(draft, draft[: len(draft) // 2]).edits
    back = compare_boxes(draft[: len(draft) // 2], draft).edits
    assert (counts.kept, counts.deleted, counts.added) == (back.kept, back.added, back.deleted)


def test_many_boxes():
    rng = random.Random(0)
    draft = [Box("cat", x := rng.randrange(900), y := rng.randrange(900), x + 40, y + 40) for _ in range(300)]
    answer = [dataclasses.replace(box, xmax=box.xmax + 4) for box in draft[:200]]
    counts = compare_boxes(draft, answer).edits
    assert counts.moved + counts.kept == 200 and counts.deleted == 100
