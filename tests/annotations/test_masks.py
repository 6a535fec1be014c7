"""Masks: run-length codes against pycocotools, polygons by hand, and the file next to the XML."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from tfodhelper.annotations import checks, labelimg, mask_checks, mask_files, masks
from tfodhelper.annotations.images import ImageFacts
from tfodhelper.annotations.structures import Annotation, Box, UnusableFile

SQUARE = masks.make_from_polygons([[2, 3, 6, 3, 6, 8, 2, 8]])


@st.composite
def arrays(draw, most=24):
    height, width = draw(st.integers(1, most)), draw(st.integers(1, most))
    seed, density = draw(st.integers(0, 1 << 30)), draw(st.sampled_from([0.0, 0.02, 0.3, 0.9, 1.0]))
    return (np.random.default_rng(seed).random([height, width]) < density).astype(np.uint8)


def runs_of(array):
    """Lengths of runs, column by column, the background first."""
    runs, value, count = [], 0, 0
    for pixel in array.T.ravel():
        if pixel != value:
            runs.append(count)
            value, count = pixel, 0
        count += 1
    return [*runs, count]


@given(arrays())
def test_run_length_codes_are_those_of_pycocotools(array):
    theirs = coco_mask.encode(np.asfortranarray(array))["counts"].decode()
    runs = runs_of(array)
    assert masks.encode_counts(runs) == theirs and masks.decode_counts(theirs) == runs
    height, width = array.shape
    for counts in (theirs, runs):
        mask = masks.make_from_counts(height, width, counts)
        assert mask == masks.make_from_array(array)
        assert np.array_equal(masks.to_array(mask, height, width), array)


@given(st.text(max_size=12), st.integers(1, 9), st.integers(1, 9))
def test_any_text_is_a_mask_or_refused(text, height, width):
    try:
        mask = masks.make_from_counts(height, width, text)
    except ValueError:
        return
    assert masks.to_array(mask, height, width).shape == (height, width)


@pytest.mark.parametrize(
    ("height", "width", "counts"),
    [(2, 2, [5]), (2, 2, [-1, 5]), (2, 2, [True, 3]), (0, 4, []), (2, 2, None), (2.0, 2, [4]), (1 << 30, 2, [4])],
)
def test_run_length_codes_of_another_size_are_refused(height, width, counts):
    with pytest.raises(ValueError, match="run-length"):
        masks.make_from_counts(height, width, counts)


@pytest.mark.parametrize(
    "polygon", [[1, 2], [1, 2, 3, 4], [1, 2, 3, 4, 5], [1, 2, 3, 4, 5, None], [0, 0, 1, 1, 1, 1e99]]
)
def test_what_is_not_a_polygon_is_refused(polygon):
    with pytest.raises(ValueError, match="polygon"):
        masks.make_from_polygons([polygon])


def test_polygons_by_hand():
    array = masks.to_array(SQUARE, 10, 12)
    expected = np.zeros([10, 12], np.uint8)
    expected[3:8, 2:6] = 1
    assert np.array_equal(array, expected)
    assert masks.measure(SQUARE, 10, 12) == (20, (2.0, 3.0, 6.0, 8.0))
    two = masks.make_from_polygons([[0, 0, 3, 0, 3, 3, 0, 3], [2, 2, 5, 2, 5, 5, 2, 5]])
    assert masks.measure(two, 10, 12)[0] == 9 + 9 - 1  # a shared pixel counts once


@given(st.lists(st.tuples(st.floats(-30, 60), st.floats(-30, 60)), min_size=3, max_size=8))
def test_a_polygon_beyond_the_image_is_clipped(points):
    """As on a larger image of which the image is a part."""
    flat = [value for point in points for value in point]
    mask = masks.make_from_polygons([flat])
    shifted = masks.make_from_polygons([[value + 40 for value in flat]])
    clipped, whole = masks.to_array(mask, 20, 30), masks.to_array(shifted, 110, 110)[40:60, 40:70]
    # Where the border cuts a side, pycocotools rounds the new corner to a fifth of a pixel.
    changed = clipped != whole
    assert changed.sum() <= 0.02 * changed.size + 4 * len(points)


def test_a_polygon_far_away_costs_nothing():
    far = masks.make_from_polygons([[-1e7, -1e7, 1e7, -1e7, 1e7, 1e7, -1e7, 1e7]])
    assert masks.measure(far, 10, 10) == (100, (0.0, 0.0, 10.0, 10.0))
    assert masks.measure(masks.make_from_polygons([[50, 50, 60, 50, 60, 60]]), 10, 10) == (0, None)


def test_masks_are_written_next_to_the_xml_and_read_back(tmp_path):
    rle = masks.make_from_array(np.eye(40, 60))
    boxes = Box("cat", 2, 3, 6, 8, mask=SQUARE), Box("dog", 10.5, 11, 30, 33), Box("größe 2", 0, 0, 40, 40, mask=rle)
    annotation = Annotation("a.jpg", 60, 40, boxes)
    labelimg.write_labelimg(tmp_path / "a.xml", annotation)
    assert labelimg.read_labelimg(tmp_path / "a.xml") == annotation
    content = json.loads((tmp_path / "a.masks.json").read_text(encoding="utf-8"))
    assert [entry["name"] for entry in content["objects"]] == ["cat", "größe 2"]
    assert content["objects"][0]["polygons"] == [[2, 3, 6, 3, 6, 8, 2, 8]]
    labelimg.write_labelimg(tmp_path / "a.xml", Annotation("a.jpg", 60, 40, boxes[1:2]))
    assert not (tmp_path / "a.masks.json").exists()


def test_masks_follow_boxes_that_labelimg_saved_again():
    """It saves whole pixels, in an order of its own, with new names and without deleted objects."""
    stored = [
        mask_files.StoredMask("cat", (2.4, 3.6, 6.9, 8.1), SQUARE),
        mask_files.StoredMask("dog", (20, 20, 30, 30), masks.make_from_array(np.eye(5))),
        mask_files.StoredMask("owl", (2, 3, 6, 8), masks.make_from_array(np.eye(6))),
    ]
    boxes = [("owl", 2, 3, 6, 8), ("lynx", 20, 20, 30, 30), ("cat", 2, 3, 6, 8)]
    found, skipped = mask_files.attach(boxes, stored)
    assert found == [stored[2].mask, stored[1].mask, SQUARE] and not skipped
    found, skipped = mask_files.attach([("cat", 2, 3, 9, 8)], stored[:1])
    assert found == [None] and [one.code for one in skipped] == ["mask-stale"]


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"version": 2, "objects": []}', '{"version": 1, "objects": [1]}'),
        '{"version": 1, "objects": [{"name": "a", "bndbox": [1, 2, 3]}]}',
        '{"version": 1, "objects": [{"name": "a", "bndbox": [1, 2, 3, 4], "polygons": [[1, 2]]}]}',
        '{"version": 1, "objects": [{"name": "a", "bndbox": [1, 2, 3, 4], "rle": {"size": [2, 2], "counts": "5"}}]}',
        '{"version": 1, "objects": [{"name": "a", "bndbox": [1, 2, 3, 4], "rle": {"size": "22", "counts": "5"}}]}',
    ],
)
def test_damaged_masks_are_named(tmp_path, text):
    (tmp_path / "a.masks.json").write_text(text)
    with pytest.raises(UnusableFile, match="a.masks.json") as caught:
        mask_files.attach_to(Annotation("a.jpg", 10, 10, ()), tmp_path / "a.xml")
    assert caught.value.code == "masks-unreadable"


def codes(box, width=60, height=40):
    checked, findings = mask_checks.check_mask(box, width, height, "object 1", "a.xml")
    return checked.mask is not None, [finding.code for finding in findings]


def test_masks_are_checked_against_box_and_image():
    assert codes(Box("cat", 2, 3, 6, 8)) == (False, [])
    assert codes(Box("cat", 2, 3, 6, 8, mask=SQUARE)) == (True, [])
    assert codes(Box("cat", 0, 0, 40, 40, mask=masks.make_from_array(np.eye(40, 60)))) == (True, [])
    assert codes(Box("cat", 0, 0, 40, 40, mask=masks.make_from_array(np.eye(40, 61)))) == (False, ["mask-size"])
    assert codes(Box("cat", 6, 8, 20, 20, mask=SQUARE)) == (False, ["mask-outside"])
    assert codes(Box("cat", 0, 0, 9, 9, mask=masks.make_from_array(np.zeros([40, 60])))) == (False, ["mask-outside"])
    assert codes(Box("cat", 0, 0, 30, 30, mask=masks.make_from_array(np.eye(40, 60)))) == (True, ["mask-beyond-box"])


def test_an_annotation_keeps_the_masks_that_can_be_used():
    facts = ImageFacts("JPEG", 60, 40, "RGB", 1, "00", 1)
    good, bad = Box("cat", 2, 3, 6, 8, mask=SQUARE), Box("dog", 20, 20, 30, 30, mask=SQUARE)
    checked = checks.check_annotation(Annotation("a.jpg", 60, 40, (good, bad)), facts, "a.xml", image_file="a.jpg")
    assert checked.annotation.boxes == (good, Box("dog", 20, 20, 30, 30))
    assert [finding.code for finding in checked.findings] == ["mask-outside"]
