"""Which box a line of a side file belongs to."""

from tfodhelper.annotations import side_files
from tfodhelper.annotations.weight_files import StoredWeight


def lines(*named_corners):
    return [StoredWeight(name, corners, 0.5) for name, corners in named_corners]


def test_a_box_at_the_very_place_is_not_taken_by_one_beside_it():
    boxes = [("cat", 1.0, 2.0, 21.0, 22.0)]
    stored = lines(("cat", (1.0, 1.0, 21.0, 21.0)), ("cat", (1.0, 2.0, 21.0, 22.0)))
    assert side_files.find_boxes(boxes, stored, is_same_class=True) == [None, 0]


def test_a_box_of_the_same_class_comes_before_one_that_was_renamed():
    boxes = [("dog", 1.0, 1.0, 9.0, 9.0), ("cat", 1.0, 1.5, 9.0, 9.0)]
    assert side_files.find_boxes(boxes, lines(("cat", (1.0, 1.0, 9.0, 9.0)))) == [1]
    assert side_files.find_boxes(boxes[:1], lines(("cat", (1.0, 1.0, 9.0, 9.0)))) == [0]
    assert side_files.find_boxes(boxes[:1], lines(("cat", (1.0, 1.0, 9.0, 9.0))), is_same_class=True) == [None]


def test_equal_boxes_are_taken_in_order():
    boxes = [("cat", 1.0, 1.0, 9.0, 9.0)] * 2
    assert side_files.find_boxes(boxes, lines(*[("cat", (1.0, 1.0, 9.0, 9.0))] * 3)) == [0, 1, None]
