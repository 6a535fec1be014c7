"""Fingerprints of images, and which images are near to each other."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from tfodhelper.annotations import perceptual_hash
from tfodhelper.dataset.scan import near_duplicates


def make_picture(seed, size=(320, 240)):
    """An image with large shapes, like a photograph."""
    rough = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(rough).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.resize((160, 120)),
        lambda image: image.resize((640, 480)),
        lambda image: image.convert("L"),
        lambda image: image.point(lambda value: min(255, value + 12)),
        lambda image: image.filter(ImageFilter.GaussianBlur(2)),
    ],
    ids=["smaller", "larger", "grey", "brighter", "blurred"],
)
def test_a_changed_copy_stays_near(change):
    for seed in range(10):
        picture = make_picture(seed)
        first, second = perceptual_hash.hash_image(picture), perceptual_hash.hash_image(change(picture))
        assert perceptual_hash.distance(first, second) <= near_duplicates.MAX_DISTANCE


def test_other_images_are_far():
    hashes = [perceptual_hash.hash_image(make_picture(seed)) for seed in range(30)]
    distances = [perceptual_hash.distance(a, b) for a, b in itertools.combinations(hashes, 2)]
    assert min(distances) > 8


def test_an_image_without_contrast_has_no_fingerprint():
    assert perceptual_hash.hash_image(Image.new("RGB", (50, 50), (9, 9, 9))) is None
    assert perceptual_hash.hash_image(Image.new("I;16", (50, 50), 700)) is None


def test_files_that_are_decoded_at_reduced_size_have_the_same_fingerprint(tmp_path):
    picture = make_picture(3, (1600, 1200))
    picture.save(tmp_path / "a.jpg", "JPEG", quality=60)
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:9000])
    hashes = near_duplicates.hash_files(tmp_path, ["a.jpg", "b.jpg", "none.jpg"])
    assert perceptual_hash.distance(hashes["a.jpg"], perceptual_hash.hash_image(picture)) <= 2
    assert hashes["b.jpg"] is None and hashes["none.jpg"] is None


def group_slowly(hashes, max_distance):
    """The same by comparing all pairs."""
    groups = [{name} for name, value in hashes.items() if value is not None]
    for a, b in itertools.combinations([name for name in hashes if hashes[name] is not None], 2):
        if perceptual_hash.distance(hashes[a], hashes[b]) <= max_distance:
            first, second = (next(group for group in groups if name in group) for name in (a, b))
            if first is not second:
                groups.remove(second)
                first |= second
    return sorted(sorted(group) for group in groups if len(group) > 1)


def draw_hashes(seed):
    """{name: fingerprint} of random ones, of which many are near others; the last has none."""
    rng = random.Random(seed)
    values = [rng.getrandbits(64) for _ in range(4)]
    for _ in range(10):
        flipped = sum(1 << bit for bit in rng.sample(range(64), rng.randint(0, 8)))
        values.append(rng.choice(values) ^ flipped)
    return {f"{number:02d}": value for number, value in enumerate(values)} | {"none": None}


@given(st.integers(0, 2**32), st.integers(0, 6))
def test_all_near_pairs_are_found_and_no_others(seed, max_distance):
    hashes = draw_hashes(seed)
    assert near_duplicates.group(hashes, max_distance) == group_slowly(hashes, max_distance)


@given(st.integers(0, 2**32), st.integers(0, 6))
def test_a_near_one_is_looked_up_wherever_there_is_one(seed, max_distance):
    hashes = draw_hashes(seed)
    known = {name: value for name, value in hashes.items() if name < "07" or value is None}
    lookup = near_duplicates.Lookup(known, max_distance)
    for name, value in hashes.items():
        if value is None or name in known:
            continue
        near = {n for n, v in known.items() if v is not None and perceptual_hash.distance(v, value) <= max_distance}
        assert lookup.find(value) in near if near else lookup.find(value) is None


def test_a_lookup_of_nothing_finds_nothing():
    assert near_duplicates.Lookup({}).find(0) is None
    assert near_duplicates.Lookup({"grey.jpg": None}).find(0) is None


def test_chains_are_one_group():
    hashes = {"a": 0b0, "c": 0b1111, "b": 0b11111111, "far": (1 << 64) - 1, "e": None}
    assert near_duplicates.group(hashes) == [["a", "b", "c"]]
    assert near_duplicates.group({}) == []
    assert near_duplicates.group(dict.fromkeys("pqrs", 7)) == [["p", "q", "r", "s"]]


def test_a_long_video_of_one_scene_is_one_group():
    rng = random.Random(1)
    scene = rng.getrandbits(64)
    hashes = {f"{n:05d}": scene ^ (1 << rng.randrange(64)) ^ (1 << rng.randrange(64)) for n in range(30_000)}
    assert [len(names) for names in near_duplicates.group(hashes)] == [30_000]
