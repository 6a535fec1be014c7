import dataclasses

import numpy as np
import pytest

from tfodhelper.annotations import labelimg, masks
from tfodhelper.dataset import shapes


def test_an_image_is_determined_by_seed_and_number():
    image, boxes = shapes.draw_image(3, 5)
    again, same_boxes = shapes.draw_image(3, 5)
    assert np.array_equal(np.asarray(image), np.asarray(again))
    assert boxes == same_boxes
    other, _ = shapes.draw_image(3, 6)
    assert image.size != other.size or not np.array_equal(np.asarray(image), np.asarray(other))


def test_a_set_drawn_in_parts_equals_the_whole(tmp_path):
    whole = shapes.draw_dataset(tmp_path / "whole", 4, seed=1)
    parts = shapes.draw_dataset(tmp_path / "parts", 2, seed=1) + shapes.draw_dataset(tmp_path / "parts", 2, 1, first=2)
    assert [path.name for path in whole] == [path.name for path in parts]
    assert [path.read_bytes() for path in whole] == [path.read_bytes() for path in parts]


@pytest.mark.parametrize("with_masks", [False, True])
def test_the_xml_describes_what_was_drawn(tmp_path, with_masks):
    for number, path in enumerate(shapes.draw_dataset(tmp_path, 9, seed=2, with_masks=with_masks)):
        image, boxes = shapes.draw_image(2, number)
        annotation = labelimg.read_labelimg(path.with_suffix(".xml"))
        assert (annotation.filename, annotation.width, annotation.height) == (path.name, *image.size)
        boxes = boxes if with_masks else [dataclasses.replace(box, mask=None) for box in boxes]
        assert annotation.boxes == tuple(boxes)
        for box in boxes if with_masks else ():
            _, bounds = masks.measure(box.mask, image.height, image.width)
            corners = (box.xmin, box.ymin, box.xmax, box.ymax)
            assert max(abs(a - b) for a, b in zip(bounds, corners)) <= 1.5
    assert {path.suffix for path in tmp_path.iterdir()} == {".jpg", ".png", ".xml"} | (
        {".json"} if with_masks else set()
    )


def test_boxes_are_inside_do_not_cover_each_other_and_have_several_sizes():
    sides, names = [], set()
    for number in range(60):
        image, boxes = shapes.draw_image(0, number)
        for box in boxes:
            assert 1 <= box.xmin < box.xmax <= image.width
            assert 1 <= box.ymin < box.ymax <= image.height
            names.add(box.name)
            sides.append(max(box.width, box.height) / min(image.size))
        for i, box in enumerate(boxes):
            for other in boxes[:i]:
                width = min(box.xmax, other.xmax) - max(box.xmin, other.xmin)
                height = min(box.ymax, other.ymax) - max(box.ymin, other.ymin)
                assert max(width, 0) * max(height, 0) <= 0.07 * min(box.area, other.area)
    assert names == set(shapes.CLASS_NAMES)
    assert min(sides) < 0.15
    assert max(sides) > 0.4


def test_some_images_are_negatives():
    empty = sum(not shapes.draw_image(0, number)[1] for number in range(200))
    assert 5 <= empty <= 35
    never = dataclasses.replace(shapes.Scene(), negative_fraction=0.0)
    assert all(shapes.draw_image(0, number, never)[1] for number in range(50))


@pytest.mark.parametrize("name", shapes.CLASS_NAMES)
@pytest.mark.parametrize("angle", [-3.0, 0.0, 1.5])
def test_outlines_fill_a_circle_of_radius_one(name, angle):
    radii = np.linalg.norm(shapes.outline(name, angle), axis=1)
    assert radii.max() == pytest.approx(1.0)
    assert radii.min() == pytest.approx(0.42 if name == "star" else 1.0)


def test_a_tight_box_by_hand():
    """A square with corners at 10 and 20, 12 and 22 in a window that begins at (8, 9)."""
    corners = np.array([[10.0, 12.0], [20.0, 12.0], [20.0, 22.0], [10.0, 22.0]])
    window = (8, 9, 24, 25)
    cover = shapes._cover(corners, window)
    assert cover.shape == (16, 16)
    box = shapes._tight_box("square", cover, window, truncated=False)
    assert (box.xmin, box.ymin, box.xmax, box.ymax) == (10, 12, 20, 22)


def test_a_shape_stands_out_from_its_background():
    rng = np.random.default_rng(0)
    pixels = np.full((20, 20, 3), 128.0)
    cover = np.zeros((20, 20))
    cover[3:17, 3:17] = 1.0
    shapes._paint(rng, pixels, cover)
    assert np.linalg.norm(pixels[10, 10] - 128.0) >= 70.0
    assert (pixels[0] == 128.0).all()
