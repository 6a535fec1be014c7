"""Masks of files that somebody else made: what a few bytes can ask for, and masks made without drawing an image."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfodhelper.annotations import mask_files, masks
from tfodhelper.annotations.structures import UnusableFile


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_masks_of_a_part_and_of_numbers_are_those_of_the_drawn_image(data):
    height, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    random = np.random.RandomState(data.draw(st.integers(0, 10_000)))
    part = random.rand(*data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))) < random.rand()
    top, left = data.draw(st.integers(-15, 15)), data.draw(st.integers(-15, 15))
    drawn = np.zeros([height, width], np.uint8)
    for row, column in np.argwhere(part):
        if 0 <= row + top < height and 0 <= column + left < width:
            drawn[row + top, column + left] = 1
    assert masks.make_from_part(part, top, left, height, width) == masks.make_from_array(drawn)
    numbers = random.randint(-1, 4, [height, width])
    expected = {n: masks.make_from_array(numbers == n) for n in np.unique(numbers).tolist() if n > 0}
    assert masks.make_from_numbers(numbers, 10) == expected


def test_the_numbers_of_a_picture_are_counted():
    with pytest.raises(ValueError, match="12 different numbers"):
        masks.make_from_numbers(np.arange(12).reshape(3, 4), 11)
    with pytest.raises(ValueError, match="changes at 4,412,100 places"):
        masks.make_from_numbers(np.arange(2100 * 2101).reshape(2100, 2101) % 7, 11)


@pytest.mark.parametrize("place", [-(10**308), -7, 7, 10**308])
def test_a_part_beside_the_image_has_no_pixel(place):
    for top, left in ((place, 0), (0, place)):
        assert masks.make_from_part(np.ones([3, 3]), top, left, 5, 5) == masks.make_from_array(np.zeros([5, 5]))


def test_parts_are_united_as_pixels_where_one_is_not_a_polygon():
    pixels = np.zeros([6, 8], np.uint8)
    pixels[1:3, 1:3] = 1
    square = masks.make_from_polygons([[4, 3, 7, 3, 7, 5, 4, 5]])
    united = masks.unite([masks.make_from_array(pixels), square], 6, 8)
    assert (united.to_array() == (pixels | square.to_array(6, 8))).all()
    assert masks.unite([square, square], 6, 8).polygons == square.polygons * 2


@pytest.mark.parametrize("size", [(1 << 19, 1 << 19), (20_000, 20_000)])
@pytest.mark.parametrize("is_text", [True, False])
def test_a_run_length_code_of_more_pixels_than_an_image_has_is_refused(size, is_text):
    runs = [0, size[0] * size[1]]
    with pytest.raises(ValueError, match="larger than any image"):
        masks.make_from_counts(*size, masks.encode_counts(runs) if is_text else runs)
    with pytest.raises(ValueError, match="larger than any image"):
        masks.make_from_part(np.ones([2, 2]), 0, 0, *size)


def test_an_outline_that_goes_back_and_forth_for_ever_is_refused():
    zigzag = [value for i in range(4000) for value in (0 if i % 2 else 1000, i % 1000)]
    mask = masks.make_from_polygons([zigzag])
    with pytest.raises(ValueError, match="outline is 4,0.* pixels long"):
        masks.to_array(mask, 1000, 1000)
    around = masks.make_from_polygons([[-1e7, -1e7, 1e7, -1e7, 1e7, 1e7, -1e7, 1e7]])
    assert masks.to_array(around, 100, 100).all()  # what is outside of the image is not walked along


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1e308", "NaN", "-Infinity", "true", '"1"', "null"])
def test_numbers_that_are_no_pixels_are_refused(number):
    for text in (
        '{"name": "cat", "bndbox": [%s, 1, 2, 3], "polygons": [[1, 1, 2, 2, 3, 1]]}',
        '{"name": "cat", "bndbox": [1, 1, 2, 3], "polygons": [[%s, 1, 2, 2, 3, 1]]}',
        '{"name": "cat", "bndbox": [1, 1, 2, 3], "rle": {"size": [%s, 2], "counts": [0, 2]}}',
        '{"name": "cat", "bndbox": [1, 1, 2, 3], "rle": {"size": [1, 2], "counts": [%s, 2]}}',
    ):
        with pytest.raises(UnusableFile, match="object 1"):
            mask_files.parse('{"version": 1, "objects": [' + text % number + "]}", "a.masks.json")


def test_many_masks_find_their_boxes_quickly():
    line = {"name": "cat", "polygons": [[1, 1, 2, 2, 3, 1]]}
    objects = [line | {"bndbox": [number, 2, number + 5, 9]} for number in range(3000)]
    stored = mask_files.parse(json.dumps({"version": 1, "objects": objects}), "a.masks.json")
    boxes = [("cat", number, 2, number + 5, 9) for number in range(2999, -1, -1)]
    matched, skipped = mask_files.attach(boxes, stored)
    assert not skipped and all(mask is stored[2999 - i].mask for i, mask in enumerate(matched))
