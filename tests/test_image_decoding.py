"""The only place that opens images: six formats, and nothing of what Pillow could do besides."""

import io
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.shared_data import REPOSITORY
from tfodhelper import image_decoding
from tfodhelper.annotations import headers, images, perceptual_hash
from tfodhelper.annotations.structures import UnusableFile
from tfodhelper.image_decoding import UndecodableImageError
from tfodhelper.render import thumbnails

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n"


def encode(format_, mode="RGB", size=(12, 10), **options):
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, format_, **options)
    return buffer.getvalue()


def test_no_other_module_opens_images():
    call = re.compile(r"\bImage\.open\(|\bImageFile\.Parser\(|Plugin\b")
    opening = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "tfodhelper").rglob("*.py")
        if call.search(path.read_text(encoding="utf-8"))
    }
    assert opening == {"tfodhelper/image_decoding.py"}


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_the_six_formats_are_read(format_, tmp_path):
    data = encode(format_)
    (tmp_path / "a").write_bytes(data)
    assert images.inspect_image(data, "a").format == format_
    assert images.read_size(tmp_path / "a") == (12, 10, 1)


@pytest.mark.parametrize("format_", ["PPM", "ICO", "TGA", "PCX", "SGI", "DDS", "JPEG2000", "ICNS", "SPIDER", "EPS"])
def test_nothing_else_is_read_whatever_the_file_is_called(format_, tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    data = EPS if format_ == "EPS" else encode(format_, "L" if format_ == "SPIDER" else "RGB", (64, 64))
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    for inspect in (images.inspect_image, headers.inspect):
        with pytest.raises(UnusableFile) as caught:
            inspect(data, path)
        assert caught.value.code == "image-unreadable"
    assert images.read_size(path) is None
    assert perceptual_hash.hash_file(path) is None
    assert thumbnails.make_thumbnail(path, []) is None


@pytest.mark.parametrize("data", [b"8BPS\0\1" + b"\0" * 20, b"P6 2 2 255 " + b"\0" * 12, b"\0\0\1\0" + b"\0" * 30])
def test_headers_of_other_formats_are_unknown(data):
    with pytest.raises(UndecodableImageError, match="unknown format") as caught:
        image_decoding.open_image(data)
    assert caught.value.kind == image_decoding.UNKNOWN


_INSPECT = """
import sys
from tfodhelper.annotations import images
from tfodhelper.annotations.structures import UnusableFile
for path in sys.argv[1:]:
    images.read_size(path)
    try:
        facts = images.read_image_facts(path)
        images.encode_for_record(images.read_image(path), facts)
        print("usable")
    except UnusableFile:
        print("rejected")
"""


def test_no_warning_of_pillow_reaches_the_user(tmp_path):
    damaged_exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05\xff\xff"
    files = {
        "exif.jpg": encode("JPEG", exif=damaged_exif),
        "palette.png": encode("PNG", "P", transparency=bytes(range(200))),
        "cut.tif": encode("TIFF")[:-1],
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    command = [sys.executable, "-W", "default", "-c", _INSPECT, *(str(tmp_path / name) for name in files)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert (ran.stdout.split(), ran.stderr) == (["usable", "usable", "rejected"], "")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_exif_says(orientation):
    upright = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40)
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    upright.save(buffer, "PNG", exif=exif)
    image = image_decoding.open_image(buffer.getvalue())
    image_decoding.load(image)
    assert image_decoding.orientation_of(image) == orientation
    from PIL import ImageOps

    expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(np.asarray(image_decoding.turn_upright(image, orientation)), expected)


def test_a_picture_without_pixels_or_with_a_row_too_long_for_libpng_is_rejected():
    wide = encode("BMP", "1", (1_000_001, 1))
    with pytest.raises(UndecodableImageError) as caught:
        image_decoding.open_image(wide)
    assert caught.value.kind == image_decoding.TOO_LARGE
    assert image_decoding.open_image(encode("BMP", "1", (1_000_000, 1))).width == 1_000_000
