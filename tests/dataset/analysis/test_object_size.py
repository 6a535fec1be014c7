"""Small boxes and broken corners of a set, exactly at the bounds from which they are pointed out."""

import pytest

from tests.dataset.scan.picture_set import save_pair
from tfodhelper import spelling
from tfodhelper.annotations.structures import Box
from tfodhelper.dataset import plan
from tfodhelper.dataset.analysis import object_size
from tfodhelper.dataset.analysis.object_size import ModelScale

AS_STORED = ModelScale(100, 100)  # images of 100 x 100 are looked at as they are
LARGE = Box("cat", 10, 10, 50, 50)


def look(folder, boxes, scale=AS_STORED):
    """{code: finding} of a set of one image with these boxes."""
    save_pair(folder, "a", boxes, (100, 100))
    planned = plan.make_plan(plan.SetOptions(data_dir=folder, val_fraction=0), show_progress=False)
    return {finding.code: finding for finding in object_size.check_whole_set(planned, scale)}


def of_size(width, height, number=0):
    """A box of a size, beside those of other numbers."""
    return Box("cat", 1 + number, 1, 1 + number + width, 1 + height)


@pytest.mark.parametrize(
    ("num_small", "num_boxes", "share"),
    [(1, 10, "10%"), (2, 20, "10%"), (3, 20, "15%"), (1, 1, "100%"), (1, 11, None), (1, 20, None), (0, 1, None)],
)
def test_small_boxes_are_pointed_out_from_a_tenth_of_all(tmp_path, num_small, num_boxes, share):
    boxes = [of_size(7, 20, number) for number in range(num_small)]
    boxes += [of_size(20, 20 + number) for number in range(num_boxes - num_small)]
    finding = look(tmp_path, boxes).get("boxes-too-small")
    if share is None:
        assert finding is None
    else:
        total = spelling.count(num_boxes, "box")
        assert f"{num_small} of {total} ({share}), less than 8 px wide or high" in finding.message


@pytest.mark.parametrize(("box", "is_small"), [((8, 8), False), ((7, 8), True), ((8, 7), True)])
def test_a_side_of_exactly_8_pixels_is_not_small(tmp_path, box, is_small):
    assert ("boxes-too-small" in look(tmp_path, [of_size(*box)])) == is_small


@pytest.mark.parametrize(("height", "is_small"), [(10, False), (9, True)])
def test_half_of_the_area_of_the_smallest_anchor_is_not_small(tmp_path, height, is_small):
    scale = ModelScale(100, 100, smallest_anchor=20.0)  # half of its area is 200 square pixels
    assert ("boxes-too-small" in look(tmp_path, [of_size(20, height)], scale)) == is_small


@pytest.mark.parametrize(("height", "is_tiny"), [(2, False), (1, True)])
def test_a_thousandth_of_the_image_is_not_tiny(tmp_path, height, is_tiny):
    assert ("box-tiny" in look(tmp_path, [of_size(5, height)])) == is_tiny


@pytest.mark.parametrize("corner", ["xmin", "ymin", "xmax", "ymax"])
def test_one_corner_between_pixels_is_enough(tmp_path, corner):
    sides = {"xmin": 10.0, "ymin": 10.0, "xmax": 50.0, "ymax": 50.0}
    box = Box("cat", **(sides | {corner: sides[corner] + 0.5}))
    assert "box-fraction" in look(tmp_path / "broken", [LARGE, box])
    assert "box-fraction" not in look(tmp_path / "whole", [LARGE, Box("cat", **sides)])
