"""Small pictures: where the boxes are, which files can be read."""

import io

import numpy as np
import pytest
from PIL import Image

from tfodhelper.render import palette, thumbnails
from tfodhelper.render.boxes import Mark


def test_boxes_are_drawn_where_they_are(tmp_path):
    Image.new("RGB", (720, 360), "white").save(tmp_path / "a.png")
    data = thumbnails.make_thumbnail(tmp_path / "a.png", [Mark(400, 100, 600, 300, palette.BAD)])
    pixels = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert pixels.shape == (180, 360, 3)
    red = np.argwhere((pixels[..., 0] > 180) & (pixels[..., 1] < 110))
    assert np.abs(red.min(axis=0) - [50, 200]).max() <= 2 and np.abs(red.max(axis=0) - [150, 300]).max() <= 2


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "L", "CMYK", "I;16", "1"])
def test_pictures_of_all_kinds(tmp_path, mode):
    ending = "tif" if mode == "CMYK" else "png"
    Image.new(mode, (40, 900)).save(tmp_path / f"a.{ending}")
    marks = [Mark(1e9, -1e9, 5, 5, text="ä\n" * 50)]
    assert thumbnails.make_thumbnail(tmp_path / f"a.{ending}", marks).startswith(b"\xff\xd8")
    assert thumbnails.make_thumbnail(tmp_path / "none.png", []) is None


def test_boxes_of_the_turned_image_are_drawn_on_the_turned_picture(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (720, 360), "white").save(tmp_path / "a.jpg", exif=exif)
    marks = [Mark(100, 400, 300, 600, palette.BAD)]  # in the frame of 360 x 720
    pixels = np.asarray(Image.open(io.BytesIO(thumbnails.make_thumbnail(tmp_path / "a.jpg", marks, turn=True))))
    assert pixels.shape == (360, 180, 3)
    red = np.argwhere((pixels[..., 0] > 180) & (pixels[..., 1] < 110))
    assert np.abs(red.min(axis=0) - [200, 50]).max() <= 2 and np.abs(red.max(axis=0) - [300, 150]).max() <= 2


def test_the_first_mark_is_on_top(tmp_path):
    Image.new("RGB", (300, 300), "white").save(tmp_path / "a.png")
    corners = (100, 100, 200, 200)
    marks = [Mark(*corners, "#ff0000"), Mark(*corners, "#0000ff")]
    pixels = np.asarray(Image.open(io.BytesIO(thumbnails.make_thumbnail(tmp_path / "a.png", marks)))).astype(int)
    assert (pixels[..., 2] - pixels[..., 0] > 60).sum() == 0
    assert (pixels[..., 0] - pixels[..., 2] > 60).sum() > 200


def test_a_thin_line_keeps_its_colour_on_a_dark_picture(tmp_path):
    Image.new("RGB", (720, 360), "black").save(tmp_path / "a.png")
    data = thumbnails.make_thumbnail(tmp_path / "a.png", [Mark(400, 100, 600, 300, palette.BAD)])
    line = np.asarray(Image.open(io.BytesIO(data))).astype(int)[100, 198:204]
    assert np.abs(line - palette.to_rgb(palette.BAD)).max(axis=1).min() < 30
    assert palette.contrast(palette.BAD, "#000000") > 6


def test_a_small_image_is_enlarged(tmp_path):
    Image.new("RGB", (64, 48), "white").save(tmp_path / "a.png")
    data = thumbnails.make_thumbnail(tmp_path / "a.png", [Mark(32, 0, 64, 48, palette.BAD)])
    pixels = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    assert pixels.shape == (240, 320, 3)
    red = np.argwhere((pixels[..., 0] > 180) & (pixels[..., 1] < 130))
    assert abs(red[:, 1].min() - 160) <= 2
