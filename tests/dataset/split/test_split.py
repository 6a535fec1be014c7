"""The split: exact for one class, close for many, seeded, keeps groups together, independent of order."""

import collections
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfodhelper import errors
from tfodhelper.dataset.split import image_lists, split
from tfodhelper.dataset.split.split import TRAIN, VALIDATE, SplitImage


def images_of(class_sets):
    return [SplitImage(f"{i:05d}.jpg", f"sha{i}", frozenset(classes)) for i, classes in enumerate(class_sets)]


def count(images, sides, label=None):
    chosen = [image for image in images if label is None or label in image.classes]
    return tuple(sum(sides[image.name] == side for image in chosen) for side in (TRAIN, VALIDATE))


@pytest.mark.parametrize(
    ("total", "expected"),
    [(626, (500, 126)), (607, (485, 122)), (215, (172, 43)), (578, (462, 116)), (1, (1, 0)), (2, (1, 1)), (10, (8, 2))],
)
def test_one_class_is_split_exactly(total, expected):
    images = images_of([{"a"}] * total)
    assert count(images, split.split_images(images)) == expected


def test_each_of_several_classes_is_split_exactly_if_images_show_only_one():
    images = images_of([{"a"}] * 626 + [{"b"}] * 607 + [{"c"}] * 215 + [set()] * 50)
    sides = split.split_images(images, seed=3)
    assert [count(images, sides, label) for label in "abc"] == [(500, 126), (485, 122), (172, 43)]
    negatives = [image for image in images if not image.classes]
    assert count(negatives, sides) == (40, 10)


def test_a_fraction_that_floats_cannot_represent_is_rounded_correctly():
    assert split.count_training(90, 0.3) == 63
    assert split.count_training(5, 0.2) == 4


def test_classes_on_the_same_images_stay_close_to_their_share():
    chance = random.Random(0)
    images = images_of([{c for c, p in zip("abcde", (0.9, 0.5, 0.2, 0.05, 0.02)) if chance.random() < p}
                        for _ in range(1000)])  # fmt: skip
    sides = split.split_images(images, 0.2, seed=1)
    for label in "abcde":
        train, validate = count(images, sides, label)
        total = train + validate
        assert validate == pytest.approx(0.2 * total, abs=1 + 0.02 * total), label
    assert count(images, sides)[1] == pytest.approx(200, abs=15)


def test_the_order_of_the_images_does_not_matter_and_the_seed_does():
    images = images_of([{"a"}, {"a", "b"}, {"b"}, set()] * 25)
    images += [SplitImage(f"copy{9 - i}.jpg", f"sha{i}", frozenset("ab"[i % 2])) for i in range(10)]
    shuffled = random.Random(7).sample(images, len(images))
    assert split.split_images(images, seed=5) == split.split_images(shuffled, seed=5)
    assert split.split_images(images, seed=5) != split.split_images(images, seed=6)


def test_identical_files_stay_together():
    images = [SplitImage(f"{i}.jpg", f"sha{i // 3}", frozenset("ab"[i % 2])) for i in range(90)]
    sides = split.split_images(images)
    by_digest = collections.defaultdict(set)
    for image in images:
        by_digest[image.sha256].add(sides[image.name])
    assert all(len(group_sides) == 1 for group_sides in by_digest.values())


@given(
    st.lists(st.tuples(st.integers(0, 30), st.frozensets(st.sampled_from("abcd"))), max_size=40),
    st.floats(0, 0.95),
    st.integers(0, 9),
)
def test_every_image_gets_one_side_and_every_class_is_trained(cards, fraction, seed):
    images = [SplitImage(f"{i}.jpg", f"sha{group}", classes) for i, (group, classes) in enumerate(cards)]
    sides = split.split_images(images, fraction, seed)
    assert set(sides) == {image.name for image in images}
    for label in {label for image in images for label in image.classes}:
        assert count(images, sides, label)[0] >= 1
    if fraction == 0:
        assert set(sides.values()) <= {TRAIN}


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2])
def test_an_invalid_fraction_is_rejected(fraction):
    with pytest.raises(errors.UsageError, match="--val_fraction"):
        split.split_images([], fraction)


NAMES = ["x/a.jpg", "x/b.jpg", "c d.jpg", "e.f.jpg", "y/a.png"]


def lists(tmp_path, train=None, val=None):
    paths = []
    for name, text in (("train", train), ("val", val)):
        path = tmp_path / f"{name}.txt"
        if text is not None:
            path.write_text(text, encoding="utf-8")
        paths.append(path if text is not None else None)
    return image_lists.split_by_lists(NAMES, *paths)


def test_lists_decide(tmp_path):
    sides, findings = lists(tmp_path, "b\nc d\n\n", "e.f.jpg\ny/a\nnothing\n")
    assert sides == {"x/b.jpg": TRAIN, "c d.jpg": TRAIN, "e.f.jpg": VALIDATE, "y/a.png": VALIDATE}
    assert [(finding.code, finding.where) for finding in findings] == [("list-entry-unknown", "nothing")]


def test_one_list_gives_the_rest_to_the_other_side(tmp_path):
    sides, _ = lists(tmp_path, val="b  1\nc d -1\n")
    assert sides == {name: VALIDATE if name in ("x/b.jpg", "c d.jpg") else TRAIN for name in NAMES}


@pytest.mark.parametrize(
    ("train", "val", "words"),
    [
        ("b", "b", "1 image is also in another list"),
        ("a", None, "matches several images"),
        ("", None, "is empty"),
        ("z", None, "none of its"),
    ],
)
def test_invalid_lists_are_rejected(tmp_path, train, val, words):
    with pytest.raises(errors.DatasetError, match=words):
        lists(tmp_path, train, val)
