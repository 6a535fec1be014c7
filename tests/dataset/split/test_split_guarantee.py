"""The quality of the split in numbers; three sides, folds, groups, fixed sides, sets that can hardly be split."""

import collections
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dataset.scan.picture_set import save_pair
from tfodhelper import errors
from tfodhelper.annotations.structures import Box
from tfodhelper.cli import main
from tfodhelper.dataset.split import deviation, split, stratification
from tfodhelper.dataset.split import groups as grouping
from tfodhelper.dataset.split.split import TEST, TRAIN, VALIDATE, SplitImage

# Images of a class, and how many of them a tool of 2018 assigned to training and validation at 8:2, by its own log.
PRINTED = [
    {"homer": (626, 500, 126), "ned": (607, 485, 122), "moe": (215, 172, 43), "lisa": (578, 462, 116)},
    {"homer": (2066, 1652, 414), "ned": (1388, 1110, 278), "moe": (1246, 996, 250)},
]


def images_of(class_sets, **fields):
    return [SplitImage(f"{i:05d}.jpg", f"sha{i}", frozenset(c), **fields) for i, c in enumerate(class_sets)]


def count(images, sides, label):
    return collections.Counter(sides[image.name] for image in images if label in image.classes)


@pytest.mark.parametrize("printed", PRINTED)
def test_the_table_of_the_tool_of_2018(printed):
    # The other classes make up the total of 18; the rule for each class is 0.8 n rounded down.
    totals = {name: total for name, (total, _, _) in printed.items()} | {f"other{i}": 97 + 31 * i for i in range(14)}
    images = images_of([{name} for name, total in totals.items() for _ in range(total)])
    strata = random.Random(1)
    images = [
        SplitImage(i.name, i.sha256, i.classes, frozenset((c, strata.choice("sml")) for c in i.classes)) for i in images
    ]
    sides = split.split_images(images, 0.2, seed=4)
    for name, (_, train, validate) in printed.items():
        assert count(images, sides, name) == {TRAIN: train, VALIDATE: validate}
    for name, total in totals.items():
        assert count(images, sides, name)[TRAIN] == int(0.8 * total), name


def test_an_image_with_several_boxes_is_on_one_side():
    chance = random.Random(0)
    images = images_of([chance.choices("abcde", weights=(50, 20, 10, 5, 1), k=1 + i % 4) for i in range(2000)])
    sides = split.split_images(images, 0.2)
    assert set(sides) == {image.name for image in images}  # one side each, because it is a dict
    for label in "abcde":
        total = sum(label in image.classes for image in images)
        assert abs(count(images, sides, label)[VALIDATE] - (total - int(0.8 * total + 1e-9))) <= 1


@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=150),
    st.sampled_from([0.1, 0.2, 0.25, 0.5]),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.integers(0, 5),
)
def test_with_one_class_per_image_each_class_has_its_share(labels, val, test, seed):
    images = images_of([{label} for label in labels])
    sides = split.split_images(images, val, seed, test)
    for label, total in collections.Counter(labels).items():
        wanted = split.share_out(total, val, test)
        assert {side: count(images, sides, label)[side] for side in wanted} == wanted


def test_box_sizes_are_stratified():
    images = [
        SplitImage(f"{i:04d}", f"s{i}", frozenset("a"), frozenset([("a", "sml"[(i % 10 > 6) + (i % 10 > 8)])]))
        for i in range(500)
    ]
    sides = split.split_images(images, 0.2)
    for letter, total in (("s", 350), ("m", 100), ("l", 50)):
        total_validate = sum(sides[i.name] == VALIDATE for i in images if ("a", letter) in i.strata)
        assert total_validate == pytest.approx(0.2 * total, abs=1), letter


def test_folds_contain_every_image_once_and_every_class_evenly():
    images = images_of(["a"] * 50 + ["b"] * 13 + [""] * 7)
    folds = split.split_folds(images, 5, seed=2)
    assert set(folds.values()) == {1, 2, 3, 4, 5}
    for label, low, high in (("a", 10, 10), ("b", 2, 3)):
        assert {low, high} >= set(count(images, folds, label).values())
    with pytest.raises(errors.DatasetError, match="5 folds need at least 5 images"):
        split.split_folds(images[:3], 5)
    with pytest.raises(errors.UsageError, match="the number of folds is invalid"):
        split.split_folds(images, 1)


def test_groups_stay_together():
    key = grouping.make_key("video")
    names = [f"cam{c}_frame_{n:03d}.jpg" for c in range(12) for n in range(5)]
    images = [SplitImage(name, name, frozenset("a"), group=key(name)) for name in names]
    sides = split.split_images(images, 0.25)
    assert len({(key(name), sides[name]) for name in names}) == 12
    assert collections.Counter(sides.values()) == {TRAIN: 45, VALIDATE: 15}


@pytest.mark.parametrize(
    ("group_by", "name", "key"),
    [
        ("video", "x/clip-12_0001.jpg", "x/clip-12"),
        ("video", "a/beach.jpg", ""),
        ("folder", "x/y/1.jpg", "x/y"),
        (r"^(\w+?)_", "site_b_1.png", "site"),
        (r"day\d+", "day12-x.jpg", "day12"),
        (None, "a_1.jpg", ""),
    ],
)
def test_keys_of_groups(group_by, name, key):
    assert grouping.make_key(group_by)(name) == key


def test_an_invalid_pattern_is_rejected():
    with pytest.raises(errors.UsageError, match="--group_by is not a valid regular expression"):
        grouping.make_key("(")


def test_sets_that_share_a_member_are_merged():
    # a and b are frames of one video, c of another; b and c are near duplicates, and so are x and y.
    names = "abcxyz"
    leaders = stratification.find_leaders(len(names), [[0, 1], [1, 2], [3, 4]])
    assert [names[leader] for leader in leaders] == list("aaaxxz")
    assert stratification.find_leaders(3, []) is None


@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(
            st.just(n), st.lists(st.lists(st.integers(0, n - 1), min_size=1, max_size=5, unique=True), max_size=12)
        )
    )
)
def test_leaders_are_the_smallest_connected_members(case):
    count, sets = case
    groups = [{image} for image in range(count)]
    for members in sets:
        joined = [group for group in groups if group & set(members)]
        groups = [group for group in groups if not group & set(members)] + [set().union(*joined)]
    wanted = {image: min(group) for group in groups for image in group}
    leaders = stratification.find_leaders(count, sets)
    assert [wanted[image] for image in range(count)] == (list(range(count)) if leaders is None else list(leaders))


def test_fixed_images_stay_and_new_ones_compensate():
    images = images_of(["a"] * 20)
    fixed = {image.name: TRAIN for image in images[:14]}
    sides = split.split_images(images, 0.3, fixed=fixed)
    assert fixed.items() <= sides.items()
    assert collections.Counter(sides.values()) == {TRAIN: 14, VALIDATE: 6}


def test_sets_that_can_hardly_be_split():
    assert split.split_images([], 0.2) == {}
    assert split.split_images(images_of(["a"]), 0.2) == {"00000.jpg": TRAIN}
    two = split.split_images(images_of(["a"] * 2 + ["b"] * 40), 0.2)
    assert sorted(two[f"0000{i}.jpg"] for i in (0, 1)) == [
        TRAIN,
        VALIDATE,
    ]
    assert set(split.split_images(images_of(["a"] * 10), 0.2, 0, 0.2).values()) == {TRAIN, VALIDATE, TEST}


def test_the_report_shows_the_deviation():
    labels = {"1": ("a",), "2": ("a", "b"), "3": ("a",), "4": ("c",)}
    sides = {"1": TRAIN, "2": VALIDATE, "3": VALIDATE, "4": TRAIN}
    rows = deviation.measure(labels, sides, lambda total: split.share_out(total, 0.25))
    assert [row[:7] for row in rows if row[0] == "a"] == [("a", 3, 2, TRAIN, 1, 2, -1), ("a", 3, 2, VALIDATE, 2, 1, 1)]
    assert "in one image only" in deviation.format_report(rows)
    end = deviation.format_report(rows).splitlines()[-1]
    assert end.startswith("1 of 3 classes are on every side, within one image of the wanted share; ")
    assert end.endswith("2 classes have no image on a side: b (train), c (validate)")


def test_the_report_names_classes_that_deviate():
    labels = {str(i): ("a",) for i in range(10)} | {"x": ("b",), "y": ("b",)}
    sides = {name: VALIDATE if name in "01234y" else TRAIN for name in labels}
    rows = deviation.measure(labels, sides, lambda total: split.share_out(total, 0.2))
    end = deviation.format_report(rows).splitlines()[-1]
    assert end == (
        "1 of 2 classes are on every side, within one image of the wanted share; 1 class deviates by more: a"
    )


def test_the_verb(tmp_path, capsys):
    for number in range(10):
        save_pair(tmp_path / "data", f"a_{number}", [Box("cat", 1, 1, 30, 30)], seed=number)
    flags = [f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / 'out'}"]
    assert main.main(["split", *flags, "--test_fraction=0.2"]) == 0
    read = {p.stem: p.read_text().split() for p in (tmp_path / "out").glob("*.txt")}
    assert {name: len(lines) for name, lines in read.items()} == {"train": 6, "val": 2, "test": 2}
    assert main.main(["split", *flags, "--num_folds=5"]) == 0
    assert len((tmp_path / "out" / "fold-3" / "val.txt").read_text().split()) == 2
    assert "within one image" in capsys.readouterr().out
