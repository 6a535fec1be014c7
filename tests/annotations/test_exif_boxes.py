"""Boxes of stored and of upright images, against what Pillow makes of the pixels."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from tfodhelper.annotations import exif_boxes
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
