"""Boxes of stored and of upright images, against what Pillow makes of the pixels."""

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageOps

from tfodhelper.annotations import exif_boxes, masks
from tfodhelper.annotations.structures import Box

SIZE = (30, 20)
BOX = Box("cat", 3, 5, 11, 18, truncated=True)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_box_goes_where_the_pixels_go(orientation):
    pixels = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    pixels[int(BOX.ymin) : int(BOX.ymax), int(BOX.xmin) : int(BOX.xmax)] = 255
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(image)
    assert upright.size == exif_boxes.turned_size(*SIZE, orientation)
    box = exif_boxes.to_upright(BOX, *SIZE, orientation)
    assert upright.getbbox() == (box.xmin, box.ymin, box.xmax, box.ymax)
    assert box.truncated and box.name == "cat"
    assert exif_boxes.to_stored(box, *SIZE, orientation) == BOX


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_go_where_the_pixels_go(orientation):
    pixels = np.random.default_rng(1).integers(0, 2, [SIZE[1], SIZE[0]]).astype(np.uint8)
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image))
    polygons = masks.make_from_polygons([[3, 5, 11, 5, 11, 18, 3, 18]])
    for mask, expected in ((masks.make_from_array(pixels), upright), (polygons, None)):
        box = dataclasses.replace(BOX, mask=mask)
        turned = exif_boxes.to_upright(box, *SIZE, orientation)
        if expected is None:
            xs, ys = turned.mask.polygons[0][::2], turned.mask.polygons[0][1::2]
            assert (min(xs), min(ys), max(xs), max(ys)) == (turned.xmin, turned.ymin, turned.xmax, turned.ymax)
        else:
            np.testing.assert_array_equal(turned.mask.to_array(), expected)
        assert exif_boxes.to_stored(turned, *SIZE, orientation) == box
